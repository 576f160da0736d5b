"""A study that is stopped, moved, renamed or copied goes on as if it had stayed."""
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from failing_writes import make_quick_study, tree
from fixture import THIMBLE, Case, run


def results(study):
    """Of every trial, and the weights that were trained for it."""
    files = tree(study)
    return {path: content for path, content in files.items() if path == "study.db" or path.endswith(".safetensors")}


class MovedStudy(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = make_quick_study(cls, cls.root / "whole")
        run("search", cls.whole, "--threads", 1)

    def begun(self, name, *rounds):
        """A study that was killed once its first round was stored."""
        study = make_quick_study(self, self.root / name)
        process = subprocess.Popen([THIMBLE, "search", study, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not self.trials(study):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertLess(self.trials(study), 5, "the search ended before it was killed")
        return study

    def trials(self, study):
        try:
            with sqlite3.connect(f"file:{study}/study.db?mode=ro", uri=True) as db:
                return db.execute("select count(*) from trials").fetchone()[0]
        except sqlite3.Error:
            return 0

    def go_on(self, study, *more):
        before = self.trials(study)
        self.assertGreater(before, 0)
        done = run("search", study, "--threads", 1, *more)
        self.assertRegex(done.stderr, 'stage "joint" (goes on|was finished)')
        self.assertEqual(results(study), results(self.whole))

    def test_moved_and_copied(self):
        study = self.begun("first")
        moved = self.root / "elsewhere" / "another name"
        moved.parent.mkdir()
        study.rename(moved)
        copy = self.root / "copy"
        shutil.copytree(moved, copy)
        self.go_on(moved)
        self.assertEqual(self.trials(copy), 2, "a copy is independent")
        self.go_on(copy)
        self.assertIn("joint/1", run("show", copy).stdout)
        run("export", copy, "--epochs", 0, "--out", self.root / "student")

    def test_moved_with_its_teacher_and_data(self):
        study = self.begun("with")
        for name in ("teacher", "data"):
            shutil.copytree(self.root / name, self.root / "away" / name)
        text = (study / "study.textproto").read_text()
        for name in ("teacher", "data"):
            text = text.replace(f'"{self.root}/{name}', f'"{self.root}/away/{name}')
        (study / "study.textproto").write_text(text)
        self.go_on(study)
        # Another teacher at that place is noticed.
        shutil.rmtree(self.root / "away/teacher")
        self.assertIn("joint/1", run("show", study).stdout, "what was found is stored")
        run("finetune", self.root / "base", "--task", "sample", "--data", self.data, "--rows", 64, "--out", self.root / "away/teacher")
        done = run("search", study, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("teacher.model", done.stderr)
        done = run("export", study, "--epochs", 0, "--out", self.root / "of-another-teacher", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("another content of teacher.model", done.stderr)
        self.assertFalse((self.root / "of-another-teacher").exists())

    def test_a_store_of_an_earlier_version(self):
        """Its stages bear the directory's name; where its inputs lay stands for what they were."""
        study = self.begun("earlier")
        with sqlite3.connect(study / "study.db") as db:
            db.execute("update studies set study_name = replace(study_name, 'study/', 'earlier/')")
            db.execute("delete from study_user_attributes where key like 'input: %'")
        moved = self.root / "later"
        study.rename(moved)
        done = run("search", moved, "--threads", 1)
        self.assertRegex(done.stderr, 'stage "joint" (goes on|was finished)')
        with sqlite3.connect(moved / "study.db") as db:
            names = [row[0] for row in db.execute("select study_name from studies order by 1")]
            self.assertEqual(names, ["earlier/joint", "earlier/shape"])
            db.execute("update studies set study_name = replace(study_name, 'earlier/', 'study/')")
        self.assertEqual(results(moved), results(self.whole))

    def test_relative_paths_start_where_the_program_does(self):
        study = make_quick_study(self, self.root / "relative")
        file = study / "study.textproto"
        file.write_text(file.read_text().replace(f'"{self.root}/', '"'))
        command = [THIMBLE, "search", study, "--threads", "1"]
        away = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=100)
        self.assertEqual(away.returncode, 2, away.stderr)
        for part in ("teacher.model", "got teacher", "current directory, now /"):
            self.assertIn(part, away.stderr)
        here = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=300)
        self.assertEqual(here.returncode, 0, here.stderr)
        self.assertEqual(results(study), results(self.whole))

    def test_moved_while_it_runs(self):
        study = make_quick_study(self, self.root / "running")
        process = subprocess.Popen([THIMBLE, "search", study, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and not self.trials(study):
            time.sleep(0.02)
        moved = self.root / "moved-while-running"
        study.rename(moved)
        error = process.communicate(timeout=100)[1].decode()
        self.assertEqual(process.returncode, 1, error)
        self.assertEqual(error.count("thimble: "), 1, error)
        self.assertFalse(study.exists(), "nothing is made where it was")
        self.go_on(moved)


if __name__ == "__main__":
    unittest.main()
