"""Links between pages lead to files that are there."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class LinksTest(unittest.TestCase):
    def test_every_link(self):
        pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
        links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()) if "://" not in link]
        self.assertGreater(len(links), 30)
        self.assertEqual([f"{page.relative_to(ROOT)}: {link}" for page, link in links if not (page.parent / link).exists()], [])


if __name__ == "__main__":
    unittest.main()
