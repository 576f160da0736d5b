"""A model whose outputs stand in another order than the task's labels is, to every command, the model in the task's order."""
import json
import pathlib
import random
import shutil
import sqlite3
import struct
import tempfile
import unittest

from fixture import make_tiny_bert, run, write_safetensors

LABELS = ["entailment", "neutral", "contradiction"]
SIGNS = ["surely", "perhaps", "never"]  # what a hypothesis of each label holds
WORDS = [a + b for a in "bdfgklmn" for b in ("ab", "ek", "io")]
ARCHITECTURE = """
vocabulary: %d positions: 64 segments: 2 hidden: 24 heads: 4 ffn_hidden: 24 pooler: 24
embedding { trigram { width: 16 } }
layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" stacks: 1 ratio: "1" } }
layer { mixer { self_attention {} } ffn { expression: "linear(relu(linear(x,wb1)),wb2)" stacks: 2 ratio: "1/2" } }
"""
TURN = (2, 0, 1)  # output i of the turned model is output TURN[i] of the straight one
UNKNOWN = ["toxic", "insult", "threat"]


def write_mnli(directory):
    directory.mkdir(parents=True)
    source = random.Random(7)
    for name, rows, columns in (("train", 240, 12), ("dev_matched", 60, 16), ("test_matched", 20, 10)):
        lines = ["\t".join(f"c{i}" for i in range(columns))]
        for i in range(rows):
            label = source.randrange(3)
            words = [source.choice(WORDS) for _ in range(source.randrange(4, 9))]
            words[source.randrange(len(words))] = SIGNS[label]
            cells = ["x"] * columns
            cells[0], cells[8], cells[9] = str(i), " ".join(source.choice(WORDS) for _ in range(5)), " ".join(words)
            if name != "test_matched":
                cells[-1] = LABELS[label]
            lines.append("\t".join(cells))
        (directory / f"{name}.tsv").write_text("\n".join(lines) + "\n")


