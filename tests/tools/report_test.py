"""report.html and `show`: a study of two targets, one that has only begun, one whose candidates fail; against the store, in a browser."""
import csv
import io
import json
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

import browser
from failing_writes import make_quick_study
from fixture import THIMBLE, Case, run

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import ALL_NEEDED  # noqa: E402

# Text that overlaps other text of its drawing, that is cut off by it, and what is wider than its place.
FLAWS = """(() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const flaws = [], name = (text) => JSON.stringify(text.textContent.slice(0, 40));
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    for (const svg of document.querySelectorAll("svg.chart")) {
      const frame = svg.getBoundingClientRect(), what = svg.getAttribute("aria-label");
      const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim()).map((text) => [text, text.getBoundingClientRect()]);
      for (const [text, box] of texts)
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) flaws.push(`${what}: ${name(text)} is cut off`);
      for (let i = 0; i < texts.length; ++i)
        for (let k = 0; k < i; ++k) {
          const [a, b] = [texts[i][1], texts[k][1]];
          if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3.5)
            flaws.push(`${what}: ${name(texts[i][0])} overlaps ${name(texts[k][0])}`);
        }
    }
    if (document.documentElement.scrollWidth > innerWidth) flaws.push("the page is wider than the window");
    for (const element of document.querySelectorAll("main *"))
      if (!element.closest(".wide, pre, svg") && element.getBoundingClientRect().right > innerWidth + 1) flaws.push(`${element.tagName} ${name(element)} sticks out`);
    done(flaws);
  })));
})()"""


def document_of(page):
    return json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)[1])


