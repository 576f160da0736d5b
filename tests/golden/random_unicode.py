"""Writes random_unicode.json: digests of what `tokenizers` makes of random Unicode texts.

    python tests/golden/random_unicode.py VOCAB_TXT > tests/golden/random_unicode.json

VOCAB_TXT is the vocabulary of BERT base uncased. The texts are drawn here and in tests/data/random_unicode_test.cc by the
same rules from the same random numbers (base/random.h); the file holds, for each, a digest of ids and offsets, uncased and
cased. Needs tokenizers.
"""
import hashlib
import json
import sys

import tokenizers

M = (1 << 64) - 1
TEXTS = 6000

# Inclusive ranges of code points; each is as likely as the others. No surrogates: a Python string of them cannot be encoded.
RANGES = [
    (0x00, 0x7F), (0x41, 0x7A), (0x80, 0x24F), (0x250, 0x36F), (0x300, 0x36F), (0x370, 0x52F), (0x530, 0x8FF), (0x900, 0xDFF),
    (0xE00, 0x109F), (0x10A0, 0x167F), (0x1680, 0x1CFF), (0x1D00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x2C00, 0x2DFF),
    (0x2E00, 0x303F), (0x3040, 0x33FF), (0x3400, 0x4DFF), (0x4E00, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7FF), (0xE000, 0xF8FF),
    (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFFFF), (0x10000, 0x10FFF), (0x11000, 0x12FFF), (0x13000, 0x1CFFF),
    (0x1D000, 0x1D7FF), (0x1D800, 0x1F2FF), (0x1F300, 0x1FAFF), (0x1FB00, 0x2FFFF), (0x30000, 0x10FFFF)]
PIECES = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "the", "##ing", "un", "able", " ", "  ", "\t\n", "\x00", "\u00a0", "e\u0301",
          "\u0301\u0323", "\u200d", "\ufe0f", "12", "...", "'s", "\u1100\u1161\u11a8", "\u3099", "\ufffd"]


class Random:
    """base/random.h: the finaliser of SplitMix64 over a counter."""

    def __init__(self, seed):
        self.key, self.counter = self.mix(seed ^ 0x9E3779B97F4A7C15), 0

    @staticmethod
    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        return z ^ (z >> 31)

    def below(self, n):
        """Not the library's Below: a remainder, so that one number is drawn."""
        self.counter += 1
        return self.mix((self.key + 0x9E3779B97F4A7C15 * self.counter) & M) % n


def text_of(number):
    random, text = Random(number), ""
    few = 1 + random.below(4)  # ranges that this text keeps to: scripts are seldom mixed letter by letter
    chosen = [RANGES[random.below(len(RANGES))] for _ in range(few)]
    for _ in range(random.below(80)):
        kind = random.below(8)
        if kind == 0:
            text += PIECES[random.below(len(PIECES))]
        elif kind == 1:
            mark = 0x300 + random.below(0x70)  # a run of combining marks
            text += "".join(chr(mark + i % 3) for i in range(random.below(12)))
        elif kind == 2:
            text += " "
        else:
            low, high = chosen[random.below(few)]
            text += chr(low + random.below(high - low + 1))
    return text


LARGE = [("a", 1 << 20), ("\u0301", 1 << 18), ("e\u0301", 1 << 18), ("\x00", 1 << 18), ("\u4e2d", 1 << 16), ("[SEP]", 1 << 14),
         ("a.", 1 << 16), ("\ud55c", 1 << 16), ("\u302e\u0316", 1 << 14), (" ", 1 << 20)]


def digest(encoding):
    numbers = [len(encoding.ids), *encoding.ids]
    for begin, end in encoding.offsets:
        numbers += [begin, end]
    value = 0xCBF29CE484222325  # FNV-1a over 32-bit numbers
    for number in numbers:
        value = ((value ^ number) * 0x100000001B3) & M
    return f"{value:016x}"


def main():
    vocabulary = sys.argv[1]
    with open(vocabulary, "rb") as file:
        sha = hashlib.sha256(file.read()).hexdigest()
    print(json.dumps({"generator": "tests/golden/random_unicode.py", "tokenizers": tokenizers.__version__,
                      "vocabulary_sha256": sha})[:-1] + ",")
    for lower in (True, False):
        tokenizer = tokenizers.BertWordPieceTokenizer(vocabulary, lowercase=lower, strip_accents=lower)

        def encode(text):
            return digest(tokenizer.encode(text, add_special_tokens=False))

        texts = "".join(encode(text_of(i)) for i in range(TEXTS))
        large = [encode(unit * times) for unit, times in LARGE]
        name = "uncased" if lower else "cased"
        end = "," if lower else "}"
        print(f'"{name}": {{"texts": {json.dumps(texts)},\n "large": {json.dumps(large)}}}{end}')


if __name__ == "__main__":
    main()
