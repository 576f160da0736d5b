"""Draws directories of tokenizer files and texts, and compares ids and offsets with those of transformers.

    python3 tests/data/drawn_tokenizers_test.py build/dev/tests/data/encode_texts [--directories 400] [--seed 1] [--keep FOLDER]

Directories differ in which files there are and what they say: casing, accents, Chinese characters, added tokens with all
flags, blank and repeated lines, renamed special tokens, and files that contradict one another. What transformers refuses, and
what we refuse, is counted; more than a small share fails the test. Exit code 77: transformers is not installed.
Written against transformers 5.23.0.
"""
import argparse
import contextlib
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    from transformers import AutoTokenizer
except ImportError as error:
    skip_without(error)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMES = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], SPECIAL))
RENAMED = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
LETTERS = "abcdestABCDEST"
PIECES = (list(LETTERS) + ["##" + c for c in LETTERS]
          + "the The cat Cat café Café cafe été ete Été ##ing ##s ##é naïve 中 国 ##国 中国 北京 . , ! ? - [ ] < > / # @ _ $ 1 2 ##1 "
            "İ i ß ſ σ ς ffi Å".split())
# No two alike once they are normalized: transformers takes any of such tokens.
ADDED = ["[E1]", "[/E1]", "<ent>", "Token", "ing", "new word", "中文", "国人", "Éclair", "##x", "a-b", "@user", "http", " lead",
         "trail ", "q", "DATE", "..", "$$", "[A][B]", "ß!", "x_y", "Ångström", "\u200bzero", "İst", "tab\there"]
WORDS = (PIECES + ADDED + SPECIAL + list(RENAMED.values())
         + ["sing", "dating", "token", "TOKEN", "tokens", "éclair", "ECLAIR", "ångström", "ist", "zero", "[e1]", "Q", "date", "[A]",
            "中国人", "中文国", "x-y", "_", "é", "e\u0301", "\u0301", "\u200d", "한국", "кот", "\u3000", "\u00a0", "\n", "\t", "  ",
            "\u0085", "\ufffd", "1", "٣", "🙂", "ａ", "[CLS", "SEP]"])
CLASSES = [None, None, "BertTokenizer", "BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast",
           "MobileBertTokenizer", "SqueezeBertTokenizerFast", "LayoutLMTokenizer", "ConvBertTokenizer", "PreTrainedTokenizerFast",
           "PreTrainedTokenizerFast", "TokenizersBackend"]


