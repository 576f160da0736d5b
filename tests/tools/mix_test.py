"""Several tasks mixed in one run: an exported model for each, with one encoder; kills change nothing; wrong files are refused."""
import json
import random
import re
import unittest

from fixture import Case, run
from kill import kill_until_done, timed

ARCHITECTURE = """
vocabulary: %d positions: 64 segments: 2 hidden: 24 heads: 4 ffn_hidden: 24 pooler: 24
embedding { trigram { width: 16 } }
layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" stacks: 1 ratio: "1" } }
layer { mixer { self_attention {} } ffn { expression: "linear(relu(linear(x,wb1)),wb2)" stacks: 2 ratio: "1/2" } }
"""
# The classes of the generated task, its label as a number, and where its second word stands.
NUMBER = """custom { name: "number" train: "SAMPLE/train.tsv" dev: "SAMPLE/dev.tsv" kind: REGRESSION
                     first: "sentence1" second: "sentence2" label: "label" }"""
SPAN = """custom { name: "span" train: "span.jsonl" dev: "span.jsonl" kind: SPAN first: "question" second: "passage"
                   label: "answer" answer_start: "start" }"""


def tensors(directory, file="model.safetensors"):
    """Name to bytes."""
    data = (directory / file).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    return {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]] for name, t in header.items()
            if name != "__metadata__"}


class Mix(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with (cls.data / "span.jsonl").open("w") as file:
            for line in (cls.data / "SAMPLE/train.tsv").read_text().splitlines()[1:161]:
                passage = line.split("\t")[1]
                answer = passage.split()[1]
                file.write(json.dumps({"question": "which word", "passage": passage, "answer": answer,
                                       "start": passage.index(answer)}) + "\n")

    def write(self, name, text):
        path = self.root / name
        path.write_text(text)
        return path

    def finetune(self, mix, out, *more):
        return ("finetune", self.root / "base", "--mix", mix, "--data", self.data, "--rows", 160, "--out", self.root / out, *more)

    def test_three_kinds_of_head_on_one_encoder(self):
        mix = self.write("three.textproto",
                         "part { task { %s } } part { task { sample {} } weight: 2 rows: 320 } part { task { %s } } exponent: 0.5" %
                         (SPAN, NUMBER))
        done = run(*self.finetune(mix, "three", "--epochs", 6))
        for task, metric in (("sample", "accuracy"), ("number", "pearson"), ("span", "f1")):
            self.assertIn(f"three/{task}", done.stdout)
            self.assertIn(metric, done.stdout)
        span, sample, number = (tensors(self.root / "three" / task) for task in ("span", "sample", "number"))
        shared = set(span) & set(sample)
        self.assertGreater(len(shared), 30)
        moved = tensors(self.root / "base")
        for name in shared:
            self.assertEqual(span[name], sample[name], name)
        self.assertTrue(any(moved[name.removeprefix("bert.")] != sample[name] for name in shared if name.removeprefix("bert.") in moved))
        for name in set(sample) & set(number):
            self.assertEqual(sample[name] == number[name], "classifier" not in name, name)
        self.assertIn("bert.pooler.dense.weight", sample)
        score = run("evaluate", self.root / "three/sample", "--task", "sample", "--data", self.data).stdout
        self.assertIn("accuracy", score)
        told = float(re.search(r"accuracy ([\d.]+) \+- ", done.stdout)[1])
        self.assertAlmostEqual(float(re.search(r"([\d.]+) \+- ", score)[1]), told, delta=0.051)

    def test_distilled_from_a_teacher_for_each(self):
        number = self.write("number.textproto", NUMBER)
        run("finetune", self.root / "base", "--task", number, "--data", self.data, "--rows", 160, "--epochs", 1, "--out",
            self.root / "number-teacher")
        mix = self.write("taught.textproto",
                         'part { task { sample {} } } part { task { %s } teacher: "%s" }' % (NUMBER, self.root / "number-teacher"))
        vocabulary = len((self.root / "base/vocab.txt").read_text().splitlines())
        architecture = self.write("architecture.textproto", ARCHITECTURE % vocabulary)
        out = self.root / "taught"
        run("distill", self.root / "teacher", "--architecture", architecture, "--mix", mix, "--data", self.data, "--rows", 160,
            "--epochs", 0, "--out", out)
        # Not trained yet: a head begins as its own teacher's.
        self.assertEqual(tensors(out / "number")["head.weight"],
                         tensors(self.root / "number-teacher")["classifier.weight"])
        run("distill", self.root / "teacher", "--architecture", architecture, "--mix", mix, "--data", self.data, "--rows", 160,
            "--epochs", 2, "--out", out, "--force")
        self.assertTrue((out / "sample/sliced_start.json").exists())
        self.assertIn("pearson", run("evaluate", out / "number", "--task", number, "--data", self.data).stdout)

    def test_kills_change_nothing(self):
        mix = self.write("killed.textproto", "part { task { sample {} } } part { task { %s } }" % NUMBER)
        arguments = ("--epochs", 3, "--checkpoint-seconds", "0.05", "--set", "accumulate=3")
        _, took = timed(*self.finetune(mix, "whole", *arguments))
        kills = kill_until_done(self.finetune(mix, "killed", *arguments), random.Random(1), 0.2 * took, 0.7 * took,
                                self.root / "killed")
        self.assertGreaterEqual(kills, 1)
        for task in ("sample", "number"):
            self.assertEqual(tensors(self.root / "whole" / task), tensors(self.root / "killed" / task))

    def test_wrong_files(self):
        for text, *fragments in (
                ("", "part: nothing to mix"),
                ("part { task { sample {} } } part { task { sample {} } }", "part[1].task", "mixed once", "got sample"),
                ("part { task { sample {} } weight: 0 }", "weight", "got 0", "above 0"),
                ("part { weight: 1 }", "task"),
                ("part { task { ax {} } }", "part[0].task", "no training file"),
                ("part { task { sample {} } } exponent: 2", "exponent", "got 2"),
                ("part { tsak { sample {} } }", "tsak", "accepted")):
            done = run(*self.finetune(self.write("wrong.textproto", text), "wrong"), check=False)
            self.assertEqual(done.returncode, 2, text + done.stderr)
            for fragment in ("wrong.textproto", *fragments):
                self.assertIn(fragment, done.stderr)
            self.assertFalse((self.root / "wrong").exists())
        mix = self.write("right.textproto", "part { task { sample {} } }")
        for more, fragment in ((("--task", "sample"), "got both"), ((), "got neither")):
            arguments = self.finetune(mix, "wrong", *more)
            if not more:
                arguments = tuple(a for a in arguments if a not in ("--mix", mix))
            done = run(*arguments, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(fragment, done.stderr)


if __name__ == "__main__":
    unittest.main()
