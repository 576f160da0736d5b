"""What a model was trained with travels with it: the length of its rows, how passages are read, the threshold for no answer."""
import json
import pathlib
import random
import re
import shutil
import tempfile
import unittest

from fixture import make_tiny_bert, run

WORDS = [a + b for a in "bdfgk" for b in ("ab", "ek", "io")]
SIGNS = ["never", "surely"]  # what a row says from its 131st word on, behind what 128 tokens hold
LENGTH = 200
ARCHITECTURE = """
vocabulary: %d positions: 256 segments: 2 hidden: 24 heads: 4 ffn_hidden: 24
embedding { plain {} }
layer { mixer { self_attention {} } ffn { expression: "linear(gelu_erf(linear(x,wb1)),wb2)" stacks: 1 ratio: "1" } }
"""


def config_of(directory):
    return json.loads((directory / "config.json").read_text())


class ModelSettings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="thimble-test-")
        cls.root = pathlib.Path(cls.folder.name)
        source = random.Random(5)
        for name, rows in (("train", 120), ("dev", 40)):
            lines = ["text\tlabel"]
            for i in range(rows):
                words = [source.choice(WORDS)] * 130 + [SIGNS[i % 2]] * source.randrange(30, 60)
                lines.append(" ".join(words) + f"\t{'no' if i % 2 == 0 else 'yes'}")
            (cls.root / f"{name}.tsv").write_text("\n".join(lines) + "\n")
        cls.task = cls.root / "long.textproto"
        cls.task.write_text('custom { name: "long" train: "train.tsv" dev: "dev.tsv" first: "text" label: "label" }')
        cls.common = ("--task", cls.task, "--data", cls.root)
        make_tiny_bert(cls.root / "base", [*WORDS, *SIGNS], positions=256)
        cls.tuned = cls.root / "tuned"
        cls.told = run("finetune", cls.root / "base", *cls.common, "--epochs", 8, "--learning-rate", "3e-3", "--set",
                       "batching.size=8", "--set", f"batching.max_length={LENGTH}", "--set", "precision=FLOAT32", "--out",
                       cls.tuned).stdout
        vocabulary = len((cls.root / "base/vocab.txt").read_text().splitlines())
        cls.architecture = cls.root / "student.textproto"
        cls.architecture.write_text(ARCHITECTURE % vocabulary)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def out(self, name):
        return self.root / f"{self.id().rsplit('.', 1)[1]}-{name}"

    def accuracy(self, model, *more):
        done = run("evaluate", model, *self.common, *more)
        return float(done.stdout.splitlines()[2].split()[2]), done.stderr

    def copy(self, name, length=None, tokenizer=None):
        """The fine-tuned model with that max_seq_length (None: as published, without) and model_max_length."""
        directory = self.out(name)
        shutil.copytree(self.tuned, directory)
        config = config_of(directory)
        config.pop("max_seq_length")
        if length is not None:
            config["max_seq_length"] = length
        (directory / "config.json").write_text(json.dumps(config))
        if tokenizer is not None:
            (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "model_max_length": %s}' % tokenizer)
        return directory

    def test_is_stored_and_used(self):
        self.assertEqual(config_of(self.tuned)["max_seq_length"], LENGTH)
        accuracy, told = self.accuracy(self.tuned)
        self.assertEqual(accuracy, 100)
        self.assertIn("accuracy 100.00", self.told)
        self.assertNotIn("tokens", told)
        text = (self.root / "dev.tsv").read_text().splitlines()[2].split("\t")[0]
        self.assertEqual(len(json.loads(run("predict", self.tuned, text, "--json").stdout)["input_ids"]), len(text.split()) + 2)
        long = " ".join([WORDS[0]] * 250)
        self.assertEqual(len(json.loads(run("predict", self.tuned, long, "--json").stdout)["input_ids"]), LENGTH)

    def test_another_length_is_said(self):
        accuracy, told = self.accuracy(self.tuned, "--max-length", 128)
        self.assertLess(accuracy, 70)
        self.assertIn(f"read to 128 tokens, as asked; it was trained with {LENGTH}", told)
        _, told = self.accuracy(self.tuned, "--max-length", LENGTH)
        self.assertNotIn("tokens", told)
        _, told = self.accuracy(self.tuned, "--max-length", 512)
        self.assertIn("read to 256 tokens, as many as it has positions, not 512", told)

    def test_a_directory_that_does_not_say(self):
        accuracy, told = self.accuracy(self.copy("untold"))
        self.assertEqual(accuracy, 100)
        self.assertIn("do not say how many tokens", told)
        _, told = self.accuracy(self.copy("untold-too"), "--max-length", 256)
        self.assertNotIn("do not say", told)

    def test_what_the_tokenizer_says(self):
        self.assertLess(self.accuracy(self.copy("short", tokenizer=64))[0], 70)
        self.assertEqual(self.accuracy(self.copy("long", tokenizer=512))[0], 100)
        for name, length in (("huge", "1000000000000000019884624838656"), ("none", "null"), ("nothing", 0), ("below", -1)):
            self.assertEqual(self.accuracy(self.copy(name, tokenizer=length))[0], 100, name)
        own = self.copy("own", length=LENGTH, tokenizer=64)  # a student's tokenizer files are its teacher's
        self.assertEqual(self.accuracy(own)[0], 100)

    def test_lengths_that_cannot_be(self):
        accuracy, told = self.accuracy(self.copy("long", length=400))
        self.assertEqual(accuracy, 100)
        self.assertIn("read to 256 tokens, as many as it has positions, not 400", told)
        for name, length in (("zero", 0), ("half", 12.5), ("words", "many")):
            done = run("evaluate", self.copy(name, length=length), *self.common, check=False)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn("max_seq_length", done.stderr)

    def trained(self, directory):
        self.assertEqual(config_of(directory)["max_seq_length"], LENGTH)
        return self.accuracy(directory)[0]

    def test_students_read_as_their_teacher(self):
        line = f"rows are read to {LENGTH} tokens, as {self.tuned} was trained with"
        told = run("distill", self.tuned, "--architecture", self.architecture, *self.common, "--epochs", 1, "--out",
                   self.out("distilled")).stderr
        self.assertEqual(told.count(line), 1, told)
        self.trained(self.out("distilled"))
        told = run("slice", self.tuned, *self.common, "--architecture", self.architecture, "--out", self.out("sliced"))
        self.assertEqual(told.stderr.count(line), 1, told.stderr)
        self.assertIn("(teacher 100.00)", told.stdout)
        self.trained(self.out("sliced"))
        told = run("finetune", self.root / "base", *self.common, "--teacher", self.tuned, "--epochs", 1, "--out", self.out("taught")).stderr
        self.assertEqual(told.count(line), 1, told)
        self.trained(self.out("taught"))
        told = run("finetune", self.tuned, *self.common, "--epochs", 1, "--out", self.out("again")).stderr
        self.assertEqual(told.count(line), 1, told)
        self.assertEqual(self.trained(self.out("again")), 100)
        # The recipe's file leaves it out, or says something else.
        (self.root / "recipe.textproto").write_text(
            "epochs: 1 objective { loss { soft_labels {} } } optimizer { adamw { learning_rate: 1e-3 } }")
        recipe = ("--recipe", self.root / "recipe.textproto")
        told = run("distill", self.tuned, "--architecture", self.architecture, *self.common, *recipe, "--out", self.out("file")).stderr
        self.assertEqual(told.count(line), 1, told)
        self.trained(self.out("file"))
        told = run("distill", self.tuned, "--architecture", self.architecture, *self.common, *recipe, "--set", "batching.max_length=150",
                   "--out", self.out("other")).stderr
        self.assertIn(f"rows are read to 150 tokens; {self.tuned} was trained with {LENGTH}", told)
        self.assertEqual(config_of(self.out("other"))["max_seq_length"], 150)

    def test_studies_read_as_their_teacher(self):
        told = run("init", "--search", "operators", self.out("study"), *self.common, "--teacher", self.tuned, "--max-params", "40k", "--effort", "quick").stderr
        self.assertIn(f"rows are read to {LENGTH} tokens", told)
        study = self.out("study") / "study.textproto"
        text = study.read_text()
        self.assertIn(f"max_length: {LENGTH} ", text)
        self.assertIn(f"read to 150 tokens; {self.tuned} was trained with {LENGTH}",
                      run("search", self.out("study"), "--dry-run", "--set", "recipe.batching.max_length=150").stderr)
        study.write_text(text.replace(f"max_length: {LENGTH} ", ""))
        small = [arg for i in range(3) for arg in ("--set", f"stage[{i}].trials=2")]
        run("search", self.out("study"), *small)
        run("export", self.out("study"), "--out", self.out("found"), "--epochs", 1, *small, "--quantize", "int8")
        self.trained(self.out("found"))

    # A model that is only made another form of says what it said, and no more.
    def test_conversions_add_nothing(self):
        untold = self.copy("untold")
        run("slice", untold, *self.common, "--architecture", self.architecture, "--out", self.out("sliced"))
        self.assertNotIn("max_seq_length", config_of(self.out("sliced")))
        before = (untold / "config.json").read_bytes()
        run("export", untold, "--quantize", "int8", *self.common)
        self.assertEqual((untold / "config.json").read_bytes(), before)

    # The best epoch's scores are those of what is written: scored once, they are what scoring the directory gives.
    def test_the_best_epoch_is_scored_as_it_is_written(self):
        for precision in ("FLOAT32", "BFLOAT16"):
            out = self.out(precision)
            told = run("finetune", self.root / "base", *self.common, "--epochs", 3, "--learning-rate", "3e-3", "--set", "keep=BEST",
                       "--set", "batching.size=8", "--set", f"precision={precision}", "--out", out).stdout
            self.assertAlmostEqual(float(re.search(r"accuracy ([\d.]+)", told)[1]), self.accuracy(out)[0], delta=0.06)


