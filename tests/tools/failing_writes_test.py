"""A few of the failures that script/fail-writes tries all of."""
import random
import unittest

import failing_writes
from fixture import Case


class Sampled(Case):
    def test_a_full_disk_in_every_command(self):
        generator = random.Random(1)
        for name, command in failing_writes.commands(self).items():
            trial = failing_writes.Trial(self, name, command)
            calls = trial.count()
            trial.fail(f"{generator.randint(2, calls)}+")
            if name in ("vocab", "finetune --force", "search"):
                trial.fail(f"{generator.randint(2, calls)}:KILL")

    def test_before_the_work_it_is_the_request_that_fails(self):
        commands = failing_writes.commands(self)
        for name in ("finetune", "rank", "evaluate"):
            trial = failing_writes.Trial(self, name, commands[name])
            done = failing_writes.start(trial.fresh(), "1:EROFS")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("Read-only", done.stderr)
            trial.look(2, done.stderr)

    def test_a_cache_that_cannot_be_written_costs_time_alone(self):
        teacher = self.root / "teacher"
        for call in (1, 3, 5):
            cache = self.root / f"cache-{call}" / "below"
            done = failing_writes.start(("evaluate", teacher, "--task", "sample", "--data", self.data, "--cache", cache), f"{call}+")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("tokens are not kept", done.stderr)
            self.assertFalse(cache.parent.exists(), "left over")


if __name__ == "__main__":
    unittest.main()
