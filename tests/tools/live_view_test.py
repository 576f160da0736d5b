"""`search` on a terminal draws a few lines in place; piped it prints plain lines; with --log-format json one object a line."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import unittest

from failing_writes import make_quick_study
from fixture import THIMBLE, Case

COLUMNS = 90


class Screen:
    """As much of a terminal as the program uses; what scrolls away is kept, and messages do not wrap."""

    def __init__(self):
        self.lines, self.row, self.column = [""], 0, 0

    def feed(self, text):
        for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.row, self.column = self.row + 1, 0  # the terminal's driver adds the return
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part == "\x1b[A":
                self.row -= 1
                assert self.row >= 0, "above the first line"
            elif part == "\x1b[K":
                self.lines[self.row] = self.lines[self.row][:self.column]
            elif part.startswith("\x1b"):
                assert part in ("\x1b[1m", "\x1b[0m", "\x1b[m"), repr(part)
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[:self.column] + part + line[self.column + len(part):]
                self.column += len(part)

    def shown(self):
        return [line for line in self.lines if line]


class LiveView(Case):
    def on_terminal(self, study, **environment):
        """Standard error's text, on a terminal, and standard output's, which is a pipe."""
        main, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        process = subprocess.Popen([THIMBLE, "search", study, "--threads", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, text=True,
                                   env={**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, "TERM": "xterm", **environment})
        os.close(terminal)
        data = b""
        while True:
            try:
                part = os.read(main, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            data += part
        os.close(main)
        self.assertEqual(process.wait(), 0)
        printed = process.stdout.read()
        process.stdout.close()
        return data.decode(), printed

    def test_on_a_terminal(self):
        text, printed = self.on_terminal(make_quick_study(self, self.root / "terminal"))
        self.assertNotIn("\x1b", printed)
        self.assertIn("\x1b[1mstage joint\x1b[0m (1 of 2): 0 of 2 candidates scored", text)
        self.assertIn("\x1b[1mstage shape\x1b[0m (2 of 2): ", text)
        self.assertRegex(text, r"\x1b\[1mbest\x1b\[0m -\d.* \(trial \d, accuracy [\d.]+\); uniform .*teacher accu|best\x1b\[0m -")
        self.assertRegex(text, r"\x1b\[1mtime\x1b\[0m [\d.]+ s, [\d.e+]+ candidates a minute")
        screen = Screen()
        screen.feed(text)
        drawn = re.findall(r"\x1b\[1m([^\x1b]*)\x1b\[0m([^\x1b\r\n]*)", text)
        self.assertEqual(max(len(label + rest) for label, rest in drawn), COLUMNS - 1, "lines are cut before they would wrap")
        shown = screen.shown()
        # Messages stay, whole and in order; of what is drawn in place nothing is left.
        self.assertIn('stage "joint" is finished: 4 candidates evaluated', "\n".join(shown))
        self.assertRegex("\n".join(shown), r"(?m)^stage joint: distilling \d \(examples\) (\d+)/\1, ")
        for line in shown:
            self.assertNotRegex(line, r"candidates scored|^best|^time|\[#")
        # In the same places again, without an end: never more than the four lines.
        self.assertLessEqual(max(len(run.split("\x1b[A")) for run in re.findall(r"(?:\x1b\[A\x1b\[K)+", text)), 4)

    def test_without_colours_or_without_a_terminal(self):
        text, _ = self.on_terminal(make_quick_study(self, self.root / "plain"), NO_COLOR="1")
        self.assertNotIn("\x1b[1m", text)
        self.assertIn("stage joint (1 of 2)", text)
        dumb, _ = self.on_terminal(make_quick_study(self, self.root / "dumb"), TERM="dumb")
        self.assertNotIn("\x1b", dumb)
        for name, more in (("piped", ()), ("json", ("--log-format", "json"))):
            study = make_quick_study(self, self.root / name)
            done = subprocess.run([THIMBLE, *more, "search", study, "--threads", "1"], capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("\x1b", done.stderr)
            self.assertNotIn("candidates scored", done.stderr)
            if more:
                messages = [json.loads(line)["message"] for line in done.stderr.splitlines()]
                self.assertTrue(any("is finished" in message for message in messages))


if __name__ == "__main__":
    unittest.main()
