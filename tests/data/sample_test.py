"""Checks script/make-sample (argument 1) with the standard library only: form, balance, determinism, refusals, and that counting
words does not solve the task."""
import collections
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

SCRIPT = sys.argv.pop(1)
BOUND = 0.75  # of the dev rows, for a classifier that sees which words occur and nothing else


def generate(out, *options):
    return subprocess.run([sys.executable, SCRIPT, str(out), *options], capture_output=True, text=True)


def read(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[0] == "sentence1\tsentence2\tlabel" and lines[-1] == "", path
    rows = [line.split("\t") for line in lines[1:-1]]
    return [(first, second, int(label)) for first, second, label in rows]


def words(text):
    return text.lower().rstrip(".").split()


def joint_counts(row):
    return collections.Counter(words(row[0]) + words(row[1]))


def joint_presence(row):
    return dict.fromkeys(words(row[0]) + words(row[1]), 1)


def separate_counts(row):
    return collections.Counter([(0, w) for w in words(row[0])] + [(1, w) for w in words(row[1])])


FEATURES = (joint_counts, joint_presence, separate_counts)


def logistic_accuracy(features, train, dev, epochs=8, rate=0.05, decay=1e-3):
    """Averaged stochastic gradient descent on the logistic loss with a little weight decay."""
    order, source = [(features(row), row[2]) for row in train], random.Random(1)
    weights, sums, bias, bias_sum, steps = collections.defaultdict(float), collections.defaultdict(float), 0.0, 0.0, 0
    for _ in range(epochs):
        source.shuffle(order)
        for counts, label in order:
            score = bias + sum(weights[word] * n for word, n in counts.items())
            slope = label - 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))
            bias += rate * slope
            for word, n in counts.items():
                change = rate * (slope * n - decay * weights[word])
                weights[word] += change
                sums[word] += steps * change
            bias_sum += steps * rate * slope
            steps += 1
    average = {word: weights[word] - sums[word] / steps for word in weights}
    average_bias = bias - bias_sum / steps
    right = 0
    for row in dev:
        score = average_bias + sum(average.get(word, 0) * n for word, n in features(row).items())
        right += (score > 0) == (row[2] == 1)
    return right / len(dev)


def bayes_accuracy(features, train, dev):
    """Multinomial naive Bayes with add-one smoothing."""
    counts = (collections.Counter(), collections.Counter())
    for row in train:
        counts[row[2]].update(features(row))
    vocabulary = set(counts[0]) | set(counts[1])
    totals = [sum(c.values()) + len(vocabulary) for c in counts]
    prior = [math.log(sum(row[2] == label for row in train)) for label in (0, 1)]
    right = 0
    for row in dev:
        scores = [prior[label] + sum(n * math.log((counts[label][word] + 1) / totals[label])
                                     for word, n in features(row).items() if word in vocabulary) for label in (0, 1)]
        right += (scores[1] > scores[0]) == (row[2] == 1)
    return right / len(dev)


class SampleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = pathlib.Path(cls.folder.name) / "sample"
        result = generate(cls.out)
        assert result.returncode == 0, result.stderr
        cls.train, cls.dev = (read(cls.out / "SAMPLE" / f"{part}.tsv") for part in ("train", "dev"))
        cls.corpus = (cls.out / "corpus.txt").read_text(encoding="utf-8").split("\n")[:-1]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_form(self):
        self.assertEqual((len(self.train), len(self.dev), len(self.corpus)), (2400, 600, 3000))
        for first, second, label in self.train + self.dev:
            self.assertIn(label, (0, 1))
            self.assertNotEqual(first, second)
            for sentence in (first, second):
                self.assertTrue(8 <= len(sentence.split()) <= 14, sentence)
        pairs = {row[:2] for row in self.train}
        self.assertEqual(len(pairs), len(self.train))
        self.assertFalse(pairs & {row[:2] for row in self.dev})
        self.assertTrue(all(line.strip() for line in self.corpus))

    def test_labels_are_balanced(self):
        for rows in (self.train, self.dev):
            self.assertAlmostEqual(sum(row[2] for row in rows) / len(rows), 0.5, delta=0.03)

    def test_each_sentence_looks_the_same_under_both_labels(self):
        for position in (0, 1):
            lengths = [sum(len(row[position].split()) for row in self.train if row[2] == label) /
                       sum(row[2] == label for row in self.train) for label in (0, 1)]
            self.assertAlmostEqual(lengths[0], lengths[1], delta=0.2)
            passives = [sum(" by the " in row[position] for row in self.train if row[2] == label) for label in (0, 1)]
            self.assertAlmostEqual(passives[0] / sum(passives), 0.5, delta=0.05)

    def test_counting_words_does_not_solve_it(self):
        for features in FEATURES:
            for classify in (logistic_accuracy, bayes_accuracy):
                accuracy = classify(features, self.train, self.dev)
                print(f"{classify.__name__} {features.__name__}: {accuracy:.3f}")
                self.assertLessEqual(accuracy, BOUND, (classify.__name__, features.__name__))

    def test_the_word_counters_notice_a_word_that_betrays_the_label(self):
        def leak(rows):
            return [(first, second.replace(".", " indeed.") if label else second, label) for first, second, label in rows]
        for features in FEATURES:
            for classify in (logistic_accuracy, bayes_accuracy):
                self.assertGreater(classify(features, leak(self.train), leak(self.dev)), BOUND)

    def test_same_arguments_give_the_same_bytes(self):
        again, other = (pathlib.Path(self.folder.name) / name for name in ("again", "other"))
        generate(again)
        generate(other, "--seed", "2")
        for name in ("SAMPLE/train.tsv", "SAMPLE/dev.tsv", "corpus.txt"):
            self.assertEqual((again / name).read_bytes(), (self.out / name).read_bytes())
            self.assertNotEqual((other / name).read_bytes(), (self.out / name).read_bytes())

    def test_sizes_and_noise(self):
        out = pathlib.Path(self.folder.name) / "small"
        self.assertEqual(generate(out, "--train", "20", "--dev", "10", "--lines", "5", "--noise", "0").returncode, 0)
        rows = read(out / "SAMPLE" / "train.tsv")
        self.assertEqual((len(rows), sum(row[2] for row in rows)), (20, 10))
        self.assertEqual(len((out / "corpus.txt").read_text().splitlines()), 5)

    def test_other_files_are_not_overwritten(self):
        out = pathlib.Path(self.folder.name) / "kept"
        (out / "SAMPLE").mkdir(parents=True)
        kept = out / "SAMPLE" / "train.tsv"
        kept.write_text("mine")
        result = generate(out)
        self.assertEqual(result.returncode, 2)
        self.assertIn("train.tsv is there and differs", result.stderr)
        self.assertEqual(kept.read_text(), "mine")
        self.assertEqual(generate(out, "--force").returncode, 0)
        self.assertEqual(kept.read_bytes(), (self.out / "SAMPLE" / "train.tsv").read_bytes())
        self.assertEqual(generate(out).returncode, 0)

    def test_wrong_arguments_are_refused(self):
        for options in (["--train", "0"], ["--noise", "0.5"], ["--lines", "many"], ["--sede", "1"]):
            self.assertEqual(generate(pathlib.Path(self.folder.name) / "never", *options).returncode, 2, options)


if __name__ == "__main__":
    unittest.main()
