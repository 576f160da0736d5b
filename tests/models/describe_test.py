"""thimble describe says what was loaded of the checkpoints in tests/golden/checkpoints. Python's standard library only."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CHECKPOINTS = pathlib.Path(__file__).resolve().parent.parent / "golden/checkpoints"


def run(*arguments):
    return subprocess.run([os.environ["THIMBLE"], *map(str, arguments)], capture_output=True, text=True)


class DescribeTest(unittest.TestCase):
    def test_every_checkpoint(self):
        directories = [path for path in CHECKPOINTS.iterdir() if path.is_dir()]
        self.assertEqual(len(directories), 12)
        for directory in directories:
            with self.subTest(directory.name):
                done = run("describe", directory)
                self.assertEqual(done.returncode, 0, done.stderr)
                unused = json.loads((directory / "expected.json").read_text())["unused"]
                self.assertRegex(done.stdout, rf"\d+ tensors loaded, {len(unused)} unused, 0 drawn anew, none missing")
                for name in unused:
                    self.assertIn(f"unused: {name}\n", done.stdout)

    def test_format_shards_labels_and_notes(self):
        shards = run("describe", CHECKPOINTS / "bert_shards").stdout
        self.assertIn("safetensors, 2 files (model-00001-of-00002.safetensors, model-00002-of-00002.safetensors)", shards)
        self.assertIn("labels: no, yes, perhaps\n", shards)
        self.assertIn("pickle, 1 file (pytorch_model.bin)", run("describe", CHECKPOINTS / "bert_bin").stdout)
        distilbert = run("describe", CHECKPOINTS / "distilbert")
        self.assertIn("note: its head (pre_classifier, ReLU, classifier) is not used", distilbert.stdout)
        self.assertIn("its head (pre_classifier", distilbert.stderr)
        self.assertIn("model type roberta", run("describe", CHECKPOINTS / "roberta").stdout)

    def test_all_missing_weights_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "model"
            shutil.copytree(CHECKPOINTS / "roberta", copy)
            config = json.loads((copy / "config.json").read_text())
            config["num_hidden_layers"] = 3
            (copy / "config.json").write_text(json.dumps(config))
            done = run("describe", copy)
        self.assertEqual(done.returncode, 2)
        self.assertIn("lacks 16 of the", done.stderr)
        for part in ("attention.self.query.weight", "attention.output.LayerNorm.bias", "intermediate.dense.bias",
                     "output.LayerNorm.weight"):
            self.assertIn("encoder.layer.2." + part, done.stderr)

    def test_byte_pair_tokenizer_is_refused_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "model"
            shutil.copytree(CHECKPOINTS / "roberta", copy)
            (copy / "tokenizer.json").write_text(json.dumps(
                {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "ByteLevel"}}))
            done = run("predict", copy, "a sentence")
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("another kind of tokenizer: model; got BPE", done.stderr)


unittest.main()
