"""`thimble crop`: students that begin with parts of a larger model, and what is refused."""
import json
import unittest

from fixture import Case, run

ARCHITECTURE = """vocabulary: {vocabulary} positions: 64 hidden: {hidden} heads: 4 ffn_hidden: {ffn}
embedding {{ {embedding} }} layer_norm_epsilon: 1e-12
layer {{ mixer {{ self_attention {{}} }} ffn {{ expression: "linear(gelu_erf(linear(x,wb1)),wb2)" }} }}
"""


class Crop(Case):
    def architecture(self, name, **changes):
        vocabulary = len((self.root / "base/vocab.txt").read_text().splitlines())
        values = {"vocabulary": vocabulary, "hidden": 12, "ffn": 48, "embedding": "plain {}", **changes}
        path = self.root / (name + ".textproto")
        path.write_text(ARCHITECTURE.format(**values))
        return path

    def crop(self, name, *more, check=True):
        out = self.root / name
        return out, run("crop", self.root / "teacher", "--out", out, *more, check=check)

    def test_crops_and_trains_on(self):
        out, done = self.crop("first", "--to", self.architecture("thin"))
        self.assertIn("thimble finetune", done.stdout)
        told = run("describe", out).stdout
        self.assertIn("1 layers, hidden 12, 4 heads, plain embedding", told)
        self.assertEqual(json.loads((out / "config.json").read_text())["hidden_size"], 12)
        self.assertIn("layers: first, tokens: first", (out / "README.md").read_text())
        run("finetune", out, "--task", "sample", "--data", self.data, "--rows", 64, "--epochs", 1, "--out", self.root / "taught")
        for rule in ("uniform", "averaged"):
            out, _ = self.crop(rule, "--to", self.architecture("narrow", embedding="trigram { width: 6 }"), "--layers", rule,
                               "--tokens", "pca")
            self.assertIn("trigram embedding", run("describe", out).stdout)
            run("predict", out, "one text", "and another")

    def test_doubling_needs_no_architecture(self):
        out, _ = self.crop("doubled", "--layers", "doubled")
        self.assertIn("4 layers, hidden 24", run("describe", out).stdout)

    def test_refusals(self):
        for arguments, fragment in (
                ((), "--to: says what the student is"),
                (("--to", self.architecture("wide", hidden=48)), "hidden of the student"),
                (("--to", self.architecture("same"), "--layers", "last"), "first, uniform, doubled, averaged"),
                (("--to", self.architecture("same"), "--layers", "doubled"), "twice the model's layers"),
                (("--to", self.architecture("other", embedding="trigram { width: 6 }")), "plain to trigram")):
            out, done = self.crop("refused", *arguments, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(fragment, done.stderr)
            self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
