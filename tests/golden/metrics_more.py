"""Writes metrics_more.json: scikit-learn's and scipy's values on random and degenerate lists, and SQuAD scores.

    python tests/golden/metrics_more.py > tests/golden/metrics_more.json

Needs scikit-learn and scipy. The SQuAD part follows the rules of the official evaluate-v1.1.py and evaluate-v2.0.py.
"""
import collections
import json
import math
import random
import re
import string
import warnings

import scipy
import sklearn
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, matthews_corrcoef


def value(x):
    x = float(x)
    return None if math.isnan(x) else x


def class_cases():
    yield [0, 0, 0], [0, 0, 0]
    yield [1, 1, 1], [1, 1, 1]
    yield [1, 1, 1], [0, 0, 0]
    yield [0, 0, 0, 0], [0, 1, 1, 0]
    yield [0, 1, 0, 1], [1, 1, 1, 1]
    yield [1], [1]
    yield [2], [0]
    yield [0, 1, 1, 0], [1, 0, 0, 1]
    yield [2, 2, 0, 2], [0, 2, 2, 2]  # class 1 is nowhere
    source = random.Random(3)
    for classes in (2, 3, 5):
        for right in (0.0, 0.3, 0.9):
            for n in (2, 7, 50, 400):
                gold = [source.randrange(classes) for _ in range(n)]
                yield [g if source.random() < right else source.randrange(classes) for g in gold], gold


def number_cases():
    yield [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]
    yield [1.0, 2.0, 3.0], [2.5, 2.5, 2.5]
    yield [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]
    yield [1.0, 2.0], [5.0, 1.0]
    yield [1.0, 1.0, 2.0, 2.0], [1.0, 2.0, 1.0, 2.0]
    yield [0.0, 1e-9, 2e-9], [3.0, 2.0, 1.0]
    yield [1e8 + 1, 1e8 + 2, 1e8 + 4], [1.0, 2.0, 3.0]
    source = random.Random(4)
    for n in (3, 10, 60, 500):
        for step in (0.0, 0.25, 1.0):  # coarse steps make ties
            gold = [source.uniform(0, 5) for _ in range(n)]
            predicted = [g + source.gauss(0, 1) for g in gold]
            if step:
                gold, predicted = ([round(x / step) * step for x in v] for v in (gold, predicted))
            yield predicted, gold


def normalize(s):
    s = "".join(c for c in s.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", s).split())


def f1(prediction, gold, version):
    a, b = normalize(prediction).split(), normalize(gold).split()
    if version == 2 and (not a or not b):
        return float(a == b)
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 0.0 if same == 0 else 2 * (same / len(a)) * (same / len(b)) / (same / len(a) + same / len(b))


def score(prediction, golds, version):
    if version == 2:
        golds = [g for g in golds if normalize(g)] or [""]
    return [max((float(normalize(prediction) == normalize(g)) for g in golds), default=0.0),
            max((f1(prediction, g, version) for g in golds), default=0.0)]


def best_threshold(questions):
    current = best = sum(not q["has_answer"] for q in questions)
    threshold = 0.0
    for q in sorted(questions, key=lambda q: q["null_odds"]):
        current += q["score"] if q["has_answer"] else (0 if q["empty"] else -1)
        if current > best:
            best, threshold = current, q["null_odds"]
    return threshold, best / len(questions)


TEXTS = ["", "the", "The cat", "a cat", "cat.", "Cat!", "an  apple\tpie", "apple-pie", "U.S.A.", "5,000", "$5 000",
         "ΟΔΥΣΣΕΥΣ", "οδυσσευς", "İzmir", "über", "the_thing", "thé", "a\u0301 b", "x\u00a0y", "x\u2003the\u3000y", "x\x1cy",
         "the the cat", "cat the", "²a", "a²", "١a the", "—the—", "‘the’ end", "theatre", "in the end", "𝔞 the 𝔟"]


def main():
    warnings.simplefilter("ignore")
    classes = [{"predicted": p, "gold": g, "accuracy": accuracy_score(g, p), "matthews": value(matthews_corrcoef(g, p)),
                "kappa": value(cohen_kappa_score(g, p)), "macro_f1": value(f1_score(g, p, average="macro"))}
               for p, g in class_cases()]
    numbers = [{"predicted": p, "gold": g, "pearson": value(pearsonr(p, g)[0]), "spearman": value(spearmanr(p, g)[0])}
               for p, g in number_cases()]
    source = random.Random(5)
    spans = []
    for text in TEXTS:
        for golds in ([], [""], [text], [source.choice(TEXTS)], [source.choice(TEXTS) for _ in range(3)]):
            spans.append({"predicted": text, "gold": golds, "v1": score(text, golds, 1), "v2": score(text, golds, 2)})
    thresholds = []
    for n in (1, 2, 5, 40):
        for _ in range(4):
            questions = [{"null_odds": source.gauss(0, 3), "score": source.choice([0.0, 0.5, 1.0]),
                          "has_answer": source.random() < 0.5, "empty": source.random() < 0.2} for _ in range(n)]
            threshold, best = best_threshold(questions)
            thresholds.append({"questions": questions, "threshold": threshold, "score": best})
    parts = {"classes": classes, "numbers": numbers, "texts": [[t, normalize(t)] for t in TEXTS], "spans": spans,
             "thresholds": thresholds}
    print(f'{{"generator": "tests/golden/metrics_more.py", "scikit-learn": "{sklearn.__version__}", '
          f'"scipy": "{scipy.__version__}"', end="")
    for name, rows in parts.items():
        print(f',\n "{name}": [\n  ' + ",\n  ".join(json.dumps(row) for row in rows) + "]", end="")
    print("}")


if __name__ == "__main__":
    main()
