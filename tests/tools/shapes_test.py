"""A study whose layers choose heads and inner widths, down to none: searched, stopped, shown, exported."""
import random
import re
import unittest

from fixture import Case, run
from kill import kill_until_done

LAYER = """  layer {
    mixer { self_attention {} }
    heads: [4, 0, 1, 2]
    ffn { expression {} stacks: 1 width: [32, 0, 16, 48] }
  }
}
"""
STAGES = """stage {
  name: "cut"  vary: [HEADS, WIDTH]
  filter { sliced_score {} keep: 0.5 }
  evaluator { untrained {} }
  trials: 6  round: 3
}
stage {
  name: "views"  vary: [HEADS, WIDTH]  from: "cut"
  evaluator { supernet { epochs: 1 } }
  trials: 4  round: 4
}
stage {
  name: "taught"  vary: [WIDTH, EXPRESSION]  from: "views"
  evaluator { short_distillation { epochs: 1 } }
  trials: 4  round: 2
}
seed: 3
"""


class Shapes(Case):
    def study(self, name):
        study = self.init(name)
        file = study / "study.textproto"
        text = file.read_text()
        text = re.sub(r"  layer \{.*?\n\}\n", LAYER, text, count=1, flags=re.DOTALL)
        text = re.sub(r"constraint \{.*\}\n", "constraint { parameters { max: 60000 } }\n", text)
        text = text.replace("loss { attention_scores {} } ", "").replace("fitness: LOSS", "fitness: DIVERGENCE")
        text = text.replace("sliced {", "sliced { surgeon: true weigh_tokens: 0.5")
        file.write_text(text[:text.index("# From coarse to fine")] + STAGES)
        return study

    def test_searched_shown_and_exported(self):
        study = self.study("study")
        described = run("describe", study).stdout
        self.assertIn("256 feasible of 256 points", described)  # (4 x 4) ^ 2
        run("search", study, "--threads", 1)
        shown = run("show", study).stdout
        for stage in ("cut", "views", "taught"):
            self.assertIn(stage, shown)
        self.assertRegex(shown, r"1 x \d+ wide|none")
        out = self.root / "found"
        run("export", study, "--out", out, "--epochs", 1)
        self.assertIn("accuracy", run("evaluate", out, "--task", "sample", "--data", self.data).stdout)
        run("predict", out, "a text", "another")
        # Killed again and again it proposes and finds the same.
        killed = self.study("killed")
        kill_until_done(("search", killed, "--threads", 1, "--checkpoint-seconds", 0.0), random.Random(2), 0.2, 2.0)
        table = lambda text: [line for line in text.splitlines() if re.match(r"^\w+/\d+ +(complete|thinned|failed) ", line)]
        self.assertGreater(len(table(shown)), 10)
        self.assertEqual(table(run("show", killed).stdout), table(shown))


if __name__ == "__main__":
    unittest.main()
