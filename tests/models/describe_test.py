"""thimble describe says what was loaded of the checkpoints in tests/golden/checkpoints. Python's standard library only."""

import json
import os
import pathlib
import re
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
        self.assertEqual(len(directories), 16)
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

    def test_architectures_and_their_costs(self):
        path = CHECKPOINTS.parent.parent.parent / "configs/architectures/mobilebert.textproto"
        done = run("describe", path, "--batch", "8", "--length", "64")
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ("24 layers, hidden 512, 4 heads, trigram embedding, bottleneck 128", "no LayerNorm", "24.582M deployed parameters",
                     "multiply-adds at length 64", "model.safetensors 98.", "8 rows of 64 tokens", "identity: "):
            self.assertIn(part, done.stdout)
        self.assertNotIn("[CLS]", done.stdout, "without a head every state is returned")
        larger = run("describe", path, "--batch", "16", "--length", "64").stdout
        kept = [float(re.search(r"float32: ([\d.]+) MB kept", text).group(1)) for text in (done.stdout, larger)]
        self.assertAlmostEqual(kept[1] / kept[0], 2, delta=0.01)
        with tempfile.TemporaryDirectory() as folder:
            bare = pathlib.Path(folder) / "bare.textproto"
            bare.write_text(path.read_text().replace("proto-message", "message").replace("heads: 4", "heads: 5"))
            done = run("describe", bare)
        self.assertEqual(done.returncode, 2)
        self.assertIn("heads: the heads must divide the bottleneck width", done.stderr)
        told = run("describe", CHECKPOINTS / "mobilebert", "--latency").stdout
        self.assertRegex(told, r"attention, 2 heads, 8 to 6, queries and keys share +[\d.]+ +1\n")
        self.assertRegex(told, r"attention, 2 heads, 8 to 6, queries and keys share, first token +[\d.]+ +1\n")
        self.assertRegex(told, r"predicted from its parts [\d.]+ ms, measured whole [\d.]+ ms: [+-][\d.]+% \(rounds from [+-][\d.]+% to [+-][\d.]+%\)")
        model = run("describe", CHECKPOINTS / "mobilebert")
        self.assertIn("bottleneck 6 (queries and keys share one of their own), no LayerNorm, head of 3", model.stdout)
        self.assertIn("multiply-adds at length 128 (of the last layer what [CLS] takes)\n", model.stdout)
        self.assertRegex(model.stdout, r"files: model.safetensors .* MB, model.onnx .* MB, model.int8.onnx .* MB")

    def test_a_study_whose_losses_need_no_layer_map(self):
        losses = "loss { minilm_relations {} } loss { soft_labels {} }"
        study = """teacher { model: "nowhere" hidden: 24 layers: 2 } data { directory: "nowhere" task { sample {} } }
space { hidden: 24 heads: 4 layers: 3 embedding { plain {} } layer { mixer { self_attention {} } ffn { expression {} stacks: [1, 2] } } }
recipe { objective { %s } optimizer { adamw { learning_rate: 1e-3 } } }
stage { name: "only" vary: STACKS evaluator { short_distillation {} } trials: 4 }
"""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "study.textproto"
            path.write_text(study % losses)
            done = run("describe", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            table = done.stdout.split("what the student learns from:\n")[1].split("\n\n")[0]
            self.assertRegex(table, r"layer 3 +layer 2 +minilm_relations")
            self.assertRegex(table, r"head +head +soft_labels")
            self.assertEqual(table.count("layer"), 2, table)
            # One that compares layer with layer has no teacher layer for three of two.
            path.write_text(study % (losses + " loss { hidden_states {} }"))
            done = run("describe", path)
        self.assertEqual(done.returncode, 2)
        self.assertIn("objective.layer_map", done.stderr)

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