def read_safetensors(path):
    """Name to (shape, floats)."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return {name: (t["shape"], list(struct.unpack(f"<{(t['data_offsets'][1] - t['data_offsets'][0]) // 4}f",
                                                  data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])))
            for name, t in json.loads(data[8:8 + size]).items() if name != "__metadata__"}


def turned(model, directory, names=None, head="classifier", turn=TURN):
    """A copy of the model with its outputs in another order, whose config.json says so, or gives them other `names`."""
    shutil.copytree(model, directory)
    tensors = read_safetensors(model / "model.safetensors")
    for name in (head + ".weight", head + ".bias"):
        shape, values = tensors[name]
        width = len(values) // 3
        tensors[name] = (shape, [value for i in turn for value in values[i * width:(i + 1) * width]])
    write_safetensors(directory / "model.safetensors", tensors)
    rename(directory, names or [LABELS[i] for i in turn])
    return directory


def rename(directory, names, label2id=None):
    """`names` None: the configuration names nothing."""
    config = json.loads((directory / "config.json").read_text())
    config.pop("id2label", None)
    config.pop("label2id", None)
    if names:
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = label2id or {name: i for i, name in enumerate(names)}
    (directory / "config.json").write_text(json.dumps(config))


def bytes_of(directory, file="model.safetensors"):
    return (directory / file).read_bytes()


class LabelOrder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="thimble-test-")
        cls.root = pathlib.Path(cls.folder.name)
        cls.glue = cls.root / "glue"
        write_mnli(cls.glue / "MNLI")
        make_tiny_bert(cls.root / "base", [*WORDS, *SIGNS])
        cls.common = ("--task", "mnli", "--data", cls.glue)
        run("finetune", cls.root / "base", *cls.common, "--epochs", 10, "--learning-rate", "3e-3", "--set", "batching.size=16",
            "--out", cls.root / "tuned")
        cls.models = {"tuned": cls.root / "tuned", "turned": turned(cls.root / "tuned", cls.root / "turned"),
                      "shouting": turned(cls.root / "tuned", cls.root / "shouting", ["CONTRADICTION", "Entail", "NEUTRAL"])}
        cls.unnamed = turned(cls.root / "tuned", cls.root / "unnamed", ["LABEL_0", "LABEL_1", "LABEL_2"], turn=(0, 1, 2))
        cls.strange = turned(cls.root / "tuned", cls.root / "strange", UNKNOWN, turn=(0, 1, 2))
        vocabulary = len((cls.root / "base/vocab.txt").read_text().splitlines())
        cls.architecture = cls.root / "student.textproto"
        cls.architecture.write_text(ARCHITECTURE % vocabulary)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def out(self, name):
        return self.root / f"{self.id().rsplit('.', 1)[1]}-{name}"

    def same(self, make, *files):
        """make(model, out) runs a command; what it writes is the same whatever the order of the model's outputs."""
        outs = {}
        for name, model in self.models.items():
            outs[name] = self.out(name)
            told = make(model, outs[name]).stderr
            self.assertEqual(told.count("put in the order of task mnli"), name != "tuned", told)
        for name in ("turned", "shouting"):
            for file in files or ("model.safetensors", "model.onnx"):
                self.assertEqual(bytes_of(outs["tuned"], file), bytes_of(outs[name], file), f"{name}: {file}")
            config = json.loads((outs[name] / "config.json").read_text())
            self.assertEqual(list(config["id2label"].values()), LABELS)
        return outs["tuned"]

    def score(self, *arguments):
        done = run("evaluate", *arguments, *self.common)
        return [line.split()[2] for line in done.stdout.splitlines()[2:] if line.startswith(str(self.root))], done.stderr

    def test_evaluate(self):
        scores, told = self.score(*self.models.values())
        self.assertEqual(scores, scores[:1] * 3)
        self.assertGreater(float(scores[0]), 90)
        self.assertEqual(told.count("put in the order"), 2, told)
        self.assertIn("its outputs are contradiction, entailment, neutral", told)
        for name, model in self.models.items():
            done = run("evaluate", model, *self.common, "--submission", self.out(name))
            self.assertEqual(done.stderr.count("put in the order"), name != "tuned", "said once")
        self.assertEqual(bytes_of(self.out("tuned"), "MNLI-m.tsv"), bytes_of(self.out("turned"), "MNLI-m.tsv"))
        self.assertEqual(bytes_of(self.out("tuned"), "MNLI-m.tsv"), bytes_of(self.out("shouting"), "MNLI-m.tsv"))

    def test_predict_says_the_models_own_names(self):
        for label, sign in zip(LABELS, SIGNS):
            for model in (self.models["tuned"], self.models["turned"]):
                told = json.loads(run("predict", model, "bab dek", f"{sign} bab dek", "--json").stdout)
                self.assertEqual(told["label"], label)

    def test_finetune_goes_on_with_its_head(self):
        self.same(lambda model, out: run("finetune", model, *self.common, "--epochs", 1, "--out", out))

    def test_finetune_with_a_teacher(self):
        self.same(lambda model, out: run("finetune", self.root / "base", *self.common, "--epochs", 1, "--teacher", model,
                                         "--out", out))

    def test_finetune_and_distill_a_mix(self):
        for command in (("finetune", self.root / "base"), ("distill", self.root / "base", "--architecture", self.architecture)):
            outs = {}
            for name, model in self.models.items():
                mix = self.root / f"{command[0]}-{name}.textproto"
                mix.write_text('part { task { mnli {} } teacher: "%s" } part { task { mnli_mismatched {} } teacher: "%s" }' %
                               (model, self.models["tuned"]))
                shutil.copy(self.glue / "MNLI/dev_matched.tsv", self.glue / "MNLI/dev_mismatched.tsv")
                outs[name] = self.out(command[0] + name)
                told = run(*command, "--mix", mix, "--data", self.glue, "--rows", 64, "--epochs", 1, "--out", outs[name]).stderr
                self.assertEqual(told.count("put in the order"), name != "tuned", told)
            for task in ("mnli", "mnli_mismatched"):
                for name in ("turned", "shouting"):
                    self.assertEqual(bytes_of(outs["tuned"] / task), bytes_of(outs[name] / task), command[0])

    def test_distill(self):
        student = self.same(lambda model, out: run("distill", model, "--architecture", self.architecture, *self.common, "--epochs",
                                                   1, "--out", out))
        drawn = self.same(lambda model, out: run("distill", model, "--architecture", self.architecture, *self.common, "--epochs", 1,
                                                 "--random-start", "--out", out, "--force"))
        self.assertNotEqual(bytes_of(student, "model.safetensors"), bytes_of(self.models["tuned"]))
        # A student that goes on may have its own order.
        other = turned(drawn, self.out("other-student"), head="head")
        for name, start in (("straight", drawn), ("other", other)):
            done = run("distill", self.models["tuned"], "--student", start, *self.common, "--epochs", 1, "--out", self.out(name))
            self.assertEqual(done.stderr.count("put in the order"), name == "other", done.stderr)
        self.assertEqual(bytes_of(self.out("straight")), bytes_of(self.out("other")))

    def test_a_phase_on_text_keeps_names_and_order_together(self):
        (self.root / "text.txt").write_text("\n".join(" ".join(WORDS[i:i + 6]) for i in range(12)) + "\n")
        scores = []
        for name in ("tuned", "turned"):
            run("distill", self.models[name], "--architecture", self.architecture, "--corpus", self.root / "text.txt", "--epochs", 1,
                "--out", self.out(name))
            found, told = self.score(self.out(name))
            self.assertEqual("put in the order" in told, name == "turned")
            scores += found
        self.assertEqual(scores[0], scores[1])

    def test_slice(self):
        self.same(lambda model, out: run("slice", model, *self.common, "--architecture", self.architecture, "--out", out))

    def test_rank(self):
        lines = {}
        for name, model in self.models.items():
            out = self.out(name)
            run("rank", model, *self.common, "--out", out, "--rows", 96, "--score-rows", 32, "--architectures", 2, "--parameters", "20k",
                "--tolerance", 0.2, "--hidden", "12,16", "--layers", 2, "--trigram", 8, "--epochs", 1, "--seeds", 1)
            lines[name] = [json.loads(line) for line in (out / "ranks.jsonl").read_text().splitlines()]
            for line in lines[name]:
                line.pop("seconds", None)
        self.assertEqual(lines["tuned"], lines["turned"])
        self.assertEqual(lines["tuned"], lines["shouting"])
        self.assertGreater(len(lines["tuned"]), 3)

    def test_search_and_export(self):
        values = {}
        for name in ("tuned", "turned"):
            study = self.out("study-" + name)
            run("init", "--search", "operators", study, *self.common, "--teacher", self.models[name], "--rows", 120, "--max-params", "40k", "--effort", "quick")
            small = [arg for i in range(3) for arg in ("--set", f"stage[{i}].trials=2")]
            small += ["--threads", 1]  # nothing is timed: both studies make the same choices
            told = run("search", study, *small).stderr
            self.assertEqual(told.count("put in the order"), name == "turned", told)
            with sqlite3.connect(study / "study.db") as store:
                values[name] = store.execute("SELECT trial_id, value FROM trial_values ORDER BY trial_id").fetchall()
            run("export", study, "--out", self.out(name), "--epochs", 1, *small, "--quantize", "int8")
        self.assertGreater(len(values["tuned"]), 2)
        self.assertEqual(values["tuned"], values["turned"])
        for file in ("model.safetensors", "model.onnx", "model.int8.onnx", "config.json"):
            self.assertEqual(bytes_of(self.out("tuned"), file), bytes_of(self.out("turned"), file), file)

    # What config.json beside it says stays true of the graph.
    def test_eight_bits_keep_the_models_own_order(self):
        model = self.out("model")
        shutil.copytree(self.models["turned"], model)
        before = bytes_of(model, "config.json")
        run("export", model, "--quantize", "int8", *self.common, "--force")
        self.assertEqual(bytes_of(model, "config.json"), before)
        plain = self.out("plain")
        shutil.copytree(self.models["tuned"], plain)
        run("export", plain, "--quantize", "int8", *self.common, "--force")
        self.assertNotEqual(bytes_of(model, "model.int8.onnx"), bytes_of(plain, "model.int8.onnx"), "other rows of the head")

    def commands(self, model):
        """Every command that scores with a model or learns from one, as far as --dry-run goes."""
        out, dry = ("--out", self.out("never")), "--dry-run"
        yield "evaluate", model, *self.common
        yield "evaluate", model, *self.common, "--submission", self.out("never")
        yield "finetune", model, *self.common, *out, dry
        yield "finetune", self.root / "base", *self.common, "--teacher", model, *out, dry
        mix = self.root / "refused.textproto"
        mix.write_text('part { task { mnli {} } teacher: "%s" }' % model)
        yield "finetune", self.root / "base", "--mix", mix, "--data", self.glue, *out, dry
        yield "distill", self.root / "base", "--architecture", self.architecture, "--mix", mix, "--data", self.glue, *out, dry
        yield "distill", model, "--architecture", self.architecture, *self.common, *out, dry
        yield "distill", self.models["tuned"], "--student", model, *self.common, *out, dry
        yield "slice", model, *self.common, "--max-params", "12k", *out, dry
        yield "rank", model, *self.common, *out, "--rows", 96, "--score-rows", 32, "--architectures", 1, "--parameters", "20k", \
            "--tolerance", 0.2, "--hidden", "12,16", "--layers", 2, "--trigram", 8, dry
        yield "init", "--search", "operators", self.out("never"), *self.common, "--teacher", model, "--rows", 120, "--max-params", "40k", dry
        study = self.root / "dry-study"
        if not study.exists():
            run("init", "--search", "operators", study, *self.common, "--teacher", self.models["tuned"], "--rows", 120, "--max-params", "40k")
        yield "search", study, "--set", f"teacher.model={model}", dry

    def each(self, model, *more, code=0):
        for command in self.commands(model):
            done = run(*command, *more, check=False)
            with self.subTest(" ".join(map(str, command))):
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                yield done.stdout + done.stderr
            if self.out("never").exists():
                self.assertEqual(command[0], "evaluate")
                shutil.rmtree(self.out("never"))

    def test_names_of_something_else_are_refused(self):
        for told in self.each(self.strange, code=2):
            for fragment in ("strange", "toxic, insult, threat", "entailment, neutral, contradiction", "--assume-label-order"):
                self.assertIn(fragment, told)
        for told in self.each(self.strange, "--assume-label-order"):
            self.assertEqual(told.count("(toxic, insult, threat) are taken by position, as asked"), 1, told)
        # As a study remembers it.
        told = run("init", "--search", "operators", self.out("study"), *self.common, "--teacher", self.strange, "--rows", 120, "--max-params", "40k",
                   "--assume-label-order").stderr
        self.assertIn("as asked", told)
        run("search", self.out("study"), "--dry-run")
        scores, _ = self.score(self.models["tuned"], self.strange, "--assume-label-order")
        self.assertEqual(scores[0], scores[1])

    def test_names_that_contradict_each_other_are_refused(self):
        broken = turned(self.models["tuned"], self.out("broken"), turn=(0, 1, 2))
        rename(broken, LABELS, {"entailment": 0, "neutral": 2, "contradiction": 1})
        for told in self.each(broken, code=2):
            self.assertIn("id2label (entailment, neutral, contradiction)", told)
            self.assertRegex(told, r"label2id \((contradiction: 1|entailment: 0)")
        for _ in self.each(broken, "--assume-label-order"):
            pass
        told = run("predict", broken, "bab", "surely bab", check=False)
        self.assertEqual(told.returncode, 2)
        self.assertIn("contradict each other", told.stderr)
        self.assertIn("* entailment", run("predict", broken, "bab", "surely bab", "--assume-label-order").stdout)

    def test_outputs_without_names_go_by_position(self):
        for told in self.each(self.unnamed):
            self.assertEqual(told.count("taken by position"), 1, told)
        bare = turned(self.models["tuned"], self.out("bare"), turn=(0, 1, 2))
        rename(bare, None)
        for told in self.each(bare):
            self.assertEqual(told.count("taken by position"), 1, told)
        scores, _ = self.score(self.models["tuned"], self.unnamed, bare)
        self.assertEqual(scores, scores[:1] * 3)

    # What thimble wrote is the task's own, and needs no word.
    def test_own_models_are_taken_silently(self):
        for told in self.each(self.models["tuned"]):
            self.assertNotIn("order", told)
            self.assertNotIn("position", told)

    def test_own_task_with_names_of_its_own(self):
        (self.root / "own.tsv").write_text("text\tkind\n" + "".join(
            f"{sign} {word}\t{kind}\n" for word in WORDS for sign, kind in zip(SIGNS, ("2", "1", "0"))))
        task = self.root / "own.textproto"
        own = 'custom { name: "own" train: "own.tsv" dev: "own.tsv" first: "text" label: "kind" %s }'
        task.write_text(own % "")
        refused = run("evaluate", self.models["turned"], "--task", task, "--data", self.root, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("0, 1, 2", refused.stderr)
        task.write_text(own % "".join('label_names { label: "%d" name: "%s" } ' % (2 - i, name) for i, name in enumerate(LABELS)))
        for model in (self.models["tuned"], self.models["turned"]):
            done = run("evaluate", model, "--task", task, "--data", self.root)
            self.assertGreater(float(done.stdout.splitlines()[2].split()[2]), 80, done.stdout)


if __name__ == "__main__":
    unittest.main()
