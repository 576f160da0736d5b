"""The installed library, found by find_package, runs a study in the example project as `thimble search` and `export` do.

usage: toolkit_example_test.py CMAKE BUILD_DIRECTORY
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import fixture

CMAKE, BUILD = sys.argv[1:3]


def command(*arguments, check=True, **options):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=300, **options)
    assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done


class Example(fixture.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = cls.root / "prefix"
        command(CMAKE, "--install", BUILD, "--component", "toolkit", "--prefix", cls.prefix)
        command(CMAKE, "-S", fixture.SOURCE / "examples/toolkit", "-B", cls.root / "build", f"-DCMAKE_PREFIX_PATH={cls.prefix}")
        command(CMAKE, "--build", cls.root / "build")

    def study(self, *arguments, check=True):
        environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        return command(self.root / "build/run_study", *arguments, check=check, env=environment)

    def test_shows_its_interface_alone(self):
        library, = {path.resolve() for path in self.prefix.rglob("libthimble_toolkit.so*")}
        symbols = command("nm", "--dynamic", "--defined-only", "--format=posix", library).stdout.split("\n")
        names = [line.split()[0] for line in symbols if line]
        self.assertGreater(len(names), 8)
        self.assertEqual([name for name in names if "7thimble7toolkit5Study" not in name and name != "mkl_serv_intel_cpu_true"], [])

    def test_installs_the_program(self):
        environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        told = command(self.prefix / "bin/thimble", "describe", self.root / "teacher", env=environment).stdout
        self.assertIn("2 layers, hidden 24", told)

    def test_a_missing_component_is_named(self):
        done = command(CMAKE, "-S", fixture.SOURCE / "examples/runtime", "-B", self.root / "none",
                       f"-DCMAKE_PREFIX_PATH={self.prefix}", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has no component runtime", " ".join(done.stderr.split()))

    def test_runs_a_study(self):
        # On one core: a study measures which number of threads is faster, and two might come to different answers, whose sums round
        # differently.
        cores = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, cores)
        os.sched_setaffinity(0, {min(cores)})
        mine, programs = self.init("mine"), self.root / "programs"
        shutil.copytree(mine, programs)
        said = self.study(mine, self.root / "student").stdout.splitlines()
        told = json.loads(fixture.run("search", programs, "--json").stdout)
        fixture.run("export", programs, "--out", self.root / "programs_student")
        best, = [trial for trial in told["trials"] if trial["best"]]
        name, score, error, parameters = said[0].split("\t")
        self.assertEqual(name, f"{best['stage']}/{best['number']}")
        self.assertAlmostEqual(float(score), best["score"], delta=1e-5)
        self.assertAlmostEqual(float(error), best["standard_error"], delta=1e-5)
        self.assertEqual(int(parameters), best["parameters"])
        self.assertEqual((self.root / "student/model.safetensors").read_bytes(),
                         (self.root / "programs_student/model.safetensors").read_bytes())
        self.assertIn("accuracy", said[1])
        again = self.study(mine, self.root / "student", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertEqual(again.stdout.splitlines()[0], said[0], "a finished study is read back")
        self.assertIn("run_study: ", again.stderr)

    def test_says_what_is_wrong(self):
        wrong = self.study(self.root / "nowhere", self.root / "out", check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("nowhere", wrong.stderr)
        self.assertFalse((self.root / "out").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
