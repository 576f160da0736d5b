"""Questions about passages through every command: fine-tuned, distilled, sliced, searched, exported, evaluated, asked."""
import collections
import json
import pathlib
import random
import re
import string
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import ALL_NEEDED  # noqa: E402

try:
    import numpy
    import onnxruntime
except ImportError:
    onnxruntime = None

from fixture import Case, make_tiny_bert, run

WORDS = [a + b for a in "bdfgklmnprst" for b in ("ab", "ek", "io", "un")]
OPENERS, CLOSERS = ["vab", "vek", "vio"], ["zab", "zek", "zio"]
ARCHITECTURE = """
vocabulary: %d positions: 64 segments: 2 hidden: 24 heads: 4 ffn_hidden: 24
embedding { trigram { width: 16 } }
layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" stacks: 1 ratio: "1" } }
layer { mixer { self_attention {} } ffn { expression: "linear(relu(linear(x,wb1)),wb2)" stacks: 2 ratio: "1/2" } }
"""


def questions(count, seed, unanswerable):
    """The answer begins and ends with words that stand nowhere else; passages are longer than a window of the tiny model."""
    source = random.Random(seed)
    for number in range(count):
        words = [source.choice(WORDS) for _ in range(source.randrange(20, 90))]
        answer = None
        if not unanswerable or source.random() > 0.2:
            at = source.randrange(len(words))
            words[at:at] = [source.choice(OPENERS), *words[:source.randrange(3)], source.choice(CLOSERS)]
            answer = re.search("v(ab|ek|io) .*z(ab|ek|io)", " ".join(words))[0]
        passage = " ".join(words)
        start = passage.index(answer) if answer else None
        yield {"id": f"{seed}-{number}", "question": f"what is {source.choice(WORDS)} ?", "passage": passage, "answer": answer,
               "start": start}


def squad(path, rows):
    articles = [{"title": "t", "paragraphs": [
        {"context": row["passage"], "qas": [{"id": row["id"], "question": row["question"], "is_impossible": row["answer"] is None,
                                             "answers": [] if row["answer"] is None else
                                             [{"text": row["answer"], "answer_start": row["start"]}]}]}]} for row in rows]
    path.write_text(json.dumps({"version": "v2.0", "data": articles}))