class Report(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.study = cls.searched("study", "--speedup", "1.5,2")

    @classmethod
    def searched(cls, name, *goals):
        """As `init` writes it, cut down: a sliced start, eight candidates, five of them taught for two epochs, beside two controls."""
        study = cls.root / name
        run("init", study, "--task", "sample", "--data", cls.data, "--teacher", cls.root / "teacher", "--rows", 240, "--minutes", 1, *goals)
        file = study / "study.textproto"
        text = re.sub(r"epochs: \d+", "epochs: 2", file.read_text())
        text = re.sub(r"trials: \d+  round: 8", "trials: 8  round: 4", text)
        file.write_text(re.sub(r"trials: \d+  round: \d+(  again.*)?\n}\nseed", "trials: 5  round: 5\n}\nseed", text))
        run("search", study, "--threads", 1)
        return study

    def shown(self, study, *more):
        text = run("show", study, *more).stdout
        return text, (study / "report.html").read_text()

    def test_json_says_what_the_store_holds(self):
        text, page = self.shown(self.study)
        printed = json.loads(run("show", self.study, "--json").stdout)
        self.assertEqual(document_of(page), printed, "the page draws what --json prints")
        self.assertEqual((printed["format"], printed["name"], printed["task"]), ("thimble study", "study", "sample"))
        with sqlite3.connect(self.study / "study.db") as db:
            stored = db.execute("select study_name, number, state, value from trials join studies using (study_id) "
                                "left join trial_values using (trial_id) order by study_id, number").fetchall()
            curves = db.execute("select study_name, number, step, intermediate_value from trials join studies using (study_id) "
                                "join trial_intermediate_values using (trial_id)").fetchall()
        states = {"complete": "COMPLETE", "left": "PRUNED", "thinned": "PRUNED", "failed": "FAIL"}
        said = [("study/" + stage["name"], trial["number"], states[trial["state"]], trial.get("score"))
                for stage in printed["stages"] for trial in stage["trials"]]
        self.assertEqual(sorted(said), sorted(stored))
        self.assertTrue(curves, "Optuna's tools draw learning curves")
        trials = {("study/" + stage["name"], trial["number"]): trial for stage in printed["stages"] for trial in stage["trials"]}
        for name, number, step, value in curves:
            self.assertEqual(trials[name, number]["epochs"][step - 1]["score"], value)
        self.assertEqual([result["target"] for result in printed["results"]], ["1.5x", "2x"])
        for result in printed["results"]:
            stage = next(each for each in printed["stages"] if each["name"] == result["stage"])
            self.assertEqual(stage["name"], "training-" + result["target"].replace(".", "_"))
            complete = [trial for trial in stage["trials"] if trial["state"] == "complete"]
            proposed = [trial for trial in complete if trial["origin"] not in ("uniform", "random")]
            self.assertEqual(result["found"], max(proposed, key=lambda trial: trial["score"])["number"])
            self.assertEqual({each["origin"] for each in result["compared"]["with"]}, {"uniform", "random"})
            self.assertIn(result["headline"], text)
            self.assertEqual(result["layer_map"][-1], {"student": "head", "teacher": "head", "losses": "soft_labels"})
            for trial in stage["trials"]:
                self.assertLessEqual(trial["multiply_adds"], printed["teacher"]["multiply_adds"] / float(result["target"][:-1]) * 1.02)
                self.assertEqual(len(trial["epochs"]), trial.get("left_after", 2))
                self.assertIn("cheap", trial, "what it was proposed by")
                for layer in trial["architecture"]["layers"]:
                    self.assertIn("mixer", printed["layer_kinds"][layer])
        self.assertIn("accuracy", printed["teacher"]["metrics"])
        rows = printed["rows"]
        self.assertEqual(rows["train"]["examples"] + rows["holdout"]["examples"], 240)
        self.assertEqual(sum(rows["train"]["labels"].values()), rows["train"]["examples"])
        self.assertEqual(sum(count for _, count in rows["train"]["lengths"]), rows["train"]["examples"])
        # What is said is what was typed, and can be typed again.
        commands = [each["command"] for each in printed["commands"]]
        self.assertIn(f"thimble export {self.study} --target 2x --out student-2x", commands)
        self.assertRegex(commands[-1], "thimble evaluate .* --task sample --data ")
        for command in commands[2:4]:
            self.assertIn("would export", run(*command.split()[1:], "--dry-run").stderr)

    def test_text_and_rows(self):
        text, _ = self.shown(self.study)
        for part in (r"teacher \S+teacher: [\d.]+M parameters", r"rows: to learn from \d+ \(0: \d+, 1: \d+\)", r"score of stage training-2x\n +-?[\d.]+ \|",
                     r"\+-{64}\n", "what it learns from:\n", "after each epoch, stage training-2x:\n", r"score without training against score, stage training-2x: Kendall's tau -?[01]\.\d\d",
                     "commands:\n  thimble search "):
            self.assertRegex(text, part)
        table = list(csv.DictReader(io.StringIO(run("show", self.study, "--csv").stdout)))
        printed = json.loads(run("show", self.study, "--json").stdout)
        self.assertEqual(len(table), sum(len(stage["trials"]) for stage in printed["stages"]))
        flat = [(stage["name"], trial) for stage in printed["stages"] for trial in stage["trials"]]
        for row, (stage, trial) in zip(table, flat):
            self.assertEqual((row["stage"], int(row["number"]), row["state"]), (stage, trial["number"], trial["state"]))
            self.assertEqual(float(row["score"]), trial["score"])
            self.assertEqual(float(row["accuracy"]), trial["metrics"]["accuracy"])
            self.assertEqual(len(row["heads"].split()), len(trial["architecture"]["layers"]))
        self.refuse(("show", self.study, "--csv", "--json"), "--csv")

    def test_latency_is_measured_where_it_is_asked_for(self):
        study = self.root / "timed"
        shutil.copytree(self.study, study)
        self.assertNotIn("latency_ms", json.loads(run("show", study, "--json").stdout)["teacher"])
        timed = json.loads(run("show", study, "--json", "--latency").stdout)
        self.assertGreater(timed["teacher"]["latency_ms"], 0)
        self.assertEqual(timed["results"][0]["latency_of"], "batch 1, 128 tokens, 1 thread")
        self.assertEqual(json.loads(run("show", study, "--json").stdout), timed, "it is kept")
        # Of another machine: said, and left out.
        table = study / "work/latency-1x128-1.json"
        table.write_text(re.sub(r'("cpu": *)"[^"]*"', r'\1"another"', table.read_text()))
        done = run("show", study, "--json")
        self.assertIn("without latencies", done.stderr)
        self.assertNotIn("latency_ms", done.stdout)

    def test_overrides_and_what_is_not_there(self):
        study = self.root / "overridden"
        study.mkdir()
        text = (self.study / "study.textproto").read_text()
        (study / "study.textproto").write_text(text)
        more = ("--set", "stage[1].trials=3", "--set", "target[1].multiply_adds.speedup=3")
        run("search", study, "--threads", 1, *more)
        self.assertIn("training-2x: nothing complete yet", self.shown(study)[0])
        shown, page = self.shown(study, *more)
        self.assertIn("training-3x: best trial", shown)
        document = document_of(page)
        self.assertEqual(document["stages"][-1]["wanted"], 3)
        self.assertIn("--set 'stage[1].trials=3'", document["commands"][0]["command"])
        # Without teacher and data what is stored is shown, less what they alone say.
        away = (study / "study.textproto").read_text().replace(str(self.root / "teacher"), str(self.root / "nowhere"))
        (study / "study.textproto").write_text(away.replace(str(self.data), str(self.root / "nothing")))
        document = document_of(self.shown(study, *more)[1])
        self.assertNotIn("multiply_adds", document["stages"][-1]["trials"][0])
        self.assertIn("metrics", document["teacher"])

    def begun(self):
        """Killed once its first round was stored."""
        study = make_quick_study(self, self.root / "begun")
        file = study / "study.textproto"
        file.write_text(file.read_text().replace("supernet { epochs: 1 }", "supernet { epochs: 100 }"))
        process = subprocess.Popen([THIMBLE, "search", study, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def trials():
            try:
                with sqlite3.connect(f"file:{study}/study.db?mode=ro", uri=True) as db:
                    return db.execute("select count(*) from trials").fetchone()[0]
            except sqlite3.Error:
                return 0
        while process.poll() is None and trials() == 0:
            time.sleep(0.02)
        self.assertIsNone(process.poll(), "the search ended before it was killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        return study

    def failed(self):
        study = make_quick_study(self, self.root / "failed")
        file = study / "study.textproto"
        file.write_text(file.read_text().replace("learning_rate: 1e-3", "learning_rate: 1") .replace("adamw { ", "adamw { epsilon: 1e-30 "))
        file.write_text(file.read_text().replace("loss { soft_labels {} }", "loss { soft_labels {} weight: 1e30 } loss { soft_labels {} weight: 1e38 }"))
        done = run("search", study, "--threads", 1, check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return study

    def check_page(self, study, page):
        self.assertLess(len(page.encode()), 2_000_000)
        without = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
        self.assertEqual(set(re.findall(r"https?://[\w./-]*", without)) - {"https://d3js.org"},
                         set(re.findall(r"http://www\.w3\.org/[\w./-]*", without)), "names of namespaces alone")
        self.assertFalse(re.findall(r"<(?:link|img|iframe|base)\b|<script[^>]*\bsrc=|@import|url\(", re.sub(r"<script>.*?</script>", "", without, flags=re.DOTALL)))
        tidy = shutil.which("tidy")
        if tidy:
            done = subprocess.run([tidy, "-quiet", "-errors", "--show-info", "no", study / "report.html"], capture_output=True, text=True)
            self.assertEqual(done.stderr, "", "tidy")
        else:
            self.assertFalse(ALL_NEEDED, "tidy is not installed; script/bootstrap --all-tests does")

    def test_pages_in_a_browser(self):
        self.assertTrue(browser.find() or not ALL_NEEDED, "no browser is installed; script/bootstrap --all-tests does")
        begun, failed = self.begun(), self.failed()
        pages = {}
        for study in (self.study, begun, failed):
            text, page = self.shown(study)
            self.check_page(study, page)
            pages[study] = text, document_of(page)
        self.assertIn("The search is not finished", pages[begun][0])
        self.assertFalse(pages[begun][1]["results"][0]["finished"])
        self.assertIn("Nothing is scored yet", pages[failed][0])
        self.assertIn("failed", {trial["state"] for trial in pages[failed][1]["stages"][0]["trials"]})
        if not browser.find():
            self.skipTest("no browser is installed")
        with browser.Browser() as page:
            for study in pages:
                for width in (400, 1000, 1600):
                    for dark in (False, True) if study == self.study else (False,):
                        with self.subTest(study=study.name, width=width, dark=dark):
                            page.open(f"file://{study}/report.html", width, dark)
                            self.assertEqual(page.errors(), [])
                            self.assertEqual(page.requests(), [f"file://{study}/report.html"])
                            self.assertEqual(page.evaluate("document.body.dataset.drawn"), "yes")
                            self.assertEqual(page.evaluate(FLAWS), [])
                            light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
                            self.assertEqual(light, not dark)
                    drawn = page.evaluate("document.querySelectorAll('svg.chart').length")
                    self.assertGreater(drawn, 8 if study == self.study else -1)
            page.open(f"file://{self.study}/report.html", 800, dark=True, media="print")
            self.assertEqual(page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "paper is white")
            self.assertEqual(page.evaluate("getComputedStyle(document.querySelector('.choice')).display"), "none")
            self.assertEqual(page.evaluate(FLAWS), [])
            # The check sees what it is for.
            page.evaluate("(() => { const text = document.querySelector('svg.chart text'); text.after(text.cloneNode(true)); })()")
            page.evaluate("document.querySelectorAll('svg.chart')[1].querySelector('text').setAttribute('x', -3000)")
            flaws = page.evaluate(FLAWS)
            self.assertTrue(any("overlaps" in flaw for flaw in flaws) and any("is cut off" in flaw for flaw in flaws), flaws)


if __name__ == "__main__":
    unittest.main()
