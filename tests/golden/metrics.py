"""Writes metrics.json: scikit-learn's accuracy and F1, degenerate sets included.

    python tests/golden/metrics.py > tests/golden/metrics.json

Needs scikit-learn. The bootstrap standard error of F1 is estimated here with numpy's generator and many resamples.
"""
import json
import random
import warnings

import numpy
import sklearn
from sklearn.metrics import accuracy_score, f1_score


def cases():
    yield "perfect", [0, 1, 1, 0], [0, 1, 1, 0]
    yield "all wrong", [1, 0, 0, 1], [0, 1, 1, 0]
    yield "no positive anywhere", [0, 0, 0], [0, 0, 0]
    yield "none predicted", [0, 0, 0, 0], [0, 1, 1, 0]
    yield "none true", [1, 0, 1, 0], [0, 0, 0, 0]
    yield "only positives", [1, 1, 1], [1, 1, 1]
    yield "one row", [1], [1]
    yield "one wrong row", [0], [1]
    yield "majority answer", [1] * 50, [1] * 34 + [0] * 16
    source = random.Random(1)
    for n, share, right in ((37, 0.5, 0.8), (408, 0.68, 0.85), (277, 0.5, 0.6), (1000, 0.05, 0.95)):
        gold = [int(source.random() < share) for _ in range(n)]
        yield f"{n} rows", [g if source.random() < right else 1 - g for g in gold], gold


def bootstrap(predicted, gold, resamples=20000):
    predicted, gold = numpy.array(predicted), numpy.array(gold)
    kinds = numpy.array([[(predicted == p).astype(int) * (gold == g) for p in (0, 1)] for g in (0, 1)]).reshape(4, -1)
    share = kinds.mean(1)
    drawn = numpy.random.default_rng(1).multinomial(len(gold), share / share.sum(), size=resamples)
    denominator = 2 * drawn[:, 3] + drawn[:, 1] + drawn[:, 2]
    return float(numpy.std(numpy.where(denominator == 0, 0, 2 * drawn[:, 3] / numpy.maximum(denominator, 1)), ddof=1))


def main():
    warnings.simplefilter("ignore")  # scikit-learn warns where it takes F1 for 0
    rows = [{"name": name, "predicted": predicted, "gold": gold, "accuracy": accuracy_score(gold, predicted),
             "f1": float(f1_score(gold, predicted, labels=[0, 1], pos_label=1)),
             "f1_standard_error": bootstrap(predicted, gold)} for name, predicted, gold in cases()]
    # Three classes: F1 is of class 1 against the rest.
    source = random.Random(2)
    gold = [source.randrange(3) for _ in range(200)]
    predicted = [g if source.random() < 0.7 else source.randrange(3) for g in gold]
    rows.append({"name": "three classes", "predicted": predicted, "gold": gold,
                 "accuracy": accuracy_score(gold, predicted),
                 "f1": float(f1_score(gold, predicted, labels=[1], average="macro")),
                 "f1_standard_error": bootstrap([int(p == 1) for p in predicted], [int(g == 1) for g in gold])})
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    print(f'{{"generator": "tests/golden/metrics.py", "scikit-learn": "{sklearn.__version__}", '
          f'"numpy": "{numpy.__version__}",\n "cases": [\n  {lines}]}}')


if __name__ == "__main__":
    main()