class Draw:
    """One directory's files."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.files = {}
        self.draw()

    def chance(self, p):
        return self.random.random() < p

    def draw(self):
        r = self.random
        self.names = dict(NAMES)
        if self.chance(0.15):
            self.names.update({name: RENAMED[name] for name in r.sample(list(RENAMED), r.randint(1, 5))})
        lines = [self.names[name] for name in NAMES if name != "mask_token" or self.chance(0.9)]
        lines += r.sample(PIECES, r.randint(len(PIECES) // 2, len(PIECES)))
        self.added = r.sample(ADDED, r.choice([0, 1, 2, 4, 8]))
        lines += [content for content in self.added if self.chance(0.2)]
        if self.chance(0.25):
            for _ in range(r.randint(1, 4)):
                lines.insert(r.randint(5, len(lines)), r.choice(["", " ", r.choice(lines[5:]), r.choice(lines[5:]) + " "]))
        if self.chance(0.2):
            r.shuffle(lines)
        self.pieces = {line.rstrip(): i for i, line in enumerate(lines)}
        name = r.choice(CLASSES)
        whole = name in ("PreTrainedTokenizerFast", "TokenizersBackend")
        json_file = self.chance(0.97 if whole else 0.4)
        if not json_file or self.chance(0.6):
            ending = "\r\n" if self.chance(0.1) else "\n"
            other = lines if not json_file or self.chance(0.8) else r.sample(lines, len(lines))
            self.files["vocab.txt"] = ending.join(other) + (ending if self.chance(0.8) else "")
        self.options = {"do_lower_case": self.chance(0.5), "strip_accents": r.choice([None, None, True, False]),
                        "tokenize_chinese_chars": self.chance(0.8)}
        if json_file:
            self.tokenizer_json()
        self.config = {} if name is None else {"tokenizer_class": name}
        self.tokenizer_config()
        model = {"model_type": r.choice(["bert", "bert", "bert", "distilbert", "mobilebert", "electra"])}
        if name is not None and self.chance(0.1):
            model["tokenizer_class"] = self.config.pop("tokenizer_class")
        self.files["config.json"] = model
        if self.config or self.chance(0.5):
            self.files["tokenizer_config.json"] = self.config

    def flags(self, content, special=None):
        """A token as an object; most are as transformers writes them."""
        special = self.chance(0.4) if special is None else special
        token = {"content": content, "single_word": self.chance(0.25), "lstrip": self.chance(0.25), "rstrip": self.chance(0.25),
                 "normalized": not special if self.chance(0.6) else self.chance(0.5), "special": special}
        return token

    def ids(self, contents):
        """Ids as the tokens should have; now and then others."""
        following, ids = len(self.pieces), {}
        for content in contents:
            ids[content] = self.pieces.get(content, following)
            following += content not in self.pieces
        if contents and self.chance(0.1):
            ids[self.random.choice(contents)] += self.random.randint(1, 9)
        return ids

    def bert_tokens(self):
        return [content for content in self.names.values() if content in self.pieces]

    def tokenizer_json(self):
        contents = self.bert_tokens() + [content for content in self.added if self.chance(0.8)]
        ids = self.ids(contents)
        added = [{"id": ids[c], **(self.flags(c) if c in self.added else
                                   {"content": c, "single_word": False, "lstrip": self.chance(0.1), "rstrip": False,
                                    "normalized": False, "special": True})} for c in contents]
        options = dict(self.options)
        if self.chance(0.2):
            options["do_lower_case"] = not options["do_lower_case"]
        if self.chance(0.1):
            options["tokenize_chinese_chars"] = not options["tokenize_chinese_chars"]
        begin, end = self.names["cls_token"], self.names["sep_token"]

        def special(name, kind):
            return {"SpecialToken": {"id": name, "type_id": kind}}

        def text(name, kind):
            return {"Sequence": {"id": name, "type_id": kind}}
        single = [special(begin, 0), text("A", 0), special(end, 0)]
        template = {"type": "TemplateProcessing", "single": single, "pair": single + [text("B", 1), special(end, 1)],
                    "special_tokens": {c: {"id": c, "ids": [self.pieces[c]], "tokens": [c]} for c in (begin, end)}}
        processing = {"type": "BertProcessing", "sep": [end, self.pieces[end]], "cls": [begin, self.pieces[begin]]}
        self.files["tokenizer.json"] = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": sorted(added, key=lambda token: token["id"]),
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": options["tokenize_chinese_chars"],
                           "strip_accents": options["strip_accents"], "lowercase": options["do_lower_case"]},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": template if self.chance(0.7) else processing,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": self.names["unk_token"], "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": self.pieces}}

    def token(self, content, typed=0.3):
        return {"__type": "AddedToken", **self.flags(content, True)} if self.chance(typed) else content

    def tokenizer_config(self):
        r = self.random
        for key, value in self.options.items():
            if self.chance(0.7):
                self.config[key] = value
        renamed = self.names != NAMES
        for name, content in self.names.items():
            if (renamed and content != NAMES[name]) or self.chance(0.3):
                self.config[name] = self.token(content, 0.1)
        if self.chance(0.05):
            self.config["split_special_tokens"] = True
        if self.chance(0.1):
            self.config["image_token"] = self.token(r.choice(ADDED))
        if self.chance(0.4):
            contents = self.bert_tokens() + self.added
            self.config["added_tokens_decoder"] = {
                str(id_): self.flags(content, True if content in self.names.values() else None)
                for content, id_ in self.ids(contents).items() if self.chance(0.9)}
        if self.chance(0.3):
            listed = [self.token(content) for content in self.added if self.chance(0.6)]
            key = r.choice(["extra_special_tokens", "additional_special_tokens"])
            self.config[key] = listed
            if key == "extra_special_tokens" and self.chance(0.2):
                self.config[key] = {f"entity_{i}": token for i, token in enumerate(listed)}
        if self.chance(0.3):
            tokens = {name: {**self.flags(content), "special": True} if self.chance(0.2) else content
                      for name, content in self.names.items() if self.chance(0.9)}
            if self.chance(0.2):
                tokens["cls_token"] = r.choice(self.bert_tokens())
            if self.added and self.chance(0.7):
                key = r.choice(["additional_special_tokens", "additional_special_tokens", "extra_special_tokens"])
                tokens[key] = [content for content in self.added if self.chance(0.6)]
            self.files["special_tokens_map.json"] = tokens
        if self.chance(0.3):
            self.files["added_tokens.json"] = {c: i for c, i in self.ids(self.added).items() if self.chance(0.9)}

    def texts(self, count):
        """Rich in what the directory's tokens are made of."""
        pool = WORDS + 6 * self.added + 2 * SPECIAL
        texts = []
        for _ in range(count):
            words = [self.random.choice(pool) for _ in range(self.random.randint(0, 14))]
            words = [self.random.choice([str, str, str, str.upper, str.lower])(word) for word in words]
            texts.append("".join(word + self.random.choice(["", " ", " ", "  "]) for word in words))
        return texts

    def write(self, folder):
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=self.random.random() < 0.5)
            (folder / name).write_bytes(text.encode())


