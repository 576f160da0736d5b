"""Every command that writes, with any of its writing calls failing: one message, exit 1 (2 before the work), nothing left over,
and the same command run again ends as if nothing had happened. THIMBLE_FAIL_WRITE (base/write_calls.h) makes the calls fail.

failing_writes_test.py takes a few calls of each command; script/fail-writes takes all:

    failing_writes.py [COMMAND...]        with THIMBLE and THIMBLE_SOURCE_DIR in the environment
"""
import dataclasses
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from typing import Callable

from fixture import THIMBLE, Case, run

# What an unfinished run may keep: the same command goes on from it.
CHECKPOINT = re.compile(r"(checked\.)?out\.(checkpoint(\.(text|teacher))?|events)(/.*)?$")
UNFINISHED = re.compile(r"\.(partial|old)-\d+|\.thimble-trial")
QUICK_STUDY = """
teacher { model: "%(root)s/teacher" }
data { directory: "%(data)s" task { sample {} } train_rows: 96 holdout: 0.25 }
warmup { sliced { rows: 40 validate_rows: 16 } corpus { path: "%(data)s/corpus.txt" lines: 40 epochs: 1 learning_rate: 1e-4 } }
space { hidden: 16 heads: 4 layers: 2 vocabulary: %(words)d positions: 64 ffn_hidden: 16
        embedding { trigram { width: 8 } }
        layer { mixer { self_attention {} } ffn { expression { max_height: 3 } stacks: [1, 2] ratio: ["1", "1/2"] } } }
recipe { epochs: 1 batching { max_length: 32 size: 16 } optimizer { adamw { learning_rate: 1e-3 } }
         objective { loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} } } }
stage { name: "joint" vary: [STACKS, RATIO] evaluator { short_distillation { epochs: 1 } } trials: 2 round: 2 }
stage { name: "shape" vary: [STACKS, RATIO] from: "joint" evaluator { supernet { epochs: 1 } } trials: 3 round: 2 }
"""


@dataclasses.dataclass
class Command:
    arguments: Callable  # of the folder that all is written in
    prepare: Callable = lambda work: None  # what lies there before
    state: bool = False  # it goes on in a directory of its own, whatever is there when it fails


def make_quick_study(case, directory):
    """Two stages, text, a supernet: seconds."""
    directory.mkdir()
    words = len((case.root / "base/vocab.txt").read_text().splitlines())
    (directory / "study.textproto").write_text(QUICK_STUDY % {"root": case.root, "data": case.data, "words": words})
    return directory


def commands(case):
    """Name to command. `case`: a fixture.Case, whose models and data they read."""
    root, data, teacher = case.root, case.data, case.root / "teacher"
    sample = ("--task", "sample", "--data", data)
    architecture = root / "small.textproto"
    words = len((root / "base/vocab.txt").read_text().splitlines())
    layer = "layer { mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } } "
    architecture.write_text(f"vocabulary: {words} positions: 64 hidden: 16 heads: 4 ffn_hidden: 16 pooler: 24 "
                            "embedding { trigram { width: 8 } } " + 2 * layer)
    (data / "SST-2").mkdir(exist_ok=True)
    (data / "SST-2/test.tsv").write_text("index\tsentence\n0\ta b c\n1\td e\n")
    (data / "SST-2/dev.tsv").write_text("sentence\tlabel\na b c\t0\nd e\t1\n")
    if not (root / "quick").exists():
        run("search", make_quick_study(case, root / "quick"), "--cache", "none", "--threads", 1)
    copy = lambda what: lambda work: shutil.copytree(root / what, work / what)  # noqa: E731
    plain = ("--cache", "none", "--threads", 1)
    return {
        "init": Command(lambda work: ("init", "--search", "operators", work / "out", *sample, "--teacher", teacher, "--rows", 64,
                                       "--max-params", "60k")),
        "vocab": Command(lambda work: ("vocab", "train", "--file", data / "corpus.txt", "--size", 200, "--out", work / "out")),
        "crop": Command(lambda work: ("crop", teacher, "--layers", "doubled", "--out", work / "out")),
        "slice": Command(lambda work: ("slice", teacher, *sample, "--rows", 40, "--out", work / "out", *plain)),
        "finetune": Command(lambda work: ("finetune", root / "base", *sample, "--rows", 48, "--epochs", 1, "--out", work / "out",
                                          *plain)),
        "finetune --force": Command(
            lambda work: ("finetune", root / "base", *sample, "--rows", 48, "--epochs", 1, "--force", "--out", work / "teacher",
                          *plain), prepare=copy("teacher")),
        "distill": Command(lambda work: ("distill", teacher, "--architecture", architecture, *sample, "--rows", 48, "--epochs", 2,
                                         "--out", work / "new/out", *plain)),
        "distill --corpus": Command(lambda work: ("distill", teacher, "--architecture", architecture, "--corpus",
                                                  data / "corpus.txt", "--lines", 40, "--out", work / "out", *plain)),
        "search": Command(lambda work: ("search", work / "study", *plain), state=True,
                          prepare=lambda work: make_quick_study(case, work / "study")),
        "show": Command(lambda work: ("show", work / "quick"), prepare=copy("quick"), state=True),
        "export": Command(lambda work: ("export", root / "quick", "--epochs", 1, "--out", work / "out", *plain)),
        "export MODEL": Command(lambda work: ("export", work / "teacher", "--quantize", "int8", "--force", *plain),
                                prepare=copy("teacher"), state=True),
        "evaluate": Command(lambda work: ("evaluate", teacher, "--task", "sst2", "--data", data, "--submission", work / "sub", *plain)),
        "rank": Command(lambda work: ("rank", teacher, *sample, "--rows", 48, "--score-rows", 24, "--dev-rows", 24, "--architectures",
                                      2, "--parameters", "20k", "--tolerance", 0.3, "--hidden", "12,16", "--layers", 2, "--trigram", 8,
                                      "--seeds", 1, "--epochs", 1, "--out", work / "ranks", *plain), state=True),
        "bench": Command(lambda work: ("bench", "latency", architecture, "--rounds", 1, "--length", 8, "--onnx", work / "onnx", "--json",
                                       work / "figures.json"), state=True),
    }


