"""What a model's directory may hold: weights in one file or many, of either format; numbers that are none; names of a wrapped
model; labels that do not exclude one another. Every command that reads a model is tried on each."""
import json
import math
import pathlib
import pickle
import shutil
import struct
import unittest
import zipfile

from fixture import Case, run, write_safetensors


def read_safetensors(path):
    """name -> (shape, list of floats), of float32."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, begin = json.loads(data[8:8 + size]), 8 + size
    header.pop("__metadata__", None)
    return {name: (entry["shape"], list(struct.unpack(f"<{math.prod(entry['shape'])}f",
                                                      data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]])))
            for name, entry in header.items()}


class Global:
    """Pickled as the name of a function or class that need not be there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    def __init__(self, key, numbers):
        self.key, self.numbers = key, numbers


class Tensor:
    def __init__(self, shape, storage):
        self.shape, self.storage = shape, storage


class StatePickler(pickle._Pickler):  # the one in Python: save_global may be told what to write
    def persistent_id(self, what):
        if not isinstance(what, Storage):
            return None
        return ("storage", Global("torch", "FloatStorage"), what.key, "cpu", what.numbers)

    def save(self, what, save_persistent_id=True):
        if isinstance(what, Global):
            self.write(pickle.GLOBAL + f"{what.module}\n{what.name}\n".encode())
        elif isinstance(what, Tensor):
            strides = [math.prod(what.shape[i + 1:]) for i in range(len(what.shape))]
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.write(pickle.MARK)
            for part in (what.storage, 0, tuple(what.shape), tuple(strides), False):
                self.save(part)
            self.save(Global("collections", "OrderedDict"))
            self.write(pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.TUPLE + pickle.REDUCE)
        else:
            super().save(what, save_persistent_id)


def write_bin(path, tensors):
    """As torch.save writes a state dict."""
    import io
    stream = io.BytesIO()
    StatePickler(stream, 2).dump({name: Tensor(shape, Storage(str(i), len(values)))
                                  for i, (name, (shape, values)) in enumerate(tensors.items())})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for i, (shape, values) in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", struct.pack(f"<{len(values)}f", *values))
        archive.writestr("archive/version", "3\n")


