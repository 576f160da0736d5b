"""What the program says of its command line, at once and in words that help; texts and paths of any letters."""
import os
import re
import subprocess
import unittest

from fixture import SOURCE, THIMBLE, Case, run

COMMANDS = re.findall(r'COMMAND\((\w+), "', (SOURCE / "tools/commands.inc").read_text())


class Mistakes(unittest.TestCase):
    def refuse(self, arguments, expected):
        done = run(*arguments, check=False)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("thimble: " + expected), done.stderr)

    def test_misspelt_commands(self):
        self.refuse(["serach", "study"], "unknown command 'serach'; did you mean search?; accepted: data, init, ")
        self.refuse(["finetun", "--rows", "3"], "unknown command 'finetun'; did you mean finetune?")
        self.refuse(["train"], "unknown command 'train'; accepted: data, ")
        self.refuse(["serach", "--help"], "unknown command 'serach'")
        self.refuse(["--", "serach"], "unknown command 'serach'")
        self.refuse(["data", "chek"], "data: unknown command 'chek'; did you mean check?")
        self.refuse([], "a command is missing; accepted: data, init, ")

    def test_misspelt_options(self):
        # Not what is missing beside it.
        self.refuse(["finetune", "--lerning-rate", "3"], "finetune: unknown option --lerning-rate; did you mean --learning-rate?")
        self.refuse(["finetune", "m", "--lerning-rate=3"], "finetune: unknown option --lerning-rate; did you mean --learning-rate?")
        self.refuse(["search", "study", "--log-fromat", "json"], "search: unknown option --log-fromat; did you mean --log-format?")
        self.refuse(["data", "check", "--taks", "rte"], "data check: unknown option --taks; did you mean --task?")
        self.refuse(["describe", "optimizer", "caem"], "describe optimizer: no such entry; got caem; accepted: adamw, came, ")
        self.refuse(["--verson"], "unknown option --verson; did you mean --version?")
        self.refuse(["evaluate", "m", "--purple"], "evaluate: unknown option --purple; accepted: --help, ")

    def test_what_is_missing_or_too_much(self):
        self.refuse(["search"], "search: study is required; accepted: see thimble search --help")
        self.refuse(["search", "a", "b"], "search: takes no further argument; got 'b'")
        self.refuse(["finetune", "m", "--rows", "many"], "finetune: --rows: out of range; got many; accepted: a number from 0 on")
        self.refuse(["--log-format", "xml", "search", "a"], "search: --log-format: xml not in {text,json}")


class Help(unittest.TestCase):
    def test_names_every_command_and_option(self):
        listed = run("--help").stdout
        for name in COMMANDS:
            self.assertRegex(listed, rf"\n  {name} ")
            self.assertIn(f"Usage: thimble {name} ", run(name, "--help").stdout)
        self.assertIn("--learning-rate", run("finetune", "-h").stdout)
        self.assertIn("--task", run("data", "check", "--help").stdout)

    def test_waiting_threads_sleep_unless_told(self):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
            done = subprocess.run([THIMBLE, "search", "--help"], capture_output=True, text=True, timeout=300,
                                  env={**environment, **given, "OMP_DISPLAY_ENV": "true"})
            self.assertIn(f"OMP_WAIT_POLICY = '{expected}'", done.stderr)

    def loaded(self, *arguments, **environment):
        """The libraries that the program asked for."""
        done = subprocess.run([THIMBLE, *arguments], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "LD_DEBUG": "files", **environment})
        return set(re.findall(r"file=(lib[\w+-]+)\.so", done.stderr))

    def test_needs_no_libtorch(self):
        for arguments in (["--version"], ["--help"], ["-h"], ["serach"], ["--verson"], []):
            libraries = self.loaded(*arguments)
            self.assertIn("libc", libraries)
            self.assertFalse(libraries & {"libthimble_commands", "libtorch_cpu", "libprotobuf"}, arguments)
        self.assertIn("libtorch_cpu", self.loaded("search", "--help"))

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^thimble \d+\.\d+\.\d+\n$")


class Texts(Case):
    def predict(self, *arguments, text=None):
        done = subprocess.run([THIMBLE, "predict", str(self.root / "pair"), *map(str, arguments)], capture_output=True, text=True,
                              input=text, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.root / "pair").symlink_to(cls.root / "teacher")

    def test_that_begin_with_a_dash(self):
        rows = self.root / "rows.tsv"
        for texts in (["-5", "a"], ["--help", "a"], ["a", "-x"], ["-", "--"]):
            rows.write_text("\t".join(texts) + "\n")
            self.assertEqual(self.predict("--json", "--", *texts), self.predict("--json", "--file", rows), texts)

    def test_of_which_the_last_are_blank(self):
        rows = self.root / "blank.tsv"
        rows.write_text("a\tb\nc\td\n")
        expected = self.predict("--json", "--file", rows)
        self.assertEqual(len(expected.splitlines()), 2)
        rows.write_text("a\tb\nc\td\n\n \n")
        self.assertEqual(self.predict("--json", "--file", rows), expected)

    def test_paths_of_any_letters_survive_init(self):
        folder = self.root / "it's \"my\" back\\slash\nand line"
        folder.mkdir()
        (folder / "data").symlink_to(self.data)
        (folder / "teacher").symlink_to(self.root / "teacher")
        study = folder / "study"
        run("init", "--search", "operators", study, "--task", "sample", "--data", folder / "data", "--teacher", folder / "teacher", "--rows", 240,
            "--max-params", "60k", "--effort", "quick")
        run("search", study, "--dry-run")


if __name__ == "__main__":
    unittest.main()