def normal(text):
    """SQuAD's rules for comparing answers: lower case, no punctuation, no articles, single spaces."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def official(rows, predictions):
    """Mean exact match and F1 in percent, by the definitions of SQuAD 2.0."""
    exact = f1 = 0
    for row in rows:
        gold, got = normal(row["answer"] or ""), normal(predictions[row["id"]])
        exact += gold == got
        if not gold or not got:
            f1 += gold == got
            continue
        same = sum((collections.Counter(gold) & collections.Counter(got)).values())
        f1 += 2 * same / (len(gold) + len(got))
    return 100 * exact / len(rows), 100 * f1 / len(rows)


class Spans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Case.setUpClass.__func__(cls)  # data, base and a teacher of sentence pairs
        (cls.data / "squad").mkdir()
        for version, unanswerable in (("v1.1", False), ("v2.0", True)):
            cls.dev = list(questions(60, 2, unanswerable))
            squad(cls.data / "squad" / f"train-{version}.json", questions(300, 1, unanswerable))
            squad(cls.data / "squad" / f"dev-{version}.json", cls.dev)
        make_tiny_bert(cls.root / "small", [*WORDS, *OPENERS, *CLOSERS, *"what is ?".split()])
        cls.reader = cls.root / "reader"
        cls.told = run("finetune", cls.root / "small", "--task", "squad2", "--data", cls.data, "--epochs", 6,
                       "--learning-rate", "3e-3", "--set", "batching.size=16", "--out", cls.reader).stdout

    tearDownClass = classmethod(Case.tearDownClass.__func__)

    def scores(self, model, task="squad2", *more):
        """F1 and exact match of the table that evaluate prints."""
        text = run("evaluate", model, "--task", task, "--data", self.data, *more).stdout
        found = re.search(r"M +([\d.]+) \+- [\d.]+ +([\d.]+) \+- ", text)
        self.assertIsNotNone(found, text)
        return float(found[1]), float(found[2]), text

    def test_is_learnt_and_scored_as_the_official_script_does(self):
        f1, exact, text = self.scores(self.reader, "squad2", "--submission", self.root / "answers")
        self.assertGreater(f1, 70, text)
        self.assertIn("tuned; the best threshold on this file", text)
        predictions = json.loads((self.root / "answers/squad2_predictions.json").read_text())
        odds = json.loads((self.root / "answers/squad2_null_odds.json").read_text())
        self.assertEqual(sorted(odds), sorted(row["id"] for row in self.dev))
        want_exact, want_f1 = official(self.dev, predictions)
        self.assertAlmostEqual(exact, want_exact, delta=0.051)
        self.assertAlmostEqual(f1, want_f1, delta=0.051)
        self.assertIn(f"f1 {want_f1:.2f} ", self.told)
        again = run("evaluate", "--predictions", self.root / "answers/squad2_predictions.json", "--task", "squad2", "--data",
                    self.data).stdout
        self.assertIn(f"{want_f1:.2f} +- ", again)
        # What the threshold leaves out is what the odds are above it.
        threshold = json.loads((self.reader / "config.json").read_text())["null_threshold"]
        for row in self.dev:
            self.assertEqual(predictions[row["id"]] == "", odds[row["id"]] > threshold)

    def test_answers_a_question(self):
        good = 0
        for row in self.dev[:20]:
            told = json.loads(run("predict", self.reader, row["question"], row["passage"], "--json").stdout)
            good += told["answer"] == (row["answer"] or "")
            self.assertAlmostEqual(sum(item["probability"] for item in told["n_best"]), 1, places=6)
        self.assertGreater(good, 12)
        row = next(row for row in self.dev if row["answer"])
        self.assertIn("* ", run("predict", self.reader, row["question"], row["passage"]).stdout)
        done = run("predict", self.reader, "one text", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("a question and a passage", done.stderr)

    @unittest.skipIf(onnxruntime is None and not ALL_NEEDED, "no onnxruntime")
    def test_onnx_gives_the_same_logits(self):
        self.onnx(self.reader)

    def onnx(self, model):
        session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
        for row in self.dev[:5]:
            for window in json.loads(run("predict", model, row["question"], row["passage"], "--json").stdout)["windows"]:
                ids = numpy.array([window["input_ids"]], dtype=numpy.int64)
                types = numpy.array([window["token_type_ids"]], dtype=numpy.int64)
                pad = [(0, 0), (0, 64 - ids.shape[1])]
                got = session.run(["logits"], {"input_ids": numpy.pad(ids, pad), "token_type_ids": numpy.pad(types, pad),
                                               "attention_mask": numpy.pad(numpy.ones_like(ids), pad)})[0]
                want = numpy.array(window["logits"]).reshape(-1, 2)
                self.assertLess(numpy.abs(got[0, :ids.shape[1]] - want).max(), 1e-4)

    def test_distilled_sliced_and_fine_tuned_with_a_teacher(self):
        vocabulary = len((self.root / "small/vocab.txt").read_text().split())
        (self.root / "student.textproto").write_text(ARCHITECTURE % vocabulary)
        common = ["--task", "squad2", "--data", self.data]
        run("distill", self.reader, "--architecture", self.root / "student.textproto", *common, "--epochs", 6, "--out",
            self.root / "student", "--set", "optimizer.adamw.learning_rate=2e-3")
        f1, _, text = self.scores(self.root / "student")
        self.assertGreater(f1, 50, text)
        if onnxruntime is not None:
            self.onnx(self.root / "student")
        run("slice", self.reader, *common, "--rows", 100, "--architecture", self.root / "student.textproto", "--out",
            self.root / "sliced")
        self.scores(self.root / "sliced")
        allotted = run("slice", self.reader, *common, "--rows", 100, "--speedup", 1.3, "--out", self.root / "allotted").stdout
        self.assertIn("nats from the teacher", allotted)
        self.scores(self.root / "allotted")
        run("finetune", self.root / "student", *common, "--rows", 100, "--epochs", 1, "--teacher", self.reader, "--out",
            self.root / "tuned")
        self.assertGreater(self.scores(self.root / "tuned")[0], 50)

    def test_searched_and_exported(self):
        study = self.root / "study"
        run("init", "--search", "operators", study, "--task", "squad2", "--data", self.data, "--teacher", self.reader, "--rows", 60, "--max-params", "40k",
            "--effort", "quick")
        small = [arg for i in range(3) for arg in ("--set", f"stage[{i}].trials=2")]
        run("search", study, *small)
        run("export", study, "--out", self.root / "found", "--epochs", 1, *small)
        self.scores(self.root / "found")
        self.assertIn("a passage", (self.root / "found/README.md").read_text())

    def test_squad_1_and_own_data(self):
        self.scores(self.reader, "squad")
        for name, rows in (("train", questions(100, 1, True)), ("dev", self.dev)):
            lines = ["id\tquestion\tpassage\tanswer\tstart"]
            lines += ["\t".join([row["id"], row["question"], row["passage"], row["answer"] or "",
                                 "" if row["start"] is None else str(row["start"])]) for row in rows]
            (self.data / f"{name}.tsv").write_text("\n".join(lines) + "\n")
        task = self.root / "own.textproto"
        task.write_text('custom { name: "own" train: "train.tsv" dev: "dev.tsv" kind: SPAN first: "question" second: "passage" '
                        'label: "answer" answer_start: "start" reading { document_stride: 20 } }')
        run("data", "check", "--task", task, "--data", self.data)
        run("finetune", self.reader, "--task", task, "--data", self.data, "--epochs", 1, "--out", self.root / "own")
        text = run("evaluate", self.root / "own", "--task", task, "--data", self.data, "--submission", self.root / "own-answers").stdout
        predictions = json.loads((self.root / "own-answers/own_predictions.json").read_text())
        exact, _ = official(self.dev, {row["id"]: predictions[str(i)] for i, row in enumerate(self.dev)})
        self.assertIn(f" {exact:.1f} +- ", text)
        self.assertGreater(exact, 50)

    def test_heads_of_another_kind_are_refused(self):
        for model, task in ((self.root / "teacher", "squad2"), (self.reader, "sample")):
            done = run("evaluate", model, "--task", task, "--data", self.data, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("the model has no head for task " + task, done.stderr)


if __name__ == "__main__":
    unittest.main()
