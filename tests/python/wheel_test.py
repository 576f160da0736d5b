"""The wheel in a fresh environment: predicts without LibTorch what `thimble predict` and transformers say, and with it
evaluates, slices and searches as the program does.

usage: wheel_test.py BUILD_DIRECTORY
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import ALL_NEEDED, skip_without  # noqa: E402

import fixture  # noqa: E402
from answers_test import CLOSERS, OPENERS, WORDS, questions, squad  # noqa: E402

BUILD = sys.argv[1]
SITE = fixture.SOURCE / ".deps/site"
ARCHITECTURE = """
vocabulary: %d positions: 64 segments: 2 hidden: 24 heads: 4 ffn_hidden: 24
embedding { trigram { width: 16 } }
layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" stacks: 1 ratio: "1" } }
layer { mixer { linear_attention {} } ffn { expression: "linear(relu(linear(x,wb1)),wb2)" stacks: 2 ratio: "1/2" } }
"""
# What is run there: MODEL, and inputs as JSON on standard input.
PREDICT = """
import dataclasses, json, sys, thimble
model = thimble.load(sys.argv[1], threads=1)
inputs = [each if isinstance(each, str) else tuple(each) for each in json.load(sys.stdin)]
print(json.dumps([dataclasses.asdict(p) for p in model.predict(inputs, batch=5)]))
"""
TRANSFORMERS = """
import json, sys, torch, transformers
transformers.utils.logging.set_verbosity_error()
model = transformers.AutoModelForSequenceClassification.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
tokenizer = transformers.BertTokenizerFast(sys.argv[1] + "/vocab.txt")
with torch.inference_mode():
    print(json.dumps([model(**tokenizer(*pair, return_tensors="pt")).logits[0].tolist() for pair in json.load(sys.stdin)]))
