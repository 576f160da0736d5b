"""The Debian packages in a bare Debian: the program describes, slices and predicts there what it does here.

usage: deb_test.py BUILD_DIRECTORY
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

import fixture  # noqa: E402

BUILD = sys.argv[1]


def command(*arguments, check=True, timeout=600):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done


class Deb(fixture.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        command(fixture.SOURCE / "script/package", "deb", "--build", BUILD, "--out", cls.root / "debs")
        cls.packages = sorted((cls.root / "debs").iterdir())

    def test_packages(self):
        for package in self.packages:
            print(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB")
        thimble, = [package for package in self.packages if package.name.startswith("thimble_")]
        libtorch, = [package for package in self.packages if package.name.startswith("thimble-libtorch")]
        fields = command("dpkg-deb", "--field", thimble, "Depends").stdout
        self.assertIn("libprotobuf32", fields)
        self.assertIn("a small BERT for one task", command("dpkg-deb", "--field", thimble, "Description").stdout)
        self.assertIn(libtorch.name.split("_")[0], fields)
        files = command("dpkg-deb", "--contents", thimble).stdout
        for file in ("/usr/bin/thimble", "/usr/include/thimble/study.h", "/usr/lib/cmake/thimble/thimbleConfig.cmake",
                     "/usr/share/doc/thimble/copyright", "/usr/share/man/man1/thimble.1"):
            self.assertIn(f".{file}\n", files)
        self.assertIn("/usr/lib/thimble/libtorch_cpu.so\n", command("dpkg-deb", "--contents", libtorch).stdout)
        unpacked = self.root / "unpacked"
        command("dpkg-deb", "--extract", thimble, unpacked)
        for library in unpacked.rglob("*.so*"):
            paths = re.findall(r"Library r\w+path: \[(.*)\]", command("readelf", "--dynamic", library).stdout)
            self.assertIn(paths, ([], ["$ORIGIN/thimble"]), f"{library}: a place of the machine that built it")

    def test_in_a_bare_system(self):
        model, there = self.root / "teacher", self.root / "there"
        there.mkdir()
        shutil.copytree(model, there / "teacher")
        shutil.copytree(self.data, there / "data")
        done = command(fixture.SOURCE / "script/try-bare", "--bind", there, *self.packages, "--", "sh", "-ec", """
            thimble describe /mnt/there/teacher
            thimble slice /mnt/there/teacher --task sample --data /mnt/there/data --speedup 1.5 --cache none --out /mnt/there/small
            thimble predict /mnt/there/small 'a text' 'and its pair' > /mnt/there/said
            ! command -v python3
            ldd /usr/lib/libthimble_commands.so > /mnt/there/needed""", check=False)
        if done.returncode == 77:
            skip_without(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("2 layers, hidden 24", done.stdout)
        self.assertNotIn("not found", (there / "needed").read_text())
        self.assertEqual((there / "said").read_text(), fixture.run("predict", there / "small", "a text", "and its pair").stdout)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root")
        sys.exit(77)
    if not shutil.which("mmdebstrap"):
        skip_without("no mmdebstrap")
    unittest.main(argv=sys.argv[:1])