def of_transformers(folder, pairs):
    """Encodings, or the error's text."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(folder)
            encodings = []
            for first, second in pairs:
                got = tokenizer(first, second, return_offsets_mapping=True, return_token_type_ids=True)
                encodings.append({"ids": got["input_ids"], "offsets": [list(o) for o in got["offset_mapping"]],
                                  "segments": got["token_type_ids"]})
        return encodings
    except Exception as error:  # whatever it raises, it does not read this directory
        return f"{type(error).__name__}: {error}"


def compare(program, folder, options):
    requests, expected, drawn = [], [], []
    for i in range(options.directories):
        draw = Draw(options.seed * 100003 + i)
        place = folder / f"{i:03}"
        draw.write(place)
        texts = draw.texts(24)
        seconds = [text for text in texts if text] or ["a"]  # transformers takes one empty second text for none
        pairs = [[text, None if j % 3 else draw.random.choice(seconds)] for j, text in enumerate(texts)]
        expected.append(of_transformers(place, pairs))
        requests.append(json.dumps({"directory": str(place), "pairs": pairs}))
        drawn.append(draw)
    done = subprocess.run([program], input="\n".join(requests) + "\n", capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == options.directories, f"{len(answers)} answers"
    counts = dict.fromkeys(["agree", "differ", "both refuse", "transformers alone refuses", "we alone refuse"], 0)
    encodings = tokens = 0
    for i, (request, theirs, ours) in enumerate(zip(requests, expected, answers)):
        if isinstance(theirs, str) or "refused" in ours:
            outcome = ("both refuse" if isinstance(theirs, str) and "refused" in ours else
                       "transformers alone refuses" if isinstance(theirs, str) else "we alone refuse")
            print(f"{i:03}: {outcome}: {theirs if isinstance(theirs, str) else ours['refused']}"[:300].replace("\n", " "))
        else:
            pairs = json.loads(request)["pairs"]
            wrong = [j for j in range(len(pairs)) if theirs[j] != ours["encodings"][j]]
            outcome = "differ" if wrong else "agree"
            encodings += len(pairs)
            tokens += sum(len(encoding["ids"]) for encoding in theirs)
            for j in wrong[:1]:
                print(f"{i:03}: {len(wrong)} texts differ; {pairs[j]!r}\n  transformers {theirs[j]}\n  thimble      {ours['encodings'][j]}")
        counts[outcome] += 1
    print(f"{options.directories} directories: {counts}; {encodings} encodings, {tokens} tokens compared")
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--directories", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, help="leave the directories here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thimble-tokenizers-") as folder:
        counts = compare(options.program, options.keep or pathlib.Path(folder), options)
    refused = options.directories - counts["agree"] - counts["differ"]
    if counts["differ"] or counts["agree"] < 0.9 * options.directories:
        sys.exit(f"FAILED: {counts}")
    if refused > options.directories / 20:
        sys.exit(f"FAILED: {refused} directories are refused: too many to say much")


if __name__ == "__main__":
    main()
