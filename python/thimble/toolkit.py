"""The program in processes of its own: evaluate, slice, search. It needs LibTorch's libraries, which the package torch
brings; torch itself is not imported."""
from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Dict, List, Optional

from . import _build
from .errors import BadRequest, of_code
from .models import Model, load

_NATIVE = pathlib.Path(__file__).resolve().parent / "native"
_INSTALL = "pip install 'thimble[search]'"


def program() -> str:
    """The path of the binary; `environment` is what it runs in."""
    return str(_NATIVE / "thimble")


def environment() -> Dict[str, str]:
    """Of the program: with the directory of LibTorch, where that is not the one beside this package. BadRequest if
    there is none, or one of another version."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        raise BadRequest(f"LibTorch is not installed; {_INSTALL} brings it (torch {_build.TORCH})")
    version = importlib.metadata.version("torch").split("+")[0]
    if version.split(".")[:2] != _build.TORCH.split(".")[:2]:
        raise BadRequest(f"torch: another version than the program was built with; got {version}; accepted: "
                         f"{_build.TORCH}; {_INSTALL}")
    variables = dict(os.environ)
    libraries = pathlib.Path(found.submodule_search_locations[0]).resolve() / "lib"
    if libraries != (_NATIVE.parent.parent / "torch/lib").resolve():
        paths = [str(libraries), *filter(None, [variables.get("LD_LIBRARY_PATH")])]
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
    return variables


def run(*arguments, quiet: bool = False) -> str:
    """Runs `thimble ARGUMENTS...`; what it printed. Its progress goes on to sys.stderr unless `quiet`; what it says
    went wrong is the error that is raised. Ctrl-C ends it once its state is saved."""
    # In a group of its own: it would see Ctrl-C twice, which ends it at once.
    process = subprocess.Popen([program(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, errors="replace", env=environment(), start_new_session=True)
    from concurrent.futures import ThreadPoolExecutor
    try:
        with ThreadPoolExecutor(1) as reader:
            printed = reader.submit(process.stdout.read)
            try:
                message = _follow(process.stderr, quiet)
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                _follow(process.stderr, quiet)
                raise
            code = process.wait()
            if code != 0:
                raise of_code(code, message or f"thimble {arguments[0]} ended with exit code {code}")
            return printed.result()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def _follow(lines, quiet):
    """Hands lines on until the last; the message of the one that says what went wrong."""
    message = ""
    for line in lines:
        if line.startswith("thimble: "):
            message = line[len("thimble: "):].rstrip("\n")
        elif not quiet:
            sys.stderr.write(line)
    return message


def _options(options):
    """max_length=64, force=True, set=["a=1"] as --max-length 64 --force --set a=1; None and False are left out."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            words += [flag] if each is True else [flag, each]
    return words


@dataclasses.dataclass(frozen=True)
class Evaluation:
    metrics: Dict[str, float]  # the task's official ones, over the whole dev set; of 1
    standard_errors: Dict[str, float]
    parameters: int  # deployed
    bytes: int  # of the weights
    latency_ms: Optional[float] = None  # median; batch 1, 128 tokens, 1 thread


def evaluate(model, *, task, data, latency: bool = False, quiet: bool = True, **options) -> Evaluation:
    """`thimble evaluate`: options as the program's, with _ for -."""
    directory = model.directory if isinstance(model, Model) else model
    told = run("evaluate", directory, "--task", task, "--data", data, "--json",
               *_options({"latency": latency, **options}), quiet=quiet)
    scores = json.loads(told)["models"][0]
    del scores["name"]
    return Evaluation(**scores)


def slice(teacher, out, *, task, data, speedup: Optional[float] = None, max_latency: Optional[str] = None,
          max_params: Optional[str] = None, quiet: bool = False, **options) -> Model:
    """`thimble slice`: a student cut from `teacher`, without training, loaded from `out`."""
    run("slice", teacher, "--task", task, "--data", data, "--out", out,
        *_options({"speedup": speedup, "max_latency": max_latency, "max_params": max_params, **options}), quiet=quiet)
    return load(out)


@dataclasses.dataclass(frozen=True)
class Trial:
    stage: str
    number: int
    target: str  # of a study with several
    state: str  # "complete", "pruned", "left", "failed"
    origin: str
    score: Optional[float]  # higher is better
    standard_error: Optional[float]
    parameters: int
    metrics: Dict[str, float]
    seconds: float
    architecture: str  # text of a message Architecture
    best: bool  # what `export` takes for this target

    @property
    def name(self) -> str:
        return f"{self.stage}/{self.number}"


@dataclasses.dataclass(frozen=True)
class Study:
    directory: str
    trials: List[Trial]

    @property
    def best(self) -> Trial:
        """The trial that `export` takes; of several targets see `trials`."""
        found = [trial for trial in self.trials if trial.best]
        if len(found) != 1:
            raise BadRequest(f"{self.directory}: the study has {len(found)} best trials, one a target; choose among `trials`")
        return found[0]

    def export(self, out, *, quiet: bool = False, **options) -> Model:
        """`thimble export`: distils the best student (target=, trial=, max_params=, epochs=, ...) and loads it."""
        run("export", self.directory, "--out", out, *_options(options), quiet=quiet)
        return load(out)


def search(study, *, quiet: bool = False, **options) -> Study:
    """`thimble search`: runs a study that `thimble init` wrote, or goes on with it; of one that is done it gives the
    results. set=["recipe.epochs=1"] overrides fields."""
    told = json.loads(run("search", study, "--json", *_options(options), quiet=quiet))
    return Study(str(study), [Trial(**trial) for trial in told["trials"]])


def main():
    """The command `thimble`: the program itself takes this process's place."""
    try:
        variables = environment()
    except BadRequest as error:
        # Help, version and mistakes need no LibTorch: the program says the rest.
        variables = dict(os.environ)
        if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and not {"-h", "--help"} & set(sys.argv):
            print(f"thimble: {error}", file=sys.stderr)
            return 2
    os.execve(program(), ["thimble", *sys.argv[1:]], variables)
