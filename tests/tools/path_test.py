"""The whole path on the generated task with a tiny teacher: every command, every file."""
import json
import re
import sqlite3
import unittest

from fixture import SOURCE, Case, run


class Path(Case):
    def test_every_recipe_distils(self):
        architecture = self.root / "student.textproto"
        vocabulary = len((self.root / "base/vocab.txt").read_text().split())
        layer = "layer { mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } } "
        architecture.write_text(f"vocabulary: {vocabulary} positions: 64 hidden: 16 heads: 4 ffn_hidden: 32 pooler: 24 "
                                "embedding { trigram { width: 8 } } " + 2 * layer)
        recipes = sorted((SOURCE / "configs/recipes").glob("*.textproto"))
        self.assertGreaterEqual(len(recipes), 6)
        for recipe in recipes:
            out = self.root / ("by-" + recipe.stem)
            if recipe.stem.endswith("_text"):
                what = (self.root / "base", "--corpus", self.data / "corpus.txt", "--lines", 64)
            else:
                what = (self.root / "teacher", "--task", "sample", "--data", self.data, "--rows", 64)
            done = run("distill", what[0], "--architecture", architecture, *what[1:], "--recipe", recipe, "--set", "epochs=1",
                       "--out", out)
            self.assertIn("written to", done.stdout, recipe.stem)

    def test_the_published_search_scaled_down_by_overrides_alone(self):
        study = self.root / "published"
        study.mkdir()
        (study / "study.textproto").write_text((SOURCE / "configs/efficientbert.textproto").read_text())
        vocabulary = len((self.root / "base/vocab.txt").read_text().split())
        few = ["trials=16", "strategy.learned_action_space.initial=10", "strategy.learned_action_space.rebuild=2"]
        smaller = [f"teacher.model={self.root / 'teacher'}", "teacher.hidden=24", "teacher.layers=2", f"data.directory={self.data}",
                   "data.task={sample {}}", "data.train_rows=160", f"warmup.corpus.path=['{self.data / 'corpus.txt'}']", "warmup.corpus.lines=64",
                   "warmup.corpus.epochs=1", f"space.vocabulary={vocabulary}", "space.positions=64", "space.hidden=24", "space.heads=4",
                   "space.layers=2", "constraint[0].parameters.min=0", "constraint[0].parameters.max=60000", "recipe.batching.max_length=32",
                   "recipe.batching.size=16", "fitness=LOSS", "stage[0].evaluator.short_distillation.epochs=1", "stage[1].evaluator.short_distillation.epochs=1",
                   "stage[2].evaluator.supernet.epochs=1", *(f"stage[{i}].{each}" for i in range(3) for each in few)]
        overrides = [word for each in smaller for word in ("--set", each)]
        run("search", study, "--threads", 1, *overrides)
        shown = run("show", study).stdout
        for stage in ("joint", "operators", "shape"):
            self.assertIn(f"stage {stage}: best trial", shown)
            # Some of every stage's proposals are what its rules have accepted.
            self.assertRegex(shown, rf"(?m)^{stage}/\d+ +\w+ +learned ")
            self.assertRegex(shown, rf"(?m)^{stage}/\d+ +\w+ +drawn ")
            self.assertRegex(shown, rf"stage {stage}: best trial .*\n.*mean score by origin: drawn .*, learned .*\n"
                                    r"  proposed by rules of \d+ scores: better than \S+ \([\d.]+% right on what was held out\)")

    def test_whole_path(self):
        study = self.init("study", "--corpus", self.data / "corpus.txt")
        text = (study / "study.textproto").read_text()
        self.assertIn("stage {", text)

        described = run("describe", study).stdout
        self.assertIn("feasible", described)
        self.assertRegex(described, r"layer 2 +layer 2 +attention_scores, hidden_states")
        self.assertRegex(described, r"head +head +soft_labels")

        before = sorted(p.name for p in study.iterdir())
        run("search", study, "--dry-run")
        self.assertEqual(before, sorted(p.name for p in study.iterdir()), "--dry-run wrote something")

        searched = run("search", study).stdout
        for stage in ("joint", "operators", "shape"):
            self.assertIn(f"stage {stage}: best trial", searched)
        with sqlite3.connect(study / "study.db") as db:
            names = {row[0] for row in db.execute("select study_name from studies")}
            scored = db.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')").fetchone()[0]
            trained = db.execute("select count(*) from trials where state = 'COMPLETE'").fetchone()[0]
        self.assertEqual(names, {"study/joint", "study/operators", "study/shape"})
        self.assertGreaterEqual(scored, 24)
        self.assertGreaterEqual(trained, 8)
        self.assertEqual(run("search", study).stdout, searched, "a finished study is read back")

        shown = run("show", study).stdout
        self.assertRegex(shown, r"Pareto front of stage shape \(score, parameters; \d+\.\d% .* is dominated\):  \d+: -?\d+\.\d{4,} \d+\.\d{3}M")
        # The best of all within a limit that all keep; and where none does.
        best = re.search(r"stage shape: best trial (\d+), score (\S+)", shown)
        fronts = run("show", study, "--front", "score,multiply_adds,bytes", "--at-most", "parameters=1M").stdout
        self.assertRegex(fronts, r"\(score, multiply_adds, bytes; .*:  \d+: -?\d+\.\d{4,} \d+\.\d{3}M \d+\.\d{2}MB")
        self.assertIn(f"with parameters up to 1.000M: trial {best.group(1)}, score {best.group(2)}, parameters 0.0", fronts)
        self.assertIn("up to 0.001M: none", run("show", study, "--at-most", "parameters=1k").stdout)
        self.refuse(("show", study, "--front", "score"), "--front", "two or three goals")
        self.refuse(("show", study, "--front", "score,speed"), "no such goal", "speed", "multiply_adds")
        self.refuse(("show", study, "--front", "score,latency"), "--front", "does not limit it")
        self.refuse(("show", study, "--at-most", "score=1"), "--at-most", "parameters=9M")
        self.assertIn('id="study"', (study / "report.html").read_text())

        student = self.root / "student"
        run("export", study, "--out", student, "--max-params", "60k", "--epochs", 1, "--quantize", "int8")
        self.assertLess((student / "model.int8.onnx").stat().st_size, (student / "model.onnx").stat().st_size)
        for name in ("config.json", "model.safetensors", "vocab.txt", "README.md", "architecture.textproto", "model.onnx",
                     "study.textproto"):
            self.assertTrue((student / name).is_file(), name)
        run("export", study, "--out", self.root / "uniform", "--uniform", "--epochs", 0)

        tuned = self.root / "tuned"
        run("finetune", student, "--task", "sample", "--data", self.data, "--rows", 240, "--epochs", 1, "--teacher",
            self.root / "teacher", "--out", tuned)
        table = run("evaluate", self.root / "teacher", tuned, "--task", "sample", "--data", self.data, "--latency").stdout
        self.assertIn("accuracy", table)
        self.assertIn("latency ms", table)

        told = json.loads(run("predict", tuned, "the cat", "a dog", "--json").stdout)
        self.assertEqual(len(told["logits"]), 2)
        self.assertAlmostEqual(sum(told["probabilities"]), 1, places=6)
        self.assertEqual(told["input_ids"][0], 2)

        distilled = self.root / "distilled"
        run("distill", self.root / "teacher", "--architecture", student / "architecture.textproto", "--task", "sample",
            "--data", self.data, "--rows", 240, "--epochs", 1, "--out", distilled)
        self.assertTrue((distilled / "model.onnx").is_file())

    def test_warm_up_on_sentence_pairs(self):
        study = self.init("pairs", "--corpus", self.data / "corpus.txt")
        few = [argument for i in range(3) for argument in ("--set", f"stage[{i}].trials=2")]
        run("search", study, *few, "--set", "warmup.corpus.pairs=true", "--set", "warmup.corpus.epochs=2", "--set",
            "warmup.corpus.lines=0")
        index = json.loads(next((study / "work").rglob("corpus.json")).read_text())
        rows = [epoch["rows"] for epoch in index["epochs"]]
        self.assertEqual(len(rows), 5)
        self.assertGreater(min(rows), 0.8 * max(rows))
        self.assertTrue((study / "work/warmup.safetensors").is_file())

    def test_describe_explains_components(self):
        came = run("describe", "optimizer", "came").stdout
        self.assertIn("beta3", came)
        self.assertIn("state:", came)
        for topic in ("study", "optimizer", "loss", "task", "strategy", "evaluator", "stage", "recipe"):
            self.assertTrue(run("describe", topic).stdout.strip())


if __name__ == "__main__":
    unittest.main()
