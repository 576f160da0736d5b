"""What training runs say to TensorBoard, read back by TensorBoard's own reader."""
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as error:
    skip_without(error)

from fixture import Case, run
from kill import kill_until_done, timed


def scalars(folder):
    """Tag -> list of (step, value), as TensorBoard shows them."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


class Events(Case):
    def finetune(self, out, *more):
        return ("finetune", self.root / "base", "--task", "sample", "--data", self.data, "--rows", 640, "--epochs", 3, "--out",
                self.root / out, "--set", "keep=BEST", *more)

    def test_finetune_killed_or_not(self):
        done, took = timed(*self.finetune("whole"))
        told = scalars(self.root / "whole/events")
        self.assertEqual(sorted(told), ["epoch/loss", "gradient_norm", "learning_rate_factor", "loss", "loss/hard_labels",
                                        "sample/accuracy", "sample/loss"])
        steps = [step for step, _ in told["loss"]]
        self.assertEqual(steps, list(range(1, 61)))  # 640 rows, 32 a batch, 3 epochs: too few to leave any out
        self.assertEqual([step for step, _ in told["sample/accuracy"]], [20, 40, 60])
        self.assertEqual(told["loss"], told["loss/hard_labels"])
        for epoch, (step, mean) in enumerate(told["epoch/loss"]):
            self.assertEqual(step, 20 * (epoch + 1))
            of_epoch = [value for at, value in told["loss"] if step - 20 < at <= step]
            self.assertAlmostEqual(mean, sum(of_epoch) / 20, places=4)
        best = max(value for _, value in told["sample/accuracy"])
        self.assertIn(f"accuracy {100 * best:.2f}", done.stdout)
        self.assertAlmostEqual(max(value for _, value in told["learning_rate_factor"]), 1, places=5)
        self.assertFalse((self.root / "whole.events").exists())
        # A run that goes on says what it does again in the same words, once.
        kills = kill_until_done(self.finetune("killed", "--checkpoint-seconds", "0.05"), random.Random(1), 0.2 * took, 0.7 * took,
                                self.root / "killed")
        self.assertGreaterEqual(kills, 1)
        self.assertEqual(scalars(self.root / "killed/events"), told)

    def test_a_study_tells_of_each_student(self):
        study = self.init("study")
        run("search", study, "--threads", 1)
        runs = {folder.parent.relative_to(study / "events") for folder in (study / "events").rglob("events.out.tfevents.*")}
        stages = {str(run.parent) for run in runs}
        self.assertTrue(stages - {"."}, runs)
        for each in runs:
            told = scalars(study / "events" / each)
            self.assertIn("epoch/loss", told)
            self.assertEqual([step for step, _ in told["loss"]], list(range(1, len(told["loss"]) + 1)))


if __name__ == "__main__":
    unittest.main()
