"""Killed with -9 at random moments and started again, fine-tuning and search end as if nothing had happened."""
import hashlib
import random
import shutil
import signal
import subprocess
import time
import unittest

from fixture import THIMBLE, Case, run
from kill import kill_until_done, timed


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Resume(Case):
    def finetune(self, out):
        return ("finetune", self.root / "base", "--task", "sample", "--data", self.data, "--rows", 640, "--epochs", 3, "--out",
                out, "--checkpoint-seconds", "0.05")

    def test_finetune(self):
        run(*self.finetune(self.root / "whole"))
        _, took = timed(*self.finetune(self.root / "again"))
        self.assertEqual(digest(self.root / "whole/model.safetensors"), digest(self.root / "again/model.safetensors"),
                         "the same command gives the same bytes")
        kills = kill_until_done(self.finetune(self.root / "killed"), random.Random(1), 0.2 * took, 0.7 * took,
                                self.root / "killed")
        self.assertGreaterEqual(kills, 1)
        self.assertEqual(digest(self.root / "whole/model.safetensors"), digest(self.root / "killed/model.safetensors"))
        self.assertFalse((self.root / "again.checkpoint").exists())

    def test_search(self):
        whole, killed = self.init("whole-study"), self.init("killed-study")
        one = ("--threads", "1")  # else each study measures what its threads do best, which a busy machine decides
        _, took = timed("search", whole, *one)
        kills = kill_until_done(("search", killed, *one, "--checkpoint-seconds", "0.05"), random.Random(2), 0.05 * took, 0.2 * took)
        self.assertGreaterEqual(kills, 2)
        self.assertEqual(run("show", whole).stdout.replace("whole-study", "STUDY"),
                         run("show", killed).stdout.replace("killed-study", "STUDY"))
        for study in (whole, killed):
            self.assertFalse(list((study / "work").glob("*.checkpoint")), "checkpoints of finished work are removed")

    def interrupt(self, arguments, out):
        """Stops the command once its first checkpoint is written."""
        process = subprocess.Popen([THIMBLE, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        checkpoint = out.with_name(out.name + ".checkpoint")
        while process.poll() is None and not checkpoint.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1].decode()
        if process.returncode == 0:
            self.skipTest("the run ended before the signal came")
        self.assertEqual(process.returncode, 130)
        self.assertIn("interrupted", error)
        self.assertTrue(checkpoint.exists())
        self.assertFalse(out.exists())

    def test_interrupt_saves_and_says_so(self):
        out = self.root / "interrupted"
        self.interrupt(self.finetune(out), out)

    def test_the_text_of_the_start_may_move(self):
        def distill(text, out):
            return ("distill", self.root / "teacher", "--architecture", self.root / "teacher/architecture.textproto", "--task", "sample",
                    "--data", self.data, "--rows", 640, "--epochs", 3, "--text", text, "--out", out, "--checkpoint-seconds", "0.05")

        text = self.root / "corpus.txt"
        shutil.copy(self.data / "corpus.txt", text)
        run(*distill(text, self.root / "still"))
        out = self.root / "on-text"
        self.interrupt(distill(text, out), out)
        moved = self.root / "elsewhere" / "renamed.txt"
        moved.parent.mkdir()
        text.rename(moved)
        other = self.root / "other.txt"
        other.write_text(moved.read_text() + "one line more\n")
        done = run(*distill(other, out), check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("start differs", done.stderr)
        done = run(*distill(moved.parent / "*.txt", out))
        self.assertIn("going on after", done.stderr)
        self.assertEqual(digest(self.root / "still/model.safetensors"), digest(out / "model.safetensors"))


if __name__ == "__main__":
    unittest.main()
