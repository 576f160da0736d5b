"""Links between pages lead to files that are there."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def links(text):
    """Of Markdown without its code: C++ has brackets as well."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)
    return [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]


class LinksTest(unittest.TestCase):
    def test_every_link(self):
        pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
        found = [(page, link) for page in pages for link in links(page.read_text())]
        self.assertGreater(len(found), 60)
        self.assertEqual([f"{page.relative_to(ROOT)}: {link}" for page, link in found if not (page.parent / link).exists()], [])

    def test_finds_links_and_leaves_code_alone(self):
        self.assertEqual(links("[a](b.md#c) [d](https://e)\n```\n[f](g)\n```\n    [](double x)\n"), ["b.md"])


if __name__ == "__main__":
    unittest.main()