def start(arguments, plan):
    """The finished process (text) of a run with THIMBLE_FAIL_WRITE=PLAN."""
    return subprocess.run([THIMBLE, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "THIMBLE_FAIL_WRITE": plan})


def timeless(path):
    """A file's bytes without times."""
    data = path.read_bytes()
    if path.name in ("sliced_start.json", "ranks.jsonl", "figures.json"):
        return re.sub(rb'"(seconds|median|quartiles)": ?(\[[^]]*\]|[-0-9.e]+)', b"", data)
    if path.name == ".thimble-files":
        return b"".join(line for line in data.splitlines(True) if b"events.out.tfevents." not in line)
    if path.name == "study.db":
        with sqlite3.connect(path) as db:
            rows = db.execute("select study_name, number, state, value from trials join studies using (study_id) "
                              "left join trial_values using (trial_id) order by 1, 2").fetchall()
        return json.dumps(rows).encode()
    return data


def tree(work):
    """Path to a hash of its content, of every file below but TensorBoard's: their names and records are of the hour."""
    return {str(path.relative_to(work)): hashlib.sha256(timeless(path)).hexdigest() for path in sorted(work.rglob("*"))
            if path.is_file() and not path.name.endswith(("-wal", "-shm")) and not path.name.startswith("events.out.tfevents.")}


class Trial:
    """One command, failed again and again in a folder of its own."""

    def __init__(self, case, name, command):
        self.case, self.name, self.command = case, name, command
        self.work = case.root / "writes"
        self.before, self.calls, self.wanted = None, 0, None

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        self.command.prepare(self.work)
        self.before = tree(self.work)
        return self.command.arguments(self.work)

    def count(self):
        """Runs it without failure. Returns how many calls there are to fail."""
        done = start(self.fresh(), "COUNT")
        self.case.assertEqual(done.returncode, 0, f"{self.name}\n{done.stdout}{done.stderr}")
        self.calls = int(re.search(r"write calls: (\d+)", done.stderr)[1])
        self.wanted = tree(self.work)
        self.case.assertFalse([p for p in self.wanted if UNFINISHED.search(p) or ".checkpoint" in p], self.name)
        return self.calls

    def fail(self, plan):
        """Fails as planned, looks at what is left, and runs it again."""
        what = f"{self.name}, {plan} of {self.calls}"
        arguments = self.fresh()
        done = start(arguments, plan)
        said = f"{what}\n{done.stdout}{done.stderr}"
        if plan.endswith(":KILL"):
            self.case.assertEqual(done.returncode, -9, said)
        else:
            self.case.assertIn(done.returncode, (1, 2), said)
            messages = [line for line in done.stderr.splitlines() if line.startswith("thimble: ")]
            self.case.assertEqual(len(messages), 1, said)
            self.case.assertRegex(messages[0], "No space left|Read-only|Input/output", said)
            self.look(done.returncode, said)
        done = start(arguments, "COUNT")
        self.case.assertEqual(done.returncode, 0, f"again: {what}\n{done.stdout}{done.stderr}")
        self.case.assertEqual(tree(self.work), self.wanted, f"again: {what}")

    def look(self, code, said):
        left = tree(self.work)
        self.case.assertFalse([path for path in left if UNFINISHED.search(path)], said)
        if code == 2:
            self.case.assertEqual(left, self.before, said)
        if self.command.state:
            return
        out = {path for path in left if path not in self.before}
        self.case.assertFalse([path for path in out if not CHECKPOINT.search(path) and not path.startswith(("teacher.checkpoint", "teacher.events"))], said)
        for path, content in self.before.items():
            self.case.assertEqual(left.get(path), content, said)
        if not out:
            self.case.assertEqual([p for p in self.work.iterdir()
                                     if p.name not in {q.split("/")[0] for q in self.before} and p.suffix != ".events"], [], said)


class All(Case):
    """Every call of the commands that the program's arguments name, or of all."""
    only = []

    def test_every_call(self):
        for name, command in commands(self).items():
            if self.only and name not in self.only:
                continue
            trial = Trial(self, name, command)
            calls = trial.count()
            print(f"{name}: {calls} calls", flush=True)
            for call in range(1, calls + 1):
                for plan in (f"{call}", f"{call}+", f"{call}:KILL"):
                    trial.fail(plan)


if __name__ == "__main__":
    import unittest
    All.only = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
