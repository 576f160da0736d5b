"""Every command cuts texts as the tokenizer files of a model's directory say, and hands them on with what it writes."""
import json
import shutil
import subprocess
import unittest

from fixture import THIMBLE, Case, make_tiny_bert, run

LETTERS = [prefix + c for prefix in ("", "##") for c in "abcdefghijklmnopqrstuvwxyz"]
WORDS = LETTERS + ["The", "Cat", "the", "cat", "[", "]", "/"]
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def tokenizer_json(vocabulary, added, lowercase):
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": content, **FLAGS} for content, i in added.items()],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": vocabulary}}


class Tokenizer(Case):
    """Directories with one model; its last two rows are for the tokens <e1> and <e2>."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_tiny_bert(cls.root / "plain", WORDS + ["~1", "~2"])
        lines = (cls.root / "plain/vocab.txt").read_text().split()[:-2]
        (cls.root / "plain/vocab.txt").write_text("\n".join(lines) + "\n")
        cls.vocabulary = {line: i for i, line in enumerate(lines)}
        cls.e1, cls.e2 = len(lines), len(lines) + 1

    def model(self, name, **files):
        directory = self.root / name
        shutil.copytree(self.root / "plain", directory)
        for file, content in files.items():
            (directory / f"{file}.json").write_text(json.dumps(content))
        return directory

    def tuned(self, model, name):
        out = self.root / name
        done = run("finetune", model, "--task", "sample", "--data", self.data, "--rows", 32, "--epochs", 0, "--out", out)
        return out, done

    def ids(self, model, *texts):
        return json.loads(run("predict", model, *texts, "--json").stdout.splitlines()[-1])["input_ids"]

    def test_the_class_decides_between_vocab_txt_and_tokenizer_json(self):
        for name, expected in (("PreTrainedTokenizerFast", ["The", "Cat"]), ("BertTokenizer", ["the", "cat"])):
            model = self.model("both-" + name, tokenizer=tokenizer_json(self.vocabulary, {}, False),
                               tokenizer_config={"tokenizer_class": name})
            out, done = self.tuned(model, "tuned-" + name)
            self.assertEqual(self.ids(out, "The Cat"), [2, *(self.vocabulary[word] for word in expected), 3])
            self.assertEqual(done.stderr.count("contradict each other"), int(name == "BertTokenizer"), done.stderr)

    def test_added_tokens_of_old_and_new_files(self):
        added = {"<e1>": self.e1, "<e2>": self.e2}
        cases = {
            "old": {"added_tokens": added, "special_tokens_map": {"additional_special_tokens": list(added)},
                    "tokenizer_config": {"tokenizer_class": "BertTokenizer"}},
            "json": {"tokenizer": tokenizer_json(self.vocabulary, added, True),
                     "tokenizer_config": {"tokenizer_class": "BertTokenizer"}},
            "by-id": {"tokenizer_config": {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {
                str(i): {"content": content, **FLAGS} for content, i in added.items()}}},
            "listed": {"tokenizer_config": {"tokenizer_class": "BertTokenizer", "extra_special_tokens": list(added)}}}
        for name, files in cases.items():
            model = self.model("added-" + name, **files)
            out, done = self.tuned(model, "added-tuned-" + name)
            self.assertNotIn("contradict", done.stderr)
            self.assertEqual(self.ids(out, "<e1> the <e2>"), [2, self.e1, self.vocabulary["the"], self.e2, 3], name)
            encoded = subprocess.run([THIMBLE, "vocab", "encode", "--tokenizer", out], input='"a<e1> the"\n', text=True,
                                     capture_output=True, check=True)
            self.assertEqual(json.loads(encoded.stdout), {"ids": [self.vocabulary["a"], self.e1, self.vocabulary["the"]],
                                                          "offsets": [[0, 1], [1, 5], [6, 9]]}, name)
            for file in files:
                self.assertEqual((out / f"{file}.json").read_bytes(), (model / f"{file}.json").read_bytes(), name)

    def test_students_keep_the_class_that_config_json_names(self):
        model = self.model("named", tokenizer=tokenizer_json(self.vocabulary, {}, False))
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "tokenizer_class": "PreTrainedTokenizerFast"}))
        teacher, _ = self.tuned(model, "named-teacher")
        architecture = self.root / "thin.textproto"
        architecture.write_text(
            f"vocabulary: {self.e2 + 1} positions: 64 hidden: 12 heads: 4 ffn_hidden: 48 pooler: 24 embedding {{ plain {{}} }}\n"
            'layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" } }\n')
        run("crop", teacher, "--to", architecture, "--out", self.root / "named-cropped")
        run("distill", teacher, "--architecture", architecture, "--task", "sample", "--data", self.data, "--rows", 32, "--epochs", 0,
            "--out", self.root / "named-student")
        for directory in (teacher, self.root / "named-cropped", self.root / "named-student"):
            self.assertEqual(self.ids(directory, "The Cat"), [2, self.vocabulary["The"], self.vocabulary["Cat"], 3], directory)

    def test_lengths_in_the_data_count_added_tokens_as_one(self):
        added = {"good film": self.e1}
        text = "good film " * 5
        lines = ["sentence1\tsentence2\tlabel"] + [f"{text}\tthe cat\t{i % 2}" for i in range(4)]
        (self.root / "long").mkdir()
        for split in ("train", "dev"):
            (self.root / "long" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
        (self.root / "long/t.textproto").write_text(
            'custom { train: "train.tsv" dev: "dev.tsv" first: "sentence1" second: "sentence2" label: "label" kind: CLASSIFICATION '
            'labels: ["0", "1"] }\n')
        model = self.model("lengths", tokenizer_config={"added_tokens_decoder": {
            str(i): {"content": content, **FLAGS} for content, i in added.items()}})
        told = run("data", "check", "--task", self.root / "long/t.textproto", "--data", self.root / "long", "--tokenizer", model)
        self.assertRegex(told.stdout, r"\b10\b")  # [CLS], 5 times the token, [SEP], 2 words, [SEP]

    def test_refusals_name_file_and_reason(self):
        for files, words in (
                ({"tokenizer_config": {"tokenizer_class": "RobertaTokenizer"}}, ["tokenizer_config.json", "RobertaTokenizer"]),
                ({"tokenizer_config": {"tokenizer_class": "PreTrainedTokenizerFast"}}, ["tokenizer.json, which is missing"]),
                ({"tokenizer_config": {"truncation_side": "left"}}, ["truncation_side", "left"]),
                ({"added_tokens": {"<e1>": "x"}}, ["added_tokens.json", "<e1>"])):
            model = self.model(f"refused-{words[-1]}", **files)
            done = run("finetune", model, "--task", "sample", "--data", self.data, "--rows", 32, "--epochs", 0, "--out",
                       self.root / "never", check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertFalse((self.root / "never").exists())


if __name__ == "__main__":
    unittest.main()
