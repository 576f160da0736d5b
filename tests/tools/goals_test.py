"""A study over shapes as `init` writes it, two targets and one in parameters: described, searched, killed, shown, exported."""
import random
import re
import unittest

from fixture import Case, run
from kill import kill_until_done, timed

# trial, state, origin, score
ROW = re.compile(r"^([\w-]+/\d+) +(complete|left after \d epochs?|failed) +(\w+) +[\d.]+[kM]? +(-?[\d.]+)", re.MULTILINE)


class Goals(Case):
    def study(self, name, *goals):
        study = self.root / name
        told = run("init", study, "--task", "sample", "--data", self.data, "--teacher", self.root / "teacher", "--rows", 240, "--minutes", 1, *goals)
        self.assertRegex(told.stdout, r"a search over shapes, targets .*, about \d+ min on this machine")
        file = study / "study.textproto"
        text = file.read_text()
        self.assertIn("fitness: DIVERGENCE", text)
        self.assertIn("strategy { allocation {} }", text)
        # How much is searched depends on how fast this machine was when the file was written.
        text = re.sub(r"epochs: \d+", "epochs: 2", text)
        text = re.sub(r"trials: \d+  round: 8", "trials: 10  round: 4", text)
        text = re.sub(r"trials: \d+  round: \d+(  again.*)?\n}\n(seed|stage {\n  name: \"operators)", r"trials: 4  round: 4\n}\n\2", text)
        file.write_text(text)
        return study

    def products(self, model):
        return float(re.search(r"([\d.]+)M multiply-adds", run("describe", model).stdout).group(1))

    def test_a_student_for_each_target(self):
        study = self.study("study", "--speedup", "1.5,2")
        described = run("describe", study).stdout
        for stage in ("allocation-1_5x", "training-1_5x", "allocation-2x", "training-2x"):
            self.assertRegex(described, stage + r": \d+ trials in rounds of 4; [\d,]+ feasible of [\d,]+ points")
        searched, took = timed("search", study, "--threads", 1)
        self.assertEqual(len(re.findall(r"verdict: found student training-[\w]+/\d+ \(\w+\) (beats|loses to|cannot be told from) the uniform", searched.stdout)), 2)
        shown = run("show", study).stdout
        self.assertRegex(shown, r"verdict: .*\(accuracy 0\.\d+\).*; its own: accuracy 0\.\d+, all on the held-out rows")
        rows = ROW.findall(shown)
        for target in ("1_5x", "2x"):
            origins = [origin for name, _, origin, _ in rows if name.startswith("allocation-" + target)]
            for origin in ("plan", "taper", "uniform", "random"):
                self.assertIn(origin, origins)
            taught = {name: (state, origin) for name, state, origin, _ in rows if name.startswith("training-" + target)}
            self.assertEqual(taught[f"training-{target}/0"], ("complete", "uniform"))  # controls stay to the end
            self.assertEqual(taught[f"training-{target}/1"], ("complete", "random"))
        self.assertIn("target 1.5x:", shown)
        # Which of the two is asked for.
        self.refuse(("export", study, "--out", self.root / "x"), "--target", "the study has several", "1.5x, 2x")
        self.refuse(("export", study, "--out", self.root / "x", "--target", "3x"), "no such target", "1.5x, 2x")
        for target in ("1.5x", "2x"):
            out = self.root / f"found-{target}"
            run("export", study, "--target", target, "--out", out, "--epochs", 1)
            self.assertLessEqual(self.products(out), self.products(self.root / "teacher") / float(target[:-1]) * 1.01)
            self.assertIn("accuracy", run("evaluate", out, "--task", "sample", "--data", self.data).stdout)
        uniform = self.root / "uniform"
        run("export", study, "--target", "2x", "--uniform", "--out", uniform, "--epochs", 0)
        self.assertLessEqual(self.products(uniform), self.products(self.root / "teacher") / 2 * 1.01)
        # Killed again and again it finds the same.
        killed = self.study("killed", "--speedup", "1.5,2")
        kills = kill_until_done(("search", killed, "--threads", 1, "--checkpoint-seconds", 0.0), random.Random(3), 0.05 * took, 0.2 * took)
        self.assertGreaterEqual(kills, 2)
        again = run("show", killed).stdout
        self.assertEqual(ROW.findall(again), rows)
        verdicts = lambda text: re.findall(r"verdict: .*", text)
        self.assertEqual(verdicts(again), verdicts(shown))

    def test_parameters_choose_an_embedding_and_latency_is_this_machines(self):
        study = self.study("small", "--max-params", "12k")
        self.assertIn("embedding { factorised", (study / "study.textproto").read_text())
        run("search", study, "--threads", 1)
        out = self.root / "found-small"
        run("export", study, "--out", out, "--epochs", 0)
        parameters = float(re.search(r"([\d.]+)M deployed parameters", run("describe", out).stdout).group(1))
        self.assertLessEqual(parameters, 0.012)
        timed = self.study("timed", "--max-latency", "50ms")
        self.assertRegex(run("describe", timed).stdout, r"allocation-50ms: .* at least [\d,]+ feasible of")
        before = sorted(timed.iterdir())
        run("search", timed, "--threads", 1, "--dry-run")
        self.assertEqual(sorted(timed.iterdir()), before)
        run("search", timed, "--threads", 1)
        table = timed / "work/latency-1x128-1.json"
        self.assertEqual(len(ROW.findall(run("show", timed).stdout)), 14)
        # It goes on with what was measured, and with that alone.
        again = run("search", timed, "--threads", 1).stderr
        self.assertIn("was finished before", again)
        text = table.read_text()
        table.write_text(re.sub(r'("cpu": *)"[^"]*"', r'\1"another"', text))
        self.refuse(("search", timed), "another")
        table.write_text(text)
        run("export", timed, "--out", self.root / "found-timed", "--epochs", 0)

    def test_a_ready_checkpoint_is_compared_with_and_operators_come_last(self):
        ready = self.root / "ready"
        run("slice", self.root / "teacher", "--task", "sample", "--data", self.data, "--layers", 1, "--out", ready)
        more = ("--speedup", 2, "--ready", ready, "--operators")

        def study(name):
            made = self.study(name, *more)
            file = made / "study.textproto"
            text = file.read_text()
            self.assertIn(f'ready: "{ready}"', text)
            # Whoever is close to the best is taught once more.
            file.write_text(re.sub(r"trials: \d+  round: \d+\n}\nseed", "trials: 2  round: 2  again: 3\n}\nseed", text))
            return made
        whole, killed = study("whole"), study("killed-ready")
        searched, took = timed("search", whole, "--threads", 1)
        shown = run("show", whole).stdout
        self.assertRegex(shown, r"verdict: found student operators-2x/\d+ .* the uniform student .*; it .* the ready checkpoint \d+: score")
        self.assertRegex(shown, r"operators-2x/\d+ +complete, mean of 2 ")
        self.assertIn("cannot be told apart and are trained once more", searched.stderr)
        checkpoint = re.search(r"(operators-2x/\d+) +complete +ready checkpoint", shown).group(1)
        self.refuse(("export", whole, "--out", self.root / "x", "--trial", checkpoint), "is the ready checkpoint")
        run("export", whole, "--out", self.root / "found-beside", "--epochs", 0)
        kill_until_done(("search", killed, "--threads", 1, "--checkpoint-seconds", 0.0), random.Random(4), 0.05 * took, 0.2 * took)
        table = lambda text: [line for line in text.splitlines() if re.match(r"^[\w-]+/\d+ ", line)]
        self.assertEqual(table(run("show", killed).stdout), table(shown))
        # Begun with this checkpoint it goes on with no other.
        self.refuse(("search", whole, "--set", f"ready={self.root / 'teacher'}"), "another content of ready")
        self.refuse(("search", whole, "--set", "ready=/nowhere"), "ready", "/nowhere")

    def test_goals_that_cannot_be(self):
        common = ("init", self.root / "never", "--task", "sample", "--data", self.data, "--teacher", self.root / "teacher", "--rows", 240)
        self.refuse((*common, "--speedup", 100000), "--speedup")
        self.refuse((*common, "--speedup", 900), "no student with a head is within the budget", "at least")
        self.refuse((*common, "--max-latency", "0.01us"), "within the limits", "what the space offers here")
        self.refuse((*common, "--max-params", 90), "within the limits", "what the space offers here")
        self.refuse((*common, "--speedup", "2,2"), "another target has the same name")
        self.refuse((*common, "--effort", "quick", "--minutes", 5), "--effort", "a word for minutes")
        self.refuse((*common, "--search", "operators", "--speedup", 2), "--speedup", "is of a search over shapes")
        study = self.study("later", "--speedup", 2)
        self.refuse(("search", study, "--set", "target[0].multiply_adds.speedup=900"), "no student with a head is within the budget")


if __name__ == "__main__":
    unittest.main()
