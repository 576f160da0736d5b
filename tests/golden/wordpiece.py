"""Writes wordpiece.json: what BertTokenizerFast makes of sentences that are hard to tokenize.

    python tests/golden/wordpiece.py VOCAB_TXT > tests/golden/wordpiece.json

VOCAB_TXT is the vocabulary of BERT base uncased. Needs transformers and tokenizers.
"""
import hashlib
import json
import sys

import tokenizers
import transformers

TEXTS = [
    "",
    " \t \r\n ",
    "Plain words, and a full stop.",
    "MiXeD CaSe and unbelievably tokenizable antidisestablishmentarianism",
    "Don't split can't-stop U.S.A. at 3.14% or $5,000!",
    "naïve café, Ångström, ÇA et LÀ, Łódź, ÆØÅ, Straße, ẞ",
    "cafe\u0301 n\u0303 o\u0302\u0323 a\u0323\u0302",  # the same marks, not composed
    "ΟΔΥΣΣΕΥΣ Οδυσσεύς ΣΑΣ ς σ",
    "İstanbul ISPARTA ıhlamur",
    "Привет, МИР! Ёлка и йод",
    "Tiếng Việt đẹp lắm",
    "我的猫喜欢鱼。It likes 鱼 too，真的",
    "ひらがなとカタカナ、漢字。ガギグ",
    "한국어 문장은 음절로 쓴다",
    "豈更車 are compatibility ideographs, 𠀀𪜀𫝀𫠠 are not",
    "बिरालोले माछा खायो र घर गयो।",
    "हिन्दी का एक छोटा वाक्य है, बस।",
    "क्ष्ण ढ़ क़ ज़ ऱ",
    "แมวกินปลา",
    "القطة تأكل السَّمَكَ، نعم",
    "החתול אָכַל דג",
    "smile 😀 family 👨‍👩‍👧 flag 🇫🇮 thumbs 👍🏽 heart ❤️",
    "zero\u200bwidth, soft\u00adhyphen, bom\ufeff, nul\x00, bell\x07, del\x7f, nel\x85, vt\x0b, replacement\ufffd",
    "no\u00a0break em\u2003space ideographic\u3000space line\u2028separator",
    "private \ue000 use, unassigned \u0378 one, \u2e43 newer punctuation, \u166d older punctuation",
    "≠ ≮ ; ` ﬁne ½ x² ™ №",
    "«quotes» „low“ ‚x’ — dash… ¿que? § ¶",
    "tabs\tand\nnew\r\nlines",
    "a" * 100,
    "a" * 101,
    "x " + "é" * 100 + " y",
    "x " + "e\u0301" * 101 + " y",
    "한" * 34 + " " + "한" * 33,  # three letters each once decomposed
    "##ing ##  # hash",
    "[CLS] already [SEP]ped [MASK], [PAD]ding[UNK][UNK]",
    "[cls] [ SEP ] [[SEP]] [SEP [MASK",
    "e[SEP]\u0301x",
    "\u302e\u0316a \U0001d15e\U0001d160 b",  # marks that stay, in canonical order
    "http://example.org/a_b?c=d&e=f#g user@example.com",
    "1,234,567.89 2024-05-17T12:34:56Z 0x7fff",
]

WORDS = "the small boat left the harbor before the storm came and nobody on the pier noticed it was gone".split()


def pairs():
    """Both sides of each border of longest-first truncation."""
    lengths = [0, 1, 2, 5, 9, 18]
    for first in lengths:
        for second in lengths:
            for max_length in (8, 9, 12, 17):
                yield " ".join(WORDS[:first]), " ".join(WORDS[-second:] if second else []), max_length


def main():
    vocabulary = sys.argv[1]
    fast = {lower: transformers.BertTokenizerFast(vocab=vocabulary, do_lower_case=lower) for lower in (True, False)}

    def encode(tokenizer, *texts, max_length):
        # In lists: called with two strings, the tokenizer takes an empty second one for none at all.
        result = tokenizer(*([text] for text in texts), truncation="longest_first", max_length=max_length)
        return {"ids": result["input_ids"][0], "segments": result["token_type_ids"][0]}

    with open(vocabulary, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    cases = {
        "uncased": [{"text": text, **encode(fast[True], text, max_length=512)} for text in TEXTS],
        "cased": [{"text": text, **encode(fast[False], text, max_length=512)} for text in TEXTS],
        "single": [{"text": " ".join(WORDS), "max_length": n, **encode(fast[True], " ".join(WORDS), max_length=n)}
                   for n in (8, 19, 20, 21, 22)],
        "pairs": [{"first": a, "second": b, "max_length": n, **encode(fast[True], a, b, max_length=n)}
                  for a, b, n in pairs()],
    }
    print(f'{{"generator": "tests/golden/wordpiece.py", "transformers": "{transformers.__version__}", '
          f'"tokenizers": "{tokenizers.__version__}",\n "vocabulary_sha256": "{digest}"', end="")
    for name, items in cases.items():
        lines = ",\n  ".join(json.dumps(item) for item in items)
        print(f',\n "{name}": [\n  {lines}]', end="")
    print("}")


if __name__ == "__main__":
    main()
