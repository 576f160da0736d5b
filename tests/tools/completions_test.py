"""Examples under --help, what shells complete, the manual page: all of the same commands. bash is run; zsh, fish and groff where
they are."""
import functools
import re
import shutil
import subprocess
import tempfile
import unittest

from fixture import SOURCE, THIMBLE, run

COMMANDS = re.findall(r'COMMAND\((\w+), "', (SOURCE / "tools/commands.inc").read_text())
EXAMPLES = re.findall(r'EXAMPLE\("([\w ]+)", "(.+)", "(.+)"\)', (SOURCE / "tools/examples.inc").read_text())


@functools.lru_cache(None)
def help_of(path):
    return run(*path.split(), "--help").stdout


@functools.lru_cache(None)
def script_of(shell):
    return run("completions", shell).stdout


class Examples(unittest.TestCase):
    def test_stand_under_every_help(self):
        for name in COMMANDS:
            self.assertIn("\nExamples:\n  thimble " + name, help_of(name), name)

    def test_name_options_that_exist(self):
        self.assertGreater(len(EXAMPLES), 20)
        for path, line, what in EXAMPLES:
            text = help_of(path)
            self.assertTrue(line.startswith(path + " "), line)
            self.assertIn(f"  thimble {line}\n      {what}\n", text)
            for option in re.findall(r"--[\w-]+", line):
                self.assertRegex(text, rf"(?m)^  (-\w,)?{option}\b", line)

    def test_are_taken_by_the_program(self):
        """Parsed whole, and refused for what is not there, if at all."""
        for _, line, _ in EXAMPLES:
            words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", re.split(" [<>] ", line)[0])]
            if words[0] in ("completions", "bench"):  # done at once; takes long
                continue
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run([THIMBLE, *words], capture_output=True, text=True, timeout=120, cwd=folder,
                                      stdin=subprocess.DEVNULL)
            for mistake in ("unknown option", "no further argument", "is required", "not in", "unknown command"):
                self.assertNotIn(mistake, done.stderr, line)


class Completions(unittest.TestCase):
    def completed(self, *words):
        """What bash offers for the last word."""
        quoted = " ".join(f"'{word}'" for word in ("thimble", *words))
        script = script_of("bash") + (
            f'COMP_WORDS=({quoted})\nCOMP_CWORD={len(words)}\n_thimble\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n')
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_of_bash(self):
        self.assertEqual(sorted(self.completed("")), sorted(COMMANDS))
        self.assertEqual(self.completed("ev"), ["evaluate"])
        self.assertEqual(self.completed("evaluate", "--lat"), ["--latency"])
        self.assertEqual(self.completed("data", ""), ["check"])
        self.assertIn("--tokenizer", self.completed("data", "check", "--"))
        self.assertNotIn("--tokenizer", self.completed("search", "--"))
        self.assertEqual(self.completed("export", "study", "--quantize", ""), ["int8"])
        self.assertEqual(sorted(self.completed("search", "--log-format", "")), ["json", "text"])
        self.assertEqual(self.completed("completions", "f"), ["fish"])
        self.assertEqual(self.completed("predict", "data", ""), [], "files")

    def test_every_option_is_in_every_script(self):
        for shell in ("bash", "zsh", "fish", "man"):
            text = script_of(shell)
            for name in ("slice", "finetune", "export"):
                for option in re.findall(r"(?m)^  (?:-\w,)?--([\w-]+)", help_of(name)):
                    self.assertIn(option.replace("-", "\\-") if shell == "man" else option, text, f"{shell}: {name}")

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh_reads_its_script(self):
        done = subprocess.run(["zsh", "-n"], input=script_of("zsh"), capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_of_fish(self):
        script = script_of("fish")
        for line, wanted in (("thimble ev", "evaluate"), ("thimble evaluate --lat", "--latency"), ("thimble data ", "check"),
                             ("thimble export a --quantize ", "int8")):
            done = subprocess.run(["fish", "-c", script + f"\ncomplete -C '{line}'"], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.stderr, "")
            self.assertIn(wanted, [found.split("\t")[0] for found in done.stdout.splitlines()], line)

    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_the_manual_is_set_without_a_warning(self):
        page = script_of("man")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c"], input=page, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        plain = re.sub(r".\x08", "", done.stdout)  # bold is a letter twice
        for name in COMMANDS:
            self.assertIn(f"thimble {name}", plain)

    def test_another_shell_is_refused(self):
        done = run("completions", "tcsh", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("bash", done.stderr)


if __name__ == "__main__":
    unittest.main()
