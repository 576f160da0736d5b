"""Students compared by their answers on GLUE's dev rows: accuracy, and divergence from the teacher's answers, in pairs."""
import json
import math
import pathlib
import statistics

from cells import Cells, key

# Folder, columns of the texts and of the label, names of labels that are not numbers.
TASKS = {"sst2": ("SST-2", (0,), 1, None), "qqp": ("QQP", (3, 4), 5, None), "mrpc": ("MRPC", (3, 4), 0, None),
         "qnli": ("QNLI", (1, 2), 3, ["entailment", "not_entailment"])}
ROWS = {"sst2": 6000, "qqp": 6000, "qnli": 5000, "mrpc": 0}  # of training; 0: all
DEV_ROWS = 2000


class AnswerCells(Cells):
    def dev(self, task):
        folder, columns, label, names = TASKS[task]
        lines = pathlib.Path(self.arguments.data, folder, "dev.tsv").read_text(encoding="utf-8-sig").rstrip("\n").split("\n")[1:DEV_ROWS + 1]
        cells = [line.rstrip("\r").split("\t") for line in lines]
        return ["\t".join(c[i] for i in columns) for c in cells], [names.index(c[label]) if names else int(c[label]) for c in cells]

    def answers(self, model, task):
        """Of each dev row: log-probabilities."""
        texts, _ = self.dev(task)
        file = self.out / "work" / f"{task}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(texts) + "\n")
        told = self.run("predict", model, "--file", file, "--json", "--batch", 32)
        logits = [json.loads(line)["logits"] for line in told.splitlines()]
        return [[round(x - max(row) - math.log(sum(math.exp(y - max(row)) for y in row)), 5) for x in row] for row in logits]

    def of_teacher(self, task):
        def make():
            teacher = self.teacher(task, 1, ROWS[task])
            return teacher and {"answers": self.answers(teacher, task)}
        return self.cell(f"{task}-teacher-" + key(ROWS[task]), make)

    @staticmethod
    def accuracy(cell, labels):
        return 100.0 * statistics.mean(max(range(len(a)), key=a.__getitem__) == y for a, y in zip(cell["answers"], labels))

    @staticmethod
    def compare(mine, base, teacher, labels, is_base):
        """Accuracy and divergence, means over seeds; what both are over those of `base`, paired over rows."""
        def rows(cells):
            accuracy, divergence = [0.0] * len(labels), [0.0] * len(labels)
            for cell in cells:
                for i, (t, a, y) in enumerate(zip(teacher["answers"], cell["answers"], labels)):
                    accuracy[i] += 100.0 * (max(range(len(a)), key=a.__getitem__) == y) / len(cells)
                    divergence[i] += sum(math.exp(p) * (p - q) for p, q in zip(t, a)) / len(cells)
            return accuracy, divergence
        mine = [c for c in mine if c]
        base = [c for c in base if c]
        if not mine:
            return ["", ""]
        ours = rows(mine)
        text = f"{statistics.mean(ours[0]):.1f}, {statistics.mean(ours[1]):.4f}" + (f" ({len(mine)} seeds)" if len(mine) > 1 else "")
        if is_base or not base:
            return [text, ""]
        over = []
        for digits, a, b in ((1, ours[0], rows(base)[0]), (4, ours[1], rows(base)[1])):
            difference = [x - y for x, y in zip(a, b)]
            over.append(f"{statistics.mean(difference):+.{digits}f} +- {statistics.stdev(difference) / len(difference) ** 0.5:.{digits}f}")
        return [text, ", ".join(over)]
