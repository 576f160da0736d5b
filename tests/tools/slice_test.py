"""`thimble slice`: a student now, what it leaves beside it, and samples that are too small."""
import json
import re
import unittest

from fixture import Case, run


class Slice(Case):
    def slice(self, name, *more, data=None):
        out = self.root / name
        done = run("slice", self.root / "teacher", "--out", out, "--max-params", "12k", "--task", "sample", "--data",
                   data or self.data, *more)
        return out, done

    def test_record_and_description(self):
        out, done = self.slice("cut", "--bases", "--seed", 3)
        record = json.loads((out / "sliced_start.json").read_text())
        self.assertIn(b"fit_dense.weight", (out / "training.safetensors").read_bytes(), "what `distill --student` goes on with")
        self.assertEqual([b["block"] for b in record["blocks"]],
                         ["embedding", "layer.0.attention", "layer.0.ffn.0", "layer.1.attention", "layer.1.ffn.0"])
        for block in record["blocks"]:
            self.assertGreaterEqual(block["refitted"], block["cut"])
        self.assertLessEqual(record["parameters"], 12000)
        self.assertIn("accuracy", record["metrics"])
        self.assertEqual(len(record["captured"]), 5)
        told = run("describe", out).stdout
        for fragment in ("2 layers", "trigram embedding", "layer.1.ffn.0", "rows held out of", "shared directions"):
            self.assertIn(fragment, told)
        for block in record["blocks"]:
            self.assertIn(f"{block['refitted']:.3f}", told)
        # A model that was not cut says what it is and no more.
        self.assertNotIn("sliced start", run("describe", self.root / "teacher").stdout)
        (out / "sliced_start.json").write_text('{"blocks": [{"block": 1}]}')
        broken = run("describe", out, check=False)
        self.assertEqual(broken.returncode, 2)
        self.assertIn("sliced_start.json", broken.stderr)

    def test_options(self):
        plain, _ = self.slice("plain", "--rows", 300)
        cut, _ = self.slice("unfitted", "--rows", 300, "--set", "sliced.refit=false")
        blocks = json.loads((cut / "sliced_start.json").read_text())["blocks"]
        self.assertEqual({b["goal"] for b in blocks}, {"sliced"})
        self.assertGreater(json.loads((plain / "sliced_start.json").read_text())["blocks"][-1]["refitted"], blocks[-1]["refitted"])
        _, chosen = self.slice("chosen", "--rows", 300, "--set", "sliced.ridge=0", "--set", "sliced.tokens=0")
        self.assertIn("by cross-validation", chosen.stderr)
        shallow, _ = self.slice("shallow", "--layers", 1, "--text", self.data / "corpus.txt")
        self.assertIn("1 layers", run("describe", shallow).stdout)
        for wrong, fragment in (("sliced.ridge=-1", "ridge"), ("sliced.goal=MEAN", "goal"), ("epochs=3", "sliced.FIELD")):
            done = run("slice", self.root / "teacher", "--out", self.root / "x", "--task", "sample", "--data", self.data, "--set",
                       wrong, check=False)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn(fragment, done.stderr)
            self.assertFalse((self.root / "x").exists())

    def test_a_goal_allots_heads_and_neurons(self):
        out, done = self.root / "fast", None
        done = run("slice", self.root / "teacher", "--out", out, "--task", "sample", "--data", self.data, "--speedup", 1.5, "--rows", 200)
        for fragment in ("the teacher's over 1.5", "plan ", "uniform ", "taper ", "heads and neurons", "rows that the start has not seen"):
            self.assertIn(fragment, done.stdout)
        def products(model):
            return float(re.search(r"([\d.]+)M multiply-adds", run("describe", model).stdout).group(1))
        self.assertIn("the best students of each rule within", run("describe", out).stdout)
        self.assertLessEqual(products(out), products(self.root / "teacher") / 1.5 * 1.01)
        told = run("evaluate", out, "--task", "sample", "--data", self.data).stdout
        self.assertIn("accuracy", told)
        # The same command, the same student; one rule alone is one of those that competed.
        again = self.root / "again"
        second = run("slice", self.root / "teacher", "--out", again, "--task", "sample", "--data", self.data, "--speedup", 1.5, "--rows", 200)
        self.assertEqual((out / "model.safetensors").read_bytes(), (again / "model.safetensors").read_bytes())
        uniform = run("slice", self.root / "teacher", "--out", self.root / "uniform", "--task", "sample", "--data", self.data,
                      "--speedup", 1.5, "--rows", 200, "--rules", "uniform").stdout
        line = next(line for line in second.stdout.splitlines() if line.startswith("uniform "))
        self.assertIn(line.split()[1], uniform)
        # What was cut can be cut again.
        run("slice", self.root / "uniform", "--out", self.root / "twice", "--task", "sample", "--data", self.data, "--speedup", 1.3,
            "--rows", 200, "--rules", "uniform")
        self.assertLessEqual(products(self.root / "twice"), products(self.root / "uniform") / 1.3 * 1.01)

    def test_a_latency_is_measured_before_a_student_is_named(self):
        done = run("slice", self.root / "teacher", "--out", self.root / "timed", "--task", "sample", "--data", self.data, "--max-latency",
                   "200ms", "--rows", 200, "--rules", "plan,uniform")
        self.assertRegex(done.stderr, r"[\d.]+ ms predicted, [\d.]+ ms measured")
        self.assertIn("200 ms by measured parts", done.stdout)

    def test_goals_that_cannot_be(self):
        common = ["--out", self.root / "x", "--task", "sample", "--data", self.data]
        for options, fragment in ((["--speedup", 900], "at least"), (["--speedup", 2, "--max-params", "9k"], "--max-params"),
                                  (["--rules", "plan"], "--speedup or --max-latency"), (["--max-latency", "5 apples"], "not a time"),
                                  (["--max-latency", "0.01us"], "what the space offers here")):
            done = run("slice", self.root / "teacher", *common, *options, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(fragment, done.stderr)
            self.assertFalse((self.root / "x").exists())
        done = run("slice", self.root / "base", *common, "--speedup", 2, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("no task head", done.stderr)

    def test_one_row_of_data(self):
        data = self.root / "one"
        lines = (self.data / "SAMPLE/train.tsv").read_text().splitlines()
        for name, row in (("pair", lines[1]), ("short", "a\tb\t" + lines[1].split("\t")[2])):
            folder = data / name / "SAMPLE"
            folder.mkdir(parents=True)
            (folder / "train.tsv").write_text(lines[0] + "\n" + row + "\n")
            (folder / "dev.tsv").write_text((self.data / "SAMPLE/dev.tsv").read_text())
            _, done = self.slice("from-" + name, data=data / name)
            self.assertIn("refits are judged on too little to be trusted", done.stderr)
            self.assertIn("on 1 held-out rows", done.stdout)

    def test_distilled_students_keep_the_record(self):
        cut, _ = self.slice("start")
        out = self.root / "distilled"
        run("distill", self.root / "teacher", "--architecture", cut / "architecture.textproto", "--task", "sample", "--data",
            self.data, "--rows", 120, "--epochs", 1, "--set", "sliced.goal=LIFT", "--out", out)
        record = json.loads((out / "sliced_start.json").read_text())
        self.assertIn("LIFT", record["options"])
        self.assertIn("before any training", run("describe", out).stdout)


if __name__ == "__main__":
    unittest.main()
