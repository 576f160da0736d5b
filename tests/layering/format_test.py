"""Every C++ source is as clang-format writes it: `clang-format-14 -i FILE` mends one."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tests"))
from packages import skip_without  # noqa: E402

FORMATTER = shutil.which("clang-format-14")
if FORMATTER is None:
    skip_without("clang-format-14 is not installed")


def unformatted(files):
    done = subprocess.run([FORMATTER, f"--style=file:{SOURCE / '.clang-format'}", "--dry-run", "-Werror", "--ferror-limit=1", *files],
                          capture_output=True, text=True)
    return sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})


class Format(unittest.TestCase):
    def test_sources(self):
        files = [str(path) for path in sorted(SOURCE.rglob("*")) if path.suffix in (".cc", ".h", ".cu")
                 and path.relative_to(SOURCE).parts[0] not in ("build", ".deps")]
        self.assertGreater(len(files), 300)
        self.assertEqual(unformatted(files), [])

    def test_a_crooked_line_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            crooked = pathlib.Path(folder) / "crooked.cc"
            crooked.write_text("int  f( ){return 1;}\n")
            self.assertEqual(unformatted([str(crooked)]), [str(crooked)])


if __name__ == "__main__":
    unittest.main()
