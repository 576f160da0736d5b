"""What a command may replace, where it may write, and what happens to what it prints."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import unittest

from fixture import THIMBLE, Case, run


def start(arguments, shell, **more):
    """`thimble ARGUMENTS SHELL` in a shell: the exit code of thimble, what came to standard output and to standard error."""
    words = " ".join(f"'{word}'" for word in (THIMBLE, *map(str, arguments)))
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {words} {shell}"], capture_output=True, text=True, timeout=300, **more)
    return done.returncode, done.stdout, done.stderr


class Output(Case):
    def crop(self, out, *more):
        return ("crop", self.root / "teacher", "--layers", "doubled", "--out", out, *more)

    def test_force_replaces_what_thimble_wrote(self):
        out = self.root / "cropped"
        run(*self.crop(out))
        run("export", out, "--quantize", "int8")  # a file more, of another command
        run(*self.crop(out, "--force"))
        self.assertFalse((out / "model.int8.onnx").exists())
        (out / "notes.txt").write_text("mine")
        self.refuse(self.crop(out, "--force"), "notes.txt", "did not write")
        (out / "notes.txt").unlink()
        run(*self.crop(out, "--force"))
        # A model from elsewhere is not thimble's, whatever its files are called.
        self.refuse(("finetune", self.root / "base", "--task", "sample", "--data", self.data, "--rows", 64, "--force", "--out",
                     self.root / "base"), "config.json", "did not write")

    def test_init_spares_the_trials_of_a_study(self):
        study = self.init("begun")
        command = ("init", "--search", "operators", study, "--task", "sample", "--data", self.data, "--teacher", self.root / "teacher", "--max-params", "60k", "--force")
        run(*command)
        (study / "study.db").write_text("hours of work")
        self.refuse(command, "study.db")

    def test_an_output_that_cannot_be_is_refused_before_the_work(self):
        file = self.root / "teacher/config.json"
        sample = ("--task", "sample", "--data", self.data)
        architecture = self.root / "teacher/architecture.textproto"
        for out in (file / "below", pathlib.Path("/proc/thimble"), pathlib.Path("/dev/null/x")):
            for command in (("finetune", self.root / "base", *sample), ("slice", self.root / "teacher", *sample),
                            ("distill", self.root / "teacher", "--architecture", architecture, *sample),
                            ("distill", self.root / "teacher", "--architecture", architecture, "--corpus", self.data / "corpus.txt"),
                            ("crop", self.root / "teacher", "--layers", "doubled"),
                            ("rank", self.root / "teacher", *sample), ("vocab", "train", "--file", self.data / "corpus.txt")):
                self.refuse((*command, "--out", out), str(out.parent))
            self.refuse(("init", "--search", "operators", out, *sample, "--teacher", self.root / "teacher"), str(out.parent))

    def test_the_result_is_there_or_nothing_is_when_the_directory_vanishes(self):
        """The folder of the output goes while the work is under way: it is made again."""
        out = self.root / "vanishing/out"
        process = subprocess.Popen([THIMBLE, "finetune", self.root / "base", "--task", "sample", "--data", self.data, "--rows", "64",
                                    "--out", out], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        while process.poll() is None and not out.parent.exists():
            pass
        shutil.rmtree(out.parent, ignore_errors=True)
        error = process.communicate(timeout=100)[1].decode()
        self.assertIn(process.returncode, (0, 1, 2), error)
        self.assertEqual(process.returncode == 0, (out / "model.safetensors").exists(), error)

    def test_a_full_standard_output_is_an_error(self):
        for arguments in (("describe", self.root / "teacher"), ("--help",), ("--version",), ("predict", self.root / "teacher", "a", "b"),
                          ("describe", "recipe")):
            for shell in ("> /dev/full", ">&-"):
                code, _, error = start(arguments, shell)
                self.assertEqual(code, 1, f"{arguments} {shell}\n{error}")
                self.assertIn("thimble: standard output: cannot write", error)
                self.assertEqual(error.count("thimble: "), 1, error)

    def test_nobody_reads_any_more(self):
        code, out, error = start(("describe", "study"), "| head -n 1")
        self.assertEqual((len(out.splitlines()), error), (1, ""))
        self.assertIn(code, (0, 128 + signal.SIGPIPE), "it may all fit into the pipe")
        # A command that prints as it goes ends, and does not read on for nobody.
        code, out, error = start(("vocab", "encode", "--tokenizer", self.root / "teacher"), "< <(yes '\"a text\"') | head -n 1")
        self.assertEqual((code, len(out.splitlines()), error), (128 + signal.SIGPIPE, 1, ""))
        # What it has to write it writes all the same.
        out = self.root / "unread"
        code, _, error = start(("slice", self.root / "teacher", "--task", "sample", "--data", self.data, "--rows", 40, "--out", out),
                               "| true")
        self.assertTrue((out / "model.safetensors").exists(), error)

    def test_files_beyond_the_limit(self):
        """What SQLite writes does not pass through the failing layer: a limit on the size of files fails it."""
        from failing_writes import make_quick_study, tree
        run("search", make_quick_study(self, self.root / "whole"), "--threads", 1)
        study = make_quick_study(self, self.root / "limited")
        for limit in (3000, 60000, 130000):
            done = subprocess.run([THIMBLE, "search", study, "--threads", "1"], capture_output=True, text=True, timeout=300,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            self.assertIn(done.returncode, (1, 2), done.stderr)
            self.assertEqual(len([line for line in done.stderr.splitlines() if line.startswith("thimble: ")]), 1, done.stderr)
            self.assertFalse([p for p in study.rglob("*") if ".partial-" in p.name])
        run("search", study, "--threads", 1)
        same = lambda files: {p: h for p, h in files.items() if not p.endswith(".textproto")}  # noqa: E731
        self.assertEqual(same(tree(study)), same(tree(self.root / "whole")))

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "a file system of its own needs root")
    def test_a_disk_that_fills_up(self):
        """The checkpoint and the weights fit, model.onnx does not."""
        disk = self.root / "disk"
        disk.mkdir()
        size = (self.root / "teacher/model.safetensors").stat().st_size
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={5 * size}", "tmpfs", disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("no file system may be mounted here")
        try:
            command = ("finetune", self.root / "base", "--task", "sample", "--data", self.data, "--rows", 64, "--epochs", 1, "--out",
                       disk / "out")
            done = run(*command, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("No space left on device", done.stderr)
            self.assertEqual(sorted(p.name for p in disk.iterdir()), ["out.checkpoint", "out.events"])
            subprocess.run(["mount", "-o", f"remount,size={20 * size}", disk], check=True)
            run(*command)
            self.assertEqual(sorted(p.name for p in disk.iterdir()), ["out"])
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            done = run(*command[:-1], disk / "other", check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("Read-only", done.stderr)
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    unittest.main()
