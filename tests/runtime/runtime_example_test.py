"""The installed library, found by find_package, in the example project: it says what `thimble predict` says.

usage: runtime_example_test.py CMAKE BUILD_DIRECTORY
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

import fixture

CMAKE, BUILD = sys.argv[1:3]


def command(*arguments, **options):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=200, **options)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


class Example(fixture.Case):
    def test_example(self):
        prefix, build = self.root / "prefix", self.root / "build"
        command(CMAKE, "--install", BUILD, "--component", "runtime", "--prefix", prefix)
        installed = sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file())
        self.assertIn("include/thimble/runtime.h", installed)
        self.assertIn("include/thimble/texts_c.h", installed)
        self.assertLess(len(installed), 15, installed)  # two libraries, no static one, no program
        library, = {path.resolve() for path in prefix.rglob("libthimble_runtime.so*")}
        # mangled: thimble::runtime::...; ours and nothing of protobuf, ICU or torch
        symbols = command("nm", "--dynamic", "--defined-only", "--format=posix", library).splitlines()
        foreign = [line for line in symbols if not line.startswith("_ZNK7thimble7runtime") and
                   not line.startswith("_ZN7thimble7runtime")]
        self.assertEqual(foreign, [])
        self.assertGreater(len(symbols), 5)

        command(CMAKE, "-S", fixture.SOURCE / "examples/runtime", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
        command(CMAKE, "--build", build)
        lines = (self.data / "SAMPLE/dev.tsv").read_text().splitlines()[1:41]
        rows = ["\t".join(line.split("\t")[:2]) for line in lines]
        environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        said = command(build / "label", self.root / "teacher", input="\n".join(rows) + "\n", env=environment).splitlines()
        self.assertEqual(len(said), len(rows))
        for row, line in list(zip(rows, said))[:3]:
            told = json.loads(fixture.run("predict", self.root / "teacher", *row.split("\t"), "--json").stdout)
            label, probability = line.split("\t")
            self.assertEqual(label, told["label"])
            self.assertAlmostEqual(float(probability), max(told["probabilities"]), delta=1e-5)

        wrong = subprocess.run([build / "label", self.root / "nowhere"], capture_output=True, text=True, input="", timeout=60)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("nowhere", wrong.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