def write_shards(directory, tensors, write, stem, suffix):
    names = list(tensors)
    parts = [names[:len(names) // 3], names[len(names) // 3:]]
    files = [f"{stem}-{i + 1:05}-of-00002.{suffix}" for i in range(2)]
    for file, part in zip(files, parts):
        write(directory / file, {name: tensors[name] for name in part})
    index = {"weight_map": {name: file for file, part in zip(files, parts) for name in part}}
    (directory / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


LAYOUTS = {
    "shards": lambda directory, tensors: write_shards(directory, tensors, write_safetensors, "model", "safetensors"),
    "bin": lambda directory, tensors: write_bin(directory / "pytorch_model.bin", tensors),
    "bin-shards": lambda directory, tensors: write_shards(directory, tensors, write_bin, "pytorch_model", "bin"),
}

ARCHITECTURE = """vocabulary: {vocabulary} positions: 64 hidden: 12 heads: 4 ffn_hidden: 48 pooler: 24
embedding {{ plain {{}} }} layer_norm_epsilon: 1e-12
layer {{ mixer {{ self_attention {{}} }} ffn {{ expression: "linear(gelu_erf(linear(x,wb1)),wb2)" }} }}
"""


class Weights(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        vocabulary = len((cls.root / "base/vocab.txt").read_text().splitlines())
        cls.architecture = cls.root / "student.textproto"
        cls.architecture.write_text(ARCHITECTURE.format(vocabulary=vocabulary))
        (cls.root / "text.txt").write_text("\n".join((cls.data / "SAMPLE/dev.tsv").read_text().split("\t")[:60]) + "\n")

    def copy(self, name, source="teacher"):
        """A model without its weights, and these."""
        directory = self.root / name
        shutil.copytree(self.root / source, directory)
        for file in ("model.safetensors", "model.onnx", "README.md", "architecture.textproto"):
            (directory / file).unlink(missing_ok=True)
        return directory, read_safetensors(self.root / source / "model.safetensors")

    def configure(self, directory, **fields):
        path = directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    def commands(self, model, out):
        """Every command that reads a model; each writes, if anything, into `out`."""
        task = ("--task", "sample", "--data", self.data)
        few = ("--rows", 64, "--epochs", 1)
        student = ("--architecture", self.architecture)
        study = ("init", "--search", "operators", out / "study", *task, "--teacher", model, "--rows", 96, "--max-params", "60k", "--effort", "quick")
        return {
            "describe": ("describe", model),
            "predict": ("predict", model, "one text", "and another"),
            "evaluate": ("evaluate", model, *task),
            "finetune": ("finetune", model, *task, *few, "--out", out / "finetuned"),
            "finetune --teacher": ("finetune", self.root / "base", *task, *few, "--teacher", model, "--out", out / "taught"),
            "distill": ("distill", model, *student, *task, *few, "--out", out / "distilled"),
            "distill --corpus": ("distill", model, *student, "--corpus", self.root / "text.txt", "--epochs", 1, "--out", out / "text"),
            "distill --student": ("distill", self.root / "teacher", "--student", model, *task, *few, "--out", out / "went-on"),
            "slice": ("slice", model, *task, "--rows", 64, *student, "--out", out / "sliced"),
            "crop": ("crop", model, "--to", self.architecture, "--out", out / "cropped"),
            "export": ("export", model),
            "export --quantize": ("export", model, "--quantize", "int8", *task, "--force"),
            "rank": ("rank", model, *task, "--out", out / "ranks", "--rows", 64, "--score-rows", 16, "--dev-rows", 16,
                     "--architectures", 2, "--parameters", "20k", "--tolerance", 0.3, "--hidden", "12,16", "--layers", 2,
                     "--trigram", 8, "--epochs", 1),
            "init": study,
            "search": ("search", out / "study"),
        }

    def test_every_command_reads_every_layout(self):
        size = (self.root / "teacher/model.safetensors").stat().st_size
        plain = run("predict", self.root / "teacher", "one text", "and another", "--json").stdout
        for layout, write in LAYOUTS.items():
            directory, tensors = self.copy(layout)
            write(directory, tensors)
            out = self.root / ("out-" + layout)
            out.mkdir()
            commands = self.commands(directory, out)
            if layout == "bin":
                commands = {name: commands[name] for name in ("describe", "predict", "evaluate", "finetune")}
            for name, command in commands.items():
                with self.subTest(f"{name} of {layout}"):
                    done = run(*command)
                    if name == "evaluate":
                        # Of its files, which hold the same numbers and another header.
                        shown = float(done.stdout.splitlines()[2].split()[-1])
                        self.assertAlmostEqual(shown, size / 1e6, delta=0.1)
            with self.subTest(f"answers of {layout}"):
                self.assertEqual(run("predict", directory, "one text", "and another", "--json").stdout, plain)

    def test_no_command_works_with_weights_that_are_none(self):
        directory, tensors = self.copy("nan")
        name = "bert.encoder.layer.1.output.dense.weight"
        tensors[name][1][7] = math.nan
        write_safetensors(directory / "model.safetensors", tensors)
        run("init", "--search", "operators", self.root / "study-nan", "--task", "sample", "--data", self.data, "--teacher", self.root / "teacher", "--rows",
            96, "--max-params", "60k", "--effort", "quick")
        out = self.root / "out-nan"
        out.mkdir()
        commands = self.commands(directory, out)
        commands["search"] = ("search", self.root / "study-nan", "--set", f"teacher.model={directory}")
        for each, command in commands.items():
            with self.subTest(each):
                done = run(*command, check=False)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn(f"{directory}/model.safetensors, tensor '{name}': NaN or infinity in 1 of its 2304 numbers", done.stderr)
                self.assertEqual(len([line for line in done.stderr.splitlines() if line.startswith("thimble: ")]), 1, done.stderr)
                self.assertNotIn("nan", done.stdout)
        self.assertEqual([path.name for path in out.iterdir()], [])

    def test_outputs_that_are_none(self):
        """Weights are finite; what they add up to is not."""
        directory, tensors = self.copy("overflow")
        shape, values = tensors["classifier.weight"]
        tensors["classifier.weight"] = shape, [3e38] * len(values)
        tensors["bert.pooler.dense.bias"] = tensors["bert.pooler.dense.bias"][0], [9.0] * 24
        write_safetensors(directory / "model.safetensors", tensors)
        out = self.root / "out-overflow"
        out.mkdir()
        commands = self.commands(directory, out)
        for each, where in (("predict", "input 1"), ("evaluate", r"row \d+"), ("slice", r"row \d+"),
                            ("export --quantize", "eight bits are fitted to")):
            with self.subTest(each):
                done = run(*commands[each], check=False)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stderr, where + ": the model says NaN or infinity, beginning with the head's output")
                self.assertNotIn("nan", done.stdout)
        # Training says it in its own words, and leaves nothing but the curves up to there.
        done = run(*commands["finetune"], check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("at step 1", done.stderr)
        self.assertEqual([path.name for path in out.iterdir()], ["finetuned.events"])

    def test_names_of_a_wrapped_model(self):
        plain = run("predict", self.root / "teacher", "one text", "and another", "--json").stdout
        for prefix in ("module.", "_orig_mod.", "module._orig_mod."):
            directory, tensors = self.copy("wrapped-" + prefix)
            write_safetensors(directory / "model.safetensors", {prefix + name: value for name, value in tensors.items()})
            described = run("describe", directory)
            self.assertIn("left out", described.stdout)
            self.assertIn("0 unused", described.stdout)
            self.assertEqual(run("predict", directory, "one text", "and another", "--json").stdout, plain)
        directory, tensors = self.copy("wrapped-in-part")
        write_safetensors(directory / "model.safetensors",
                          {name if name.startswith("classifier") else "encoder." + name: value for name, value in tensors.items()})
        done = run("describe", directory, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("names begin with 'encoder.', but 'classifier.bias' does not", done.stderr)
        self.assertIn(" more; ", done.stderr)
        self.assertEqual(len([line for line in done.stderr.splitlines() if line.startswith("thimble: ")]), 1)
        self.assertLess(len(done.stderr), 1200)

    def test_labels_that_do_not_exclude_one_another(self):
        directory, tensors = self.copy("labels")
        write_safetensors(directory / "model.safetensors", tensors)
        self.configure(directory, problem_type="multi_label_classification", id2label={"0": "rude", "1": "long"},
                       label2id={"rude": 0, "long": 1})
        answer = json.loads(run("predict", directory, "one text", "and another", "--json").stdout)
        self.assertEqual([each["label"] for each in answer["labels"]], ["rude", "long"])
        for each, logit in zip(answer["labels"], answer["logits"]):
            self.assertAlmostEqual(each["probability"], 1 / (1 + math.exp(-logit)), places=6)
        lines = run("predict", directory, "one text", "and another").stdout.splitlines()
        self.assertEqual(len(lines), 2)
        for line, each in zip(lines, answer["labels"]):
            self.assertEqual(line.startswith("* "), each["probability"] > 0.5)
            self.assertEqual(line[2:].split(), [each["label"], f"{each['probability']:.4f}"])
        (self.root / "rows.tsv").write_text("one text\tand another\n")
        shown = run("predict", directory, "--file", self.root / "rows.tsv").stdout
        self.assertEqual(shown, "\t".join(f"{each['label']}\t{each['probability']:.4f}" for each in answer["labels"]) + "\n")
        self.assertIn("labels, each true or not: rude, long", run("describe", directory).stdout)
        out = self.root / "out-labels"
        out.mkdir()
        commands = self.commands(directory, out)
        for each in ("evaluate", "finetune --teacher", "distill", "distill --corpus", "distill --student", "slice", "crop", "rank", "init"):
            with self.subTest(each):
                done = run(*commands[each], check=False)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn("labels/config.json: 'problem_type' is not supported here; got multi_label_classification", done.stderr)
        self.assertEqual([path.name for path in out.iterdir()], [])

    def test_describe_says_what_config_said(self):
        directory, tensors = self.copy("config")
        write_safetensors(directory / "model.safetensors", tensors)
        self.configure(directory, future_field=3, another_field={"a": 1}, quantization_config=None)
        told = run("describe", directory).stdout
        self.assertRegex(told, r"config.json: \d+ fields read \(architectures, .*hidden_act.*problem_type.*\)\n")
        self.assertRegex(told, r"without effect on an answer: .*hidden_dropout_prob.*torch_dtype")
        self.assertIn("ignored, unknown here: another_field, future_field\n", told)
        self.configure(directory, quantization_config={"bits": 4})
        done = run("describe", directory, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("config.json: 'quantization_config' is not supported; got {\"bits\":4}", done.stderr)


if __name__ == "__main__":
    unittest.main()
