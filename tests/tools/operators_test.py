"""A study of several kinds of operators side by side: searched through its stages, killed, shown, reported, exported."""
import json
import random
import re
import sqlite3
import unittest

from fixture import Case, run
from kill import kill_until_done, timed

MIXERS = ["self_attention", "span_convolution", "linear_attention", "long_convolution"]
FORMS = ["groups", "routed", "glu"]
SPACE = """space {
  hidden: 16  heads: 4  layers: 2
  embedding { trigram { width: 8 } }
  layer {
    mixer: [{ self_attention {} }, { span_convolution { kernel: 3 } }, { linear_attention { features: SOFTMAX } }, { long_convolution { reach: 8 } }]
    ffn {
      expression { unary: [gelu] binary: [add] }
      stacks: 1  width: [16, 32]
      form: [{}, { groups: 2 }, { routed { count: 2 } }, { glu {} }]
    }
  }
}
"""
STAGES = """stage {
  name: "untrained"  vary: [MIXER, FORM, WIDTH]  evaluator { untrained {} }  trials: 10
}
stage {
  name: "taught"  vary: [MIXER, FORM, WIDTH]  from: "untrained"  evaluator { successive_halving { epochs: 2 least: 1 } }  trials: 4  round: 4
}
controls: false
seed: 5
"""
RECIPE = """recipe {
  epochs: 2
  batching { size: 32 max_length: 32 }
  objective { loss { soft_labels {} } loss { hidden_states {} } loss { hidden_states { states: MIXER } weight: 0.5 } }
  optimizer { adamw { learning_rate: 1e-3 } }
}
constraint { parameters { max: 100000 } }
fitness: DIVERGENCE
"""


class Operators(Case):
    def study(self, name):
        study = self.init(name)
        file = study / "study.textproto"
        text = file.read_text()
        head, tables = text[:text.index("warmup {")], re.findall(r"(?:vocabulary|positions): \d+", text)
        file.write_text(head + "warmup { sliced { kernel_steps: 20 } }\n" + SPACE.replace("hidden: 16", " ".join(tables) + " hidden: 16") + RECIPE + STAGES)
        return study

    def trials(self, study):
        with sqlite3.connect(study / "study.db") as db:
            return db.execute("SELECT study_id, number, state, value FROM trials LEFT JOIN trial_values USING (trial_id) "
                              "ORDER BY study_id, number").fetchall()

    def test_searched_killed_and_reported(self):
        study = self.study("study")
        _, took = timed("search", study, "--threads", 1)
        shown = run("show", study, "--json").stdout
        for part in MIXERS + FORMS:
            self.assertIn(part, shown, "no trial has it")
        killed = self.study("killed")
        kills = kill_until_done(("search", killed, "--threads", 1, "--checkpoint-seconds", 0.0), random.Random(3), 0.15 * took, 0.5 * took)
        self.assertGreaterEqual(kills, 1)
        self.assertGreaterEqual(len(self.trials(study)), 14)
        self.assertEqual(self.trials(study), self.trials(killed))
        run("show", study)
        page = (study / "report.html").read_text()
        self.assertTrue(any(part in page for part in MIXERS[1:]))
        run("export", study, "--out", self.root / "found")
        config = json.loads((self.root / "found/config.json").read_text())
        self.assertEqual(config["num_hidden_layers"], 2)
        predicted = run("predict", self.root / "found", "one text", "--json").stdout
        self.assertTrue(predicted)

    def test_what_does_not_go_together(self):
        study = self.study("wrong")
        file = study / "study.textproto"
        text = file.read_text()
        for old, new, said in (
                ("groups: 2", "groups: 5", "form[1].groups"),
                ("{ groups: 2 }", "{ groups: 1 }", "form[1]: a value stands twice"),
                ("evaluator { untrained {} }", "evaluator { supernet {} }", "of blocks only dense ones"),
                ("warmup { sliced { kernel_steps: 20 } }", "", "does not slice the teacher")):
            with self.subTest(new):
                file.write_text(text.replace(old, new, 1))
                done = run("search", study, "--dry-run", check=False)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
