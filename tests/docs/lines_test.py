"""Prose in the pages has at most 120 columns; tables, code and links may have more."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = 120


def long_lines(text):
    code = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            code = not code
        if len(line) > COLUMNS and not code and not re.match(r"\s{4}|\s*\||!\[|\[", line):
            yield number, line


class LinesTest(unittest.TestCase):
    def test_every_page(self):
        pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
        self.assertGreater(len(pages), 15)
        found = [f"{page.relative_to(ROOT)}:{number}: {line[:60]}..." for page in pages for number, line in long_lines(page.read_text())]
        self.assertEqual(found, [])

    def test_finds_what_is_too_long(self):
        self.assertEqual([n for n, _ in long_lines("a" * 121 + "\n| " + "b" * 130 + "\n```\n" + "c" * 130 + "\n```\n" + "d" * 122)], [1, 6])


if __name__ == "__main__":
    unittest.main()
