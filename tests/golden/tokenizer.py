"""Writes tokenizer.json: ids and offsets that `tokenizers` gives, truncation strategies and overflow included.

    python tests/golden/tokenizer.py VOCAB_TXT > tests/golden/tokenizer.json

VOCAB_TXT is the vocabulary of BERT base uncased. Needs tokenizers. Offsets are in Unicode characters.
"""
import json
import random
import sys

import tokenizers
from tokenizers import BertWordPieceTokenizer

from wordpiece import TEXTS, WORDS

PLANES = [(0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x5ff), (0x600, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f),
          (0x1100, 0x11ff), (0x1ab0, 0x1aff), (0x1e00, 0x20cf), (0x2e80, 0x30ff), (0x4e00, 0x4e80), (0xac00, 0xac80),
          (0xf900, 0xfaff), (0xfe00, 0xffff), (0x1d150, 0x1d1ff), (0x1f600, 0x1f64f), (0x2b800, 0x2b930), (0xe0000, 0xe01ff)]


def random_texts():
    source = random.Random(11)
    for _ in range(400):
        low, high = source.choice(PLANES)
        letters = []
        for _ in range(source.randrange(1, 24)):
            kind = source.random()
            if kind < 0.6:
                letters.append(chr(source.randint(low, high)))
            elif kind < 0.8:
                letters.append(chr(source.randint(0x300, 0x36f)))
            else:
                letters.append(source.choice("aeiou .,-\t\u00e9\u0130\u1e69\u0344\u212b\uac01"))
        yield "".join(letters)


def main():
    kinds = [{"lowercase": True}, {"lowercase": False}, {"lowercase": True, "strip_accents": False},
             {"lowercase": False, "strip_accents": True}, {"lowercase": True, "handle_chinese_chars": False}]
    texts = TEXTS + list(random_texts())
    cases = []
    for kind in kinds:
        tokenizer = BertWordPieceTokenizer(sys.argv[1], **kind)
        rows = []
        for text in texts:
            encoding = tokenizer.encode(text, add_special_tokens=False)
            rows.append({"text": text, "ids": encoding.ids, "offsets": [list(o) for o in encoding.offsets]})
        cases.append({"kind": kind, "rows": rows})
    overflow = []
    for strategy in ("longest_first", "only_first", "only_second"):
        for a, b in ((0, 0), (3, 2), (5, 18), (18, 5), (9, 9), (18, 0), (18, 18), (18, None), (7, None)):
            for max_length, stride in ((8, 0), (9, 1), (12, 3), (17, 2), (17, 5)):
                tokenizer = BertWordPieceTokenizer(sys.argv[1])
                tokenizer.enable_truncation(max_length, stride=stride, strategy=strategy)
                first, second = " ".join(WORDS[:a]), None if b is None else " ".join(WORDS[-b:] if b else [])
                try:
                    encoding = tokenizer.encode(first, second)
                    windows = [{"ids": e.ids, "segments": e.type_ids, "offsets": [list(o) for o in e.offsets]}
                               for e in (encoding, *encoding.overflowing)]
                except BaseException as error:  # the panics of Rust among them
                    windows = str(error)[:60]
                overflow.append({"first": first, "second": second, "strategy": strategy, "max_length": max_length,
                                 "stride": stride, "windows": windows})
    print(f'{{"generator": "tests/golden/tokenizer.py", "tokenizers": "{tokenizers.__version__}"', end="")
    print(',\n "kinds": [\n  ' + ",\n  ".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]", end="")
    print(',\n "overflow": [\n  ' + ",\n  ".join(json.dumps(c, separators=(",", ":")) for c in overflow) + "]}")


if __name__ == "__main__":
    main()
