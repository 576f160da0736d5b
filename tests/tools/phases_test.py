"""Distillation in phases: on plain text, then on a task from where that ended; projections travel along; kills change nothing."""
import random
import subprocess
import time
import unittest

from fixture import SOURCE, THIMBLE, Case, make_tiny_bert, run
from kill import kill_until_done, timed
from mix_test import ARCHITECTURE, NUMBER, tensors


def projections(directory):
    return (directory / "training.safetensors").read_bytes()


class Phases(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.architecture = cls.root / "architecture.textproto"
        vocabulary = len((cls.root / "base/vocab.txt").read_text().splitlines())
        cls.architecture.write_text(ARCHITECTURE % vocabulary)
        run(*cls.on_text("text"))

    @classmethod
    def on_text(cls, out, *more, start=("--architecture", None)):
        start = [cls.architecture if s is None else s for s in start]
        return ("distill", cls.root / "teacher", *start, "--corpus", cls.data / "corpus.txt", "--lines", 200, "--out",
                cls.root / out, *more)

    def on_task(self, out, *more, start):
        return ("distill", self.root / "teacher", "--task", "sample", "--data", self.data, "--rows", 160, "--out", self.root / out,
                *start, *more)

    def test_a_task_after_text(self):
        text = self.root / "text"
        self.assertTrue((text / "sliced_start.json").exists())
        for name in ("config.json", "model.safetensors", "model.onnx", "vocab.txt", "README.md"):
            self.assertTrue((text / name).exists(), name)
        self.assertEqual([], [p.name for p in self.root.iterdir() if p.name.startswith("text.")], "left over")
        # No epoch: the start alone, with the weights and the projection that the phase on text left.
        run(*self.on_task("start", "--epochs", 0, start=("--student", text)))
        self.assertEqual(tensors(text), tensors(self.root / "start"))
        self.assertEqual(projections(text), projections(self.root / "start"))
        done = run(*self.on_task("task", "--epochs", 2, start=("--student", text)))
        self.assertIn("accuracy", done.stdout)
        self.assertNotEqual(tensors(text), tensors(self.root / "task"))
        self.assertNotEqual(projections(text), projections(self.root / "task"))
        self.assertFalse((self.root / "task/sliced_start.json").exists(), "it was not cut in this run")
        (self.root / "start/training.safetensors").unlink()
        done = run(*self.on_task("drawn", "--epochs", 0, start=("--student", self.root / "start")))
        self.assertIn("drawn at random", done.stderr)

    def test_text_lowers_the_loss_from_random_weights(self):
        done = run(*self.on_text("random", "--random-start", "--epochs", 6, "--pairs", "--set", "optimizer.adamw.learning_rate=3e-3"))
        losses = [float(line.split("loss")[1]) for line in done.stdout.splitlines() if line.startswith("epoch")]
        self.assertEqual(len(losses), 6)
        self.assertLess(losses[-1], 0.9 * losses[0])

    def test_a_teacher_without_a_head(self):
        out = self.root / "headless"
        arguments = list(self.on_text("headless"))
        arguments[1] = self.root / "base"
        run(*arguments)
        self.assertNotIn("head.weight", tensors(out))
        # On text once more, from a teacher with a head (ERNIE-Tiny's second stage): the student still has none.
        run(*self.on_text("again", start=("--student", out)))
        self.assertNotIn("head.weight", tensors(self.root / "again"))
        self.assertNotEqual(tensors(out), tensors(self.root / "again"))
        run(*self.on_task("headed", "--epochs", 1, start=("--student", out)))
        self.assertIn("head.weight", tensors(self.root / "headed"))
        recipe = self.root / "labels.textproto"
        recipe.write_text("epochs: 3 objective { loss { hard_labels {} } } optimizer { sgd { learning_rate: 1 } }")
        run("finetune", self.root / "headed", "--task", "sample", "--data", self.data, "--rows", 64, "--recipe", recipe, "--epochs", 1,
            "--learning-rate", "1e-30", "--out", self.root / "tuned")
        self.assertIn(" 1 epochs", (self.root / "tuned/README.md").read_text())
        self.assertEqual(tensors(self.root / "tuned"), tensors(self.root / "headed"), "--learning-rate is over the recipe's")

    def test_kills_and_recomputed_layers_change_nothing(self):
        more = ("--epochs", 3, "--set", "dropout=0.1", "--checkpoint-seconds", "0.05")
        _, took = timed(*self.on_text("whole", *more))
        kills = kill_until_done(self.on_text("killed", *more, "--recompute"), random.Random(1), 0.2 * took, 0.7 * took,
                                self.root / "killed")
        self.assertGreaterEqual(kills, 1)
        self.assertEqual(tensors(self.root / "whole"), tensors(self.root / "killed"))
        self.assertEqual(projections(self.root / "whole"), projections(self.root / "killed"))

    def test_hidden_words(self):
        recipe = self.root / "words.textproto"
        recipe.write_text("epochs: 2 batching { masking { share: 0.3 } } objective { loss { hard_labels {} } } "
                          "optimizer { adamw { learning_rate: 1e-2 } }")
        done = run(*self.on_text("words", "--recipe", recipe, "--epochs", 12, "--random-start"))
        losses = [float(line.split("loss")[1]) for line in done.stdout.splitlines() if line.startswith("epoch")]
        self.assertEqual(len(losses), 12, "--epochs is over the recipe's")
        self.assertLess(losses[-1], 0.9 * losses[0])
        written = tensors(self.root / "words")
        self.assertNotIn("head.transform.weight", written)
        self.assertIn("head.weight", written, "the head of the task is still there")
        self.assertIn(b"head.transform.weight", projections(self.root / "words"))
        # Goes on with the same head, about where the last epoch ended; other words are hidden.
        more = run(*self.on_text("more words", "--recipe", recipe, "--epochs", 1, "--set", "optimizer.adamw.learning_rate=1e-4",
                                start=("--student", self.root / "words")))
        self.assertLess(float(more.stdout.split("loss")[1].split()[0]), losses[-5])
        # A teacher that was never taught words cannot say what it thinks of them.
        recipe.write_text(recipe.read_text().replace("hard_labels", "soft_labels"))
        done = run(*self.on_text("no", "--recipe", recipe), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cls.predictions", done.stderr)
        done = run(*self.on_task("no", "--recipe", recipe, start=("--student", self.root / "text")), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("masking", done.stderr)

    def test_own_projections_and_progressive_phases(self):
        recipe = self.root / "progressive.textproto"
        recipe.write_text("objective { loss { hidden_states { own_projections: true } } loss { attention_distributions {} } "
                          "progressive: true } optimizer { adamw { learning_rate: 1e-3 } }")
        run(*self.on_text("own", "--recipe", recipe, "--epochs", 2))
        self.assertIn(b"fit_dense.2.weight", projections(self.root / "own"))
        run(*self.on_task("owned", "--epochs", 1, start=("--student", self.root / "own")))

    def test_own_projections_stay_where_a_head_comes(self):
        recipe = self.root / "own.textproto"
        recipe.write_text("objective { loss { hidden_states { own_projections: true } } } optimizer { adamw { learning_rate: 1e-2 } }")
        arguments = list(self.on_text("own headless", "--recipe", recipe, "--epochs", 2))
        arguments[1] = self.root / "base"
        run(*arguments)
        run(*self.on_task("own headed", "--recipe", recipe, "--epochs", 0, start=("--student", self.root / "own headless")))
        before, after = (tensors(self.root / name, "training.safetensors") for name in ("own headless", "own headed"))
        self.assertEqual(sorted(before), sorted(after))
        for state in range(3):
            name = f"fit_dense.{state}.weight"
            self.assertEqual(before[name], after[name])
            self.assertNotEqual(before[name], before["fit_dense.weight"], "it was trained")

    def test_rows_without_a_word_to_hide(self):
        text = self.root / "signs.txt"
        text.write_text("\N{SNOWMAN}\N{SNOWMAN} \N{CLOUD}\n" * 40 + (self.data / "corpus.txt").read_text())
        recipe = self.root / "signs.textproto"
        recipe.write_text("epochs: 2 batching { size: 4 masking {} } objective { loss { hard_labels {} } } "
                          "optimizer { adamw { learning_rate: 1e-3 } }")
        arguments = [text if a == self.data / "corpus.txt" else a for a in self.on_text("signs", "--recipe", recipe)]
        self.assertEqual(run(*arguments).stdout.count("epoch"), 2)

    def test_a_stopped_run_goes_on_with_its_own_start_only(self):
        arguments = self.on_text("stopped", "--random-start", "--epochs", 200, "--checkpoint-seconds", "0")
        process = subprocess.Popen([THIMBLE, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoint = self.root / "stopped.checkpoint"
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.assertTrue(checkpoint.exists())
        done = run(*[a for a in arguments if a != "--random-start"], check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("its start differs", done.stderr)
        done = run(*self.on_text("stopped", "--epochs", 200, start=("--student", self.root / "text")), check=False)
        self.assertIn("its start differs", done.stderr)

    def test_a_run_that_fails_leaves_nothing(self):
        recipe = self.root / "fails.textproto"
        recipe.write_text("objective { loss { hidden_states {} weight: 1e308 } } optimizer { adamw { learning_rate: 1e-3 } }")
        done = run(*self.on_text("fails", "--recipe", recipe, "--random-start"), check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual([], [p.name for p in self.root.iterdir() if p.name.startswith("fails.checkpoint")
                              and not p.name.endswith(".text")], "it would stand in another recipe's way")
        run(*self.on_text("fails", "--random-start"))
        # The loss grows until float32 cannot hold it; by then an epoch has been kept.
        recipe.write_text("epochs: 10 keep: BEST objective { loss { hidden_states {} weight: 1 final_weight: 3e39 } } "
                          "optimizer { adamw { learning_rate: 1e-4 } }")
        done = run(*self.on_task("kept", "--recipe", recipe, start=("--student", self.root / "text")))
        self.assertIn("stopped: the loss is inf", done.stderr)
        self.assertIn("kept: epoch", done.stderr)
        self.assertFalse((self.root / "kept.checkpoint").exists())

    def study(self):
        path = self.root / "subnets.textproto"
        vocabulary = len((self.root / "base/vocab.txt").read_text().splitlines())
        path.write_text(f"""
teacher {{ model: "{self.root / "teacher"}" }} data {{ directory: "{self.data}" task {{ sample {{}} }} }}
space {{
  vocabulary: {vocabulary} positions: 64 hidden: 24 heads: 4 layers: 2 embedding {{ trigram {{ width: 16 }} }}
  layer {{ mixer {{ self_attention {{}} }} ffn {{ expression {{}} stacks: [1, 2] ratio: ["1", "1/2"] }} }}
}}
recipe {{ objective {{ loss {{ hidden_states {{}} }} }} optimizer {{ adamw {{ learning_rate: 1e-3 }} }} }}
stage {{ name: "any" vary: STACKS evaluator {{ untrained {{}} }} trials: 1 }}
""")
        return path

    def test_a_supernet_of_random_candidates(self):
        study = self.study()
        run(*self.on_text("super", "--random-start", "--epochs", 3, start=("--subnets", study)))
        text = (self.root / "super/architecture.textproto").read_text()
        self.assertEqual(text.count("stacks: 2"), 2, text)
        # On two tasks, going on from there.
        mix = self.root / "mix.textproto"
        mix.write_text("part { task { sample {} } rows: 100 } part { task { %s } rows: 60 }" % NUMBER.replace('"number"', '"again"'))
        run("finetune", self.root / "base", "--task", self.custom("again"), "--data", self.data, "--rows", 60, "--epochs", 1, "--out",
            self.root / "again-teacher")
        mix.write_text(mix.read_text().replace("rows: 60", 'rows: 60 teacher: "%s"' % (self.root / "again-teacher")))
        run("distill", self.root / "teacher", "--student", self.root / "super", "--subnets", study, "--mix", mix, "--data", self.data,
            "--epochs", 2, "--out", self.root / "tasks")
        for task in ("sample", "again"):
            self.assertIn("head.weight", tensors(self.root / "tasks" / task))
        first, second = tensors(self.root / "tasks/sample"), tensors(self.root / "super")
        # Every block has been in some candidate.
        for name in ("layer.0.ffn.1.up.weight", "layer.1.ffn.1.down.weight"):
            self.assertNotEqual(first[name], second[name])

    def custom(self, name):
        path = self.root / f"{name}.textproto"
        path.write_text(NUMBER.replace('"number"', f'"{name}"'))
        return path

    def test_refusals(self):
        student = ("--student", self.root / "text")
        labels = self.root / "labels.textproto"
        labels.write_text("objective { loss { soft_labels {} } } optimizer { adamw { learning_rate: 1e-3 } }")
        narrow = self.root / "short.textproto"  # fewer positions than rows have tokens
        narrow.write_text(self.architecture.read_text().replace("positions: 64", "positions: 8"))
        masked = self.root / "masked.textproto"
        masked.write_text("batching { masking {} } objective { loss { hard_labels {} } } optimizer { adamw { learning_rate: 1e-3 } }")
        grouped = self.root / "grouped.textproto"
        grouped.write_text(labels.read_text().replace("optimizer {", 'optimizer { group { pattern: "no.such*" rate_factor: 2 }'))
        half = self.root / "half.textproto"
        half.write_text(self.study().read_text().replace(
            "layer {", "layer { at: 0 mixer { self_attention {} } ffn { expression {} stacks: 1 ratio: \"1\" } } # layer {"))
        small = self.root / "small.textproto"
        small.write_text(self.study().read_text() + "constraint { parameters { max: 100 } }\n")
        states = ("--teacher", self.root / "wide", "--recipe", SOURCE / "configs/recipes/tinybert_states.textproto")
        words = [line for line in (self.root / "base/vocab.txt").read_text().splitlines() if not line.startswith("[")]
        for name, hidden, known in (("wide", 48, words), ("few words", 24, words[5:])):
            make_tiny_bert(self.root / (name + " base"), known, hidden=hidden)
            run("finetune", self.root / (name + " base"), "--task", "sample", "--data", self.data, "--rows", 32, "--epochs", 1,
                "--out", self.root / name)
        tune = ("finetune", self.root / "text", "--task", "sample", "--data", self.data, "--out", self.root / "no", "--dry-run")
        architecture = ("--architecture", self.architecture)
        for arguments, fragment in (
                ((*tune, *states), "no projection of its states"),
                ((*tune, "--teacher", self.root / "few words"), "few words: vocabulary"),
                (self.on_task("no", "--dry-run", "--set", "batching.max_length=64", start=("--architecture", narrow)), "a position"),
                (self.on_task("no", "--dry-run", "--recipe", masked, start=architecture), "plain text alone"),
                (self.on_text("no", "--dry-run", "--recipe", masked, "--set", "batching.masking.mask=0.9", "--set",
                              "batching.masking.replace=0.2"), "a sum of at most 1"),
                (self.on_task("no", "--dry-run", "--recipe", grouped, start=architecture), "matches no parameter"),
                (self.on_text("no", "--dry-run", start=("--subnets", half)), "space"),
                (self.on_text("no", "--dry-run", start=("--subnets", small)), "constraint"),
                (self.on_task("no", start=()), "got none"),
                (self.on_task("no", start=(*student, "--architecture", self.architecture)), "got several"),
                (self.on_task("no", start=("--student", self.root / "text", "--subnets", self.study())), "no supernet of the space"),
                (self.on_task("no", "--random-start", start=student), "--student says where"),
                (self.on_task("no", "--lines", 5, start=student), "--corpus"),
                (self.on_text("no", "--task", "sample"), "got both"),
                (self.on_text("no", "--recipe", labels), "plain text has no labels"),
                (self.on_text("no")[:4] + ("--out", self.root / "no"), "got neither"),
                (("distill", self.root / "teacher", *student, "--task", "sample", "--out", self.root / "no"), "--data")):
            done = run(*arguments, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(fragment, done.stderr)
            self.assertFalse((self.root / "no").exists())


if __name__ == "__main__":
    unittest.main()
