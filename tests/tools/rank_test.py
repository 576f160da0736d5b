"""`thimble rank`: cheap and trained scores in one file that survives a kill; the report's figures."""
import json
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import ALL_NEEDED  # noqa: E402

from fixture import SOURCE, Case, run
from kill import kill_until_done, timed


class Rank(Case):
    def command(self, out, *more, **changed):
        options = {"rows": 160, "score-rows": 40, "dev-rows": 40, "architectures": 4, "parameters": "20k", "tolerance": 0.2,
                   "hidden": "12,16", "layers": 2, "trigram": 8, "epochs": 2, **changed}
        return ("rank", self.root / "teacher", "--task", "sample", "--data", self.data, "--out", out,
                *(word for name, value in options.items() for word in ("--" + name, value)), *more)

    def lines(self, out):
        lines = [json.loads(line) for line in (out / "ranks.jsonl").read_text().splitlines()]
        for line in lines:
            line.pop("seconds", None)
        return lines

    def test_scores_and_resume(self):
        planned = run(*self.command(self.root / "none", "--dry-run")).stdout
        self.assertIn("parameters", planned)
        self.assertFalse((self.root / "none").exists())

        whole = self.root / "whole"
        _, took = timed(*self.command(whole))
        lines = self.lines(whole)
        self.assertEqual([line["kind"] for line in lines], ["study"] + 2 * (["cheap"] * 2 + ["trained"] * 4))
        cheap = {line["hash"]: line for line in lines if line["kind"] == "cheap"}
        self.assertEqual(len(cheap), 4)
        for line in cheap.values():
            self.assertTrue(16000 <= line["parameters"] <= 24000)
            self.assertGreater(line["untrained"]["loss_se"], 0)
            parts = sum(line["untrained"]["loss/" + name] for name in ("attention_scores", "hidden_states", "soft_labels"))
            self.assertAlmostEqual(line["untrained"]["loss"], parts, places=6)
            self.assertLessEqual(line["r2_last"], 1)
            self.assertGreater(line["proxies"]["w_pca"], line["parameters"])
            self.assertNotEqual(line["proxies"]["jacobian"], line["proxies"]["jacobian_sliced"])
        for line in lines[1:]:
            if line["kind"] == "trained":
                self.assertEqual(len(line["epochs"]), 2)
                self.assertIn("accuracy", line["dev"])
        by_seed = {(line["hash"], line["seed"]): line["dev"]["loss"] for line in lines if line["kind"] == "trained"}
        self.assertEqual(len(by_seed), 8)
        self.assertTrue(all(by_seed[h, 1] != by_seed[h, 2] for h in cheap), "seeds differ")
        self.assertEqual(sorted(p.suffix for p in whole.iterdir() if p.suffix == ".checkpoint"), [])

        killed = self.root / "killed"
        kills = kill_until_done(self.command(killed, "--checkpoint-seconds", "0.05"), random.Random(1), 0.2 * took, 0.7 * took)
        self.assertGreaterEqual(kills, 1)
        self.assertEqual(self.lines(killed), lines)

        other = run(*self.command(whole, "--set", "optimizer.adamw.learning_rate=1e-3"), check=False)
        self.assertEqual(other.returncode, 2)
        self.assertIn("new directory", other.stderr)
        (whole / "ranks.jsonl").write_text("not json\n")
        broken = run(*self.command(whole), check=False)
        self.assertEqual(broken.returncode, 2)
        self.assertIn("ranks.jsonl:1", broken.stderr)

    def test_bad_options(self):
        for changed, word in (({"hidden": 13}, "heads"), ({"parameters": "1k"}, "size"), ({"score-rows": 100000}, "score-rows")):
            done = run(*self.command(self.root / "bad", **changed), check=False)
            self.assertEqual(done.returncode, 2, changed)
            self.assertIn(word, done.stderr)
            self.assertFalse((self.root / "bad").exists())


class Report(unittest.TestCase):
    def test_tau_of_known_orders(self):
        try:
            import scipy  # noqa: F401
        except ImportError as error:
            self.assertFalse(ALL_NEEDED, error)
            self.skipTest("needs scipy")
        folder = pathlib.Path(self.enterContext(__import__("tempfile").TemporaryDirectory()))
        generator = random.Random(3)
        lines = [{"kind": "study", "task": "toy", "rows": {"train": 1, "score": 1, "dev": 1}}]
        for i in range(12):
            noise = lambda: generator.random()
            untrained = {"accuracy": noise(), "accuracy_se": 0.1, "loss": i, "loss/attention_scores": -i,
                         "loss/hidden_states": noise(), "loss/soft_labels": noise()}
            lines.append({"kind": "cheap", "hash": str(i), "layers": 3, "parameters": 100 - i, "multiply_adds": 7,
                          "untrained": untrained, "r2_last": noise(), "r2_mean": noise(),
                          "proxies": {"w_pca": 5 * (100 - i), "w_pca_sliced": noise(), "jacobian": -i, "jacobian_sliced": None}})
            for seed in (1, 2):
                dev = {"accuracy": 1 - i / 20, "accuracy_se": 0.01, "loss": 2 + i, "loss_se": 0.1, "loss/soft_labels": noise(),
                       "loss/soft_labels_se": 0.1}
                lines.append({"kind": "trained", "hash": str(i), "seed": seed, "epochs": [dev], "dev": dev})
        lines.append({"kind": "trained", "hash": "half done", "seed": 1, "epochs": [], "dev": {}})
        (folder / "ranks.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
        done = subprocess.run([sys.executable, SOURCE / "bench/studies/rank.py", folder], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {cells[1].strip(): [cell.split()[0] for cell in cells[2:-1]]
                for cells in (line.split("|") for line in done.stdout.splitlines() if line.startswith("|"))}
        self.assertEqual(rows["untrained loss"][0], "1.00")
        self.assertEqual(rows["untrained loss"][2], "1.00")
        self.assertEqual(rows["untrained attention scores"][0], "-1.00")
        self.assertEqual(rows["parameters"][2], "1.00")
        self.assertEqual(rows["W-PCA x parameters"][2], "1.00")
        self.assertEqual(rows["W-PCA"][0], "nan", "without the parameters it is the same for all")
        self.assertEqual(rows["jacobian"][0], "1.00")
        self.assertNotIn("jacobian of the sliced student", rows)
        self.assertEqual(rows["multiply-adds"][0], "nan", "a constant score ranks nothing")
        self.assertEqual(rows["one epoch: loss"][0], "1.00")
        self.assertEqual(rows["*seed against seed*"][0], "1.00")
        self.assertIn("12 architectures", done.stdout)


if __name__ == "__main__":
    unittest.main()
