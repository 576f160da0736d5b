"""docs/reference.md is what the schema says: `thimble describe --reference > docs/reference.md`."""
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ReferenceTest(unittest.TestCase):
    def test_is_current(self):
        told = subprocess.run([os.environ["THIMBLE"], "describe", "--reference"], capture_output=True, text=True, check=True).stdout
        self.assertGreater(told.count("\n### "), 50)
        self.assertEqual((ROOT / "docs/reference.md").read_text(), told)


if __name__ == "__main__":
    unittest.main()
