"""A study whose rounds are halved after each epoch: searched, killed, shown, exported."""
import random
import re
import sqlite3
import unittest

from fixture import Case, run
from kill import kill_until_done, timed

STAGES = """stage {
  name: "halved"  vary: [STACKS, RATIO]
  evaluator { successive_halving { epochs: 3 least: 1 } }
  trials: 8  round: 4
}
stage {
  name: "next"  vary: [STACKS]  from: "halved"
  evaluator { successive_halving { epochs: 3 least: 1 } }
  trials: 2  round: 2
}
controls: false
seed: 3
"""
# trial, state, parameters, score
ROW = re.compile(r"^(\w+/\d+) +(complete|left after \d epochs?|thinned|failed) +([\d.]+[kM]?) +(-?[\d.]+)", re.MULTILINE)


class Halving(Case):
    def study(self, name):
        study = self.init(name)
        file = study / "study.textproto"
        text = file.read_text().replace("fitness: LOSS", "fitness: DIVERGENCE")
        text = text.replace("came { learning_rate: 2e-5 }", "adamw { learning_rate: 1e-3 }")
        file.write_text(text[:text.index("# From coarse to fine")] + STAGES)
        return study

    def trials(self, study):
        with sqlite3.connect(study / "study.db") as db:
            return db.execute("SELECT study_id, number, state, value, step, intermediate_value FROM trials JOIN trial_values USING (trial_id) "
                              "LEFT JOIN trial_intermediate_values USING (trial_id) ORDER BY study_id, number").fetchall()

    def test_searched_shown_and_exported(self):
        study = self.study("study")
        _, took = timed("search", study, "--threads", 1)
        shown = run("show", study).stdout
        rows = ROW.findall(shown)
        states = {name: state for name, state, _, _ in rows}
        for first in (0, 4):  # of four two leave, then one of two
            self.assertEqual(sorted(states[f"halved/{first + i}"] for i in range(4)),
                             ["complete", "left after 1 epoch", "left after 1 epoch", "left after 2 epochs"])
        self.assertEqual(states["next/0"], "complete")  # the score it had
        self.assertEqual(sorted([states["next/1"], states["next/2"]]), ["complete", "left after 1 epoch"])
        self.assertRegex(shown, r"stage halved: best trial \d+, .*; 2 scored")
        # What is best is of those that stayed, whatever the others' scores.
        best = re.search(r"stage next: best trial (\d+)", shown).group(1)
        self.assertEqual(states[f"next/{best}"], "complete")
        exported = run("export", study, "--out", self.root / "found", "--dry-run")
        self.assertIn(f"would export trial next/{best}\n", exported.stdout + exported.stderr)
        # Killed again and again it finds the same, and who leaves when.
        killed = self.study("killed")
        kills = kill_until_done(("search", killed, "--threads", 1, "--checkpoint-seconds", 0.0), random.Random(2), 0.1 * took, 0.4 * took)
        self.assertGreaterEqual(kills, 1)
        self.assertEqual(ROW.findall(run("show", killed).stdout), rows)
        self.assertEqual(self.trials(killed), self.trials(study))


if __name__ == "__main__":
    unittest.main()