"""


def command(*arguments, check=True, timeout=300, **options):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=timeout, **options)
    assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done


class Environment:
    """A Python of its own with the wheel in it."""

    def __init__(self, directory, wheel):
        command("python3", "-m", "venv", directory)
        self.python, self.thimble = directory / "bin/python", directory / "bin/thimble"
        command(self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", wheel)
        self.packages = pathlib.Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip())

    def run(self, code, *arguments, check=True, **options):
        # Not isolated from what pip sees, but from this checkout.
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
        done = command(self.python, "-c", code, *arguments, check=check, env=variables, cwd="/", **options)
        return done.stdout if check else done

    def add_libtorch(self):
        """What `pip install thimble[search]` brings, of the files that are here."""
        for part in ("torch", "nvidia", *(path.name for path in SITE.glob("torch-*.dist-info"))):
            try:
                shutil.copytree(SITE / part, self.packages / part, copy_function=os.link)
            except (OSError, shutil.Error):  # another file system
                shutil.rmtree(self.packages / part, ignore_errors=True)
                shutil.copytree(SITE / part, self.packages / part)


class Wheel(fixture.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        command(fixture.SOURCE / "script/package", "wheel", "--build", BUILD, "--out", cls.root / "wheels", timeout=600)
        cls.wheel, = (cls.root / "wheels").iterdir()
        cls.bare = Environment(cls.root / "bare", cls.wheel)
        cls.whole = Environment(cls.root / "whole", cls.wheel)
        cls.whole.add_libtorch()
        words = len((cls.root / "teacher/vocab.txt").read_text().splitlines())
        (cls.root / "student.textproto").write_text(ARCHITECTURE % words)
        fixture.run("distill", cls.root / "teacher", "--architecture", cls.root / "student.textproto", "--task", "sample", "--data",
                    cls.data, "--rows", 64, "--epochs", 1, "--out", cls.root / "student")
        lines = (cls.data / "SAMPLE/dev.tsv").read_text().splitlines()[1:41]
        cls.pairs = [line.split("\t")[:2] for line in lines]

    def predict(self, model, inputs):
        return json.loads(self.bare.run(PREDICT, model, input=json.dumps(inputs)))

    def told(self, model, inputs):
        rows = "\n".join(each if isinstance(each, str) else "\t".join(each) for each in inputs) + "\n"
        done = subprocess.run([fixture.THIMBLE, "predict", model, "--file", "-", "--json"], input=rows, capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_what_is_in_it(self):
        names = zipfile.ZipFile(self.wheel).namelist()
        self.assertRegex(self.wheel.name, r"^thimble-[\d.]+-py3-none-manylinux_\d+_\d+_\w+\.whl$")
        self.assertEqual([name for name in names if re.search(r"/lib(torch|c10|cuda|cupti)", name)], [])
        needed = command("ldd", self.bare.packages / "thimble/native/libthimble_texts.so").stdout
        self.assertNotIn("torch", needed)
        print(f"{self.wheel.name}: {self.wheel.stat().st_size / 1e6:.1f} MB")

    def test_predicts_without_libtorch_as_the_program_does(self):
        worst = 0
        for model in ("teacher", "student"):
            inputs = [*self.pairs, *(first for first, _ in self.pairs[:7]), "", "a very " * 100 + "long text"]
            got, wanted = self.predict(self.root / model, inputs), self.told(self.root / model, inputs)
            self.assertEqual(len(got), len(wanted))
            for mine, its in zip(got, wanted):
                self.assertEqual(mine["label"], its["label"])
                self.assertAlmostEqual(mine["probability"], max(its["probabilities"]), delta=1e-4)
                worst = max([worst, *(abs(a - b) for a, b in zip(mine["probabilities"].values(), its["probabilities"])),
                             *(abs(a - b) for a, b in zip(mine["logits"][0], its["logits"]))])
        print(f"largest difference to thimble predict: {worst:.1e}")
        self.assertLess(worst, 1e-4)

    def test_agrees_with_transformers(self):
        try:
            import torch  # noqa: F401
            import transformers  # noqa: F401
        except ImportError as error:
            if ALL_NEEDED:
                raise
            self.skipTest(f"{error}; script/test --full installs it")
        worst = 0
        for model in ("teacher", "student"):
            theirs = json.loads(command(sys.executable, "-c", TRANSFORMERS, self.root / model, input=json.dumps(self.pairs)).stdout)
            self.assertGreater(max(row[0] for row in theirs) - min(row[0] for row in theirs), 1e-2, "outputs tell nothing")
            for mine, wanted in zip(self.predict(self.root / model, self.pairs), theirs):
                worst = max([worst, *(abs(a - b) for a, b in zip(mine["logits"][0], wanted))])
        print(f"largest difference to transformers: {worst:.1e}")
        self.assertLess(worst, 1e-4)

    def test_other_kinds_of_models(self):
        several = self.root / "several"
        shutil.copytree(self.root / "teacher", several)
        config = json.loads((several / "config.json").read_text())
        (several / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
        for mine, its in zip(self.predict(several, self.pairs), self.told(several, self.pairs)):
            wanted = {each["label"]: each["probability"] for each in its["labels"]}
            self.assertEqual(mine["labels"], [name for name, share in wanted.items() if share > 0.5])
            for name, share in wanted.items():
                self.assertAlmostEqual(mine["probabilities"][name], share, delta=1e-4)

        (self.data / "squad").mkdir()
        for split, seed in (("train", 1), ("dev", 2)):
            squad(self.data / "squad" / f"{split}-v2.0.json", questions(40, seed, True))
        fixture.make_tiny_bert(self.root / "small", [*WORDS, *OPENERS, *CLOSERS, *"what is ?".split()])
        fixture.run("finetune", self.root / "small", "--task", "squad2", "--data", self.data, "--epochs", 1, "--out", self.root / "reader")
        asked = [[row["question"], row["passage"]] for row in questions(20, 3, True)]
        for mine, its in zip(self.predict(self.root / "reader", asked), self.told(self.root / "reader", asked)):
            self.assertEqual(mine["answer"], its["answer"])
            self.assertAlmostEqual(mine["null_odds"], its["null_odds"], delta=1e-3)
            self.assertEqual(len(mine["logits"]), len(its["windows"]))
            for choice, wanted in zip(mine["choices"], its["n_best"]):
                self.assertAlmostEqual(choice["probability"], wanted["probability"], delta=1e-4)

    def test_says_what_is_wrong(self):
        for code, message in (
                (f"thimble.load('{self.root}/base')", "model.onnx: is not there; `thimble export"),
                (f"thimble.load('{self.root}/teacher', max_length=1000)", "max_length: out of range"),
                (f"thimble.load('{self.root}/teacher', threads=-1)", "threads: must not be below 0"),
                (f"thimble.load('{self.root}/teacher').predict('a text')", "takes a list of texts"),
                (f"thimble.load('{self.root}/teacher').predict([('a', 'b', 'c')])", "an input is one text or two"),
                (f"thimble.evaluate('{self.root}/teacher', task='sample', data='{self.data}')", "pip install 'thimble[search]'")):
            said = self.bare.run(f"import thimble\ntry: {code}\nexcept thimble.BadRequest as error: print(error)\nelse: print('fine')")
            self.assertIn(message, said, code)
        done = command(self.bare.thimble, "describe", self.root / "teacher", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("thimble[search]", done.stderr)
        self.assertIn("evaluate", command(self.bare.thimble, "--help").stdout)

    def test_the_program(self):
        told = command(self.whole.thimble, "describe", self.root / "teacher").stdout
        self.assertEqual(told, fixture.run("describe", self.root / "teacher").stdout)
        wrong = self.whole.run("import thimble\ntry: thimble.evaluate('/nowhere', task='sample', data='/')\n"
                               "except thimble.BadRequest as error: print(error)")
        self.assertIn("/nowhere", wrong)

    def test_evaluates_and_slices(self):
        said = json.loads(self.whole.run(
            f"import dataclasses, json, thimble\nwhere = dict(task='sample', data='{self.data}')\n"
            f"small = thimble.slice('{self.root}/teacher', '{self.root}/small_by_python', speedup=1.5, quiet=True, **where)\n"
            "print(json.dumps([dataclasses.asdict(thimble.evaluate(small, **where)), small.predict(['a', ('b', 'c')])[1].label, small.kind]))"))
        its = json.loads(fixture.run("evaluate", self.root / "small_by_python", "--task", "sample", "--data", self.data, "--json").stdout)
        self.assertEqual(said[0]["metrics"], its["models"][0]["metrics"])
        self.assertEqual(said[0]["parameters"], its["models"][0]["parameters"])
        self.assertEqual(said[2], "classification")

    def test_searches(self):
        study = self.init("study")
        said = json.loads(self.whole.run(
            f"import json, thimble\nstudy = thimble.search('{study}', quiet=True)\nagain = thimble.search('{study}')\n"
            f"assert again == study, again\nmodel = study.export('{self.root}/found', epochs=0)\n"
            "print(json.dumps([study.best.name, study.best.score, len(study.trials), model.labels]))"))
        told = json.loads(fixture.run("search", study, "--json").stdout)
        best, = [trial for trial in told["trials"] if trial["best"]]
        self.assertEqual(said[:3], [f"{best['stage']}/{best['number']}", best["score"], len(told["trials"])])
        self.assertIn(said[0], fixture.run("show", study).stdout)
        self.assertTrue((self.root / "found/model.onnx").is_file())


def reachable():
    """Whether a package index answers."""
    with tempfile.TemporaryDirectory() as folder:
        return command(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10",
                       "download", "--no-deps", "--dest", folder, "wheel", check=False).returncode == 0


if __name__ == "__main__":
    if not reachable():
        skip_without("no package index")
    unittest.main(argv=sys.argv[:1])