class SpanSettings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="thimble-test-")
        cls.root = pathlib.Path(cls.folder.name)
        source = random.Random(5)
        rows = []
        for _ in range(60):
            words = [source.choice(WORDS) for _ in range(source.randrange(50, 90))]
            at = source.randrange(len(words))
            words[at] = SIGNS[1]
            passage = " ".join(words)
            rows.append({"question": "which", "passage": passage, "answer": SIGNS[1], "start": passage.index(SIGNS[1])})
        (cls.root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        cls.passage = rows[0]["passage"]
        make_tiny_bert(cls.root / "base", [*WORDS, *SIGNS, "which"])
        cls.tuned = cls.root / "tuned"
        run("finetune", cls.root / "base", *cls.task("read { document_stride: 8 n_best: 7 }"), "--epochs", 1, "--set",
            "batching.max_length=40", "--out", cls.tuned)

    tearDownClass = classmethod(ModelSettings.tearDownClass.__func__)

    @classmethod
    def task(cls, reading):
        path = cls.root / f"task{len(reading)}.textproto"
        path.write_text('custom { name: "spans" train: "rows.jsonl" dev: "rows.jsonl" kind: SPAN first: "question" second: "passage" '
                        'label: "answer" answer_start: "start" %s }' % reading.replace("read", "reading"))
        return "--task", path, "--data", cls.root

    def windows(self):
        return json.loads(run("predict", self.tuned, "which", self.passage, "--json").stdout)["windows"]

    def test_passages_are_read_as_they_were(self):
        config = config_of(self.tuned)
        self.assertEqual([config[key] for key in ("max_seq_length", "doc_stride", "max_query_length", "n_best_size", "max_answer_length")],
                         [40, 8, 64, 7, 30])
        windows = self.windows()
        self.assertEqual(max(len(window["input_ids"]) for window in windows), 40)
        starts = [window["input_ids"][3] for window in windows[:2]]
        self.assertEqual(windows[0]["input_ids"][3 + 8], starts[1])
        own = run("evaluate", self.tuned, *self.task("read { document_stride: 8 n_best: 7 }"))
        plain = run("evaluate", self.tuned, *self.task(""))
        self.assertEqual(plain.stdout, own.stdout)
        self.assertNotIn("document_stride", own.stderr + plain.stderr)
        other = run("evaluate", self.tuned, *self.task("read { document_stride: 30 }"))
        self.assertIn("read with document_stride 30, max_query 64, n_best 20, max_answer 30, as the task says", other.stderr)
        self.assertIn("trained with document_stride 8,", other.stderr)

    def test_threshold_of_the_task_is_for_others(self):
        threshold = config_of(self.tuned)["null_threshold"]
        told = run("evaluate", self.tuned, *self.task("null_threshold: 1.5"))
        self.assertIn(f"no answer above {threshold:.3f}, tuned", told.stdout)
        self.assertIn("null_threshold, 1.5", told.stderr)
        # On plain text the head stays what it was.
        (self.root / "text.txt").write_text("\n".join(" ".join(WORDS[i:i + 6]) for i in range(9)) + "\n")
        run("distill", self.tuned, "--student", self.tuned, "--corpus", self.root / "text.txt", "--epochs", 1, "--out", self.root / "phase")
        for key in ("null_threshold", "max_seq_length", "doc_stride"):
            self.assertEqual(config_of(self.root / "phase")[key], config_of(self.tuned)[key])


if __name__ == "__main__":
    unittest.main()
