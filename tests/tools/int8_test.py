"""`thimble export MODEL --quantize int8`: a fine-tuned student's file shrinks to a third and keeps its answers.

As ONNX Runtime computes it, against `thimble predict` in float32, on the whole dev set of the generated task.
"""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    import numpy
    import onnxruntime
except ImportError as error:
    skip_without(error)

from fixture import MINILM, make_sample, run

SHARE = 0.97
SMALLER = 3


def agreement(directory, rows, folder):
    """Share of rows whose label the int8 file keeps; and the shares of the labels in float32."""
    (folder / "rows.tsv").write_text("\n".join(rows) + "\n")
    told = [json.loads(line) for line in run("predict", directory, "--file", folder / "rows.tsv", "--json").stdout.splitlines()]
    assert len(told) == len(rows), (len(told), len(rows))
    session = onnxruntime.InferenceSession(str(directory / "model.int8.onnx"), providers=["CPUExecutionProvider"])
    same, labels = 0, []
    for row in told:
        ids = numpy.array([row["input_ids"]], dtype=numpy.int64)
        logits = session.run(["logits"], {"input_ids": ids, "attention_mask": numpy.ones_like(ids),
                                          "token_type_ids": numpy.array([row["token_type_ids"]], dtype=numpy.int64)})[0][0]
        labels.append(int(numpy.argmax(row["logits"])))
        same += int(numpy.argmax(logits)) == labels[-1]
    return same / len(told), numpy.bincount(labels) / len(labels)


def main():
    if not MINILM.is_dir():
        print("skipped: the teacher is not there (script/bootstrap)")
        return 77
    with tempfile.TemporaryDirectory(prefix="thimble-int8-") as folder:
        root = pathlib.Path(folder)
        make_sample(root / "data")
        common = ["--task", "sample", "--data", root / "data"]
        run("finetune", MINILM, *common, "--rows", 480, "--epochs", 1, "--out", root / "teacher")
        run("slice", root / "teacher", *common, "--max-params", "9M", "--rows", 200, "--out", root / "cut")
        run("finetune", root / "cut", *common, "--teacher", root / "teacher", "--rows", 320, "--epochs", 1, "--out", root / "student")
        rows = ["\t".join(line.split("\t")[:2]) for line in (root / "data/SAMPLE/dev.tsv").read_text().splitlines()[1:]]
        for name in ("teacher", "student"):
            directory = root / name
            run("export", directory, "--quantize", "int8", *common)
            again = run("export", directory, "--quantize", "int8", check=False)
            assert again.returncode == 2 and "--force" in again.stderr, again.stderr
            smaller = (directory / "model.onnx").stat().st_size / (directory / "model.int8.onnx").stat().st_size
            share, labels = agreement(directory, rows, root)
            print(f"{name}: {smaller:.2f} times smaller, {share:.3f} of {len(rows)} labels kept; labels {labels}")
            assert max(labels) < SHARE, "a file that says one thing to all rows would pass: nothing was tested"
            assert smaller >= SMALLER and share >= SHARE
    return 0


if __name__ == "__main__":
    sys.exit(main())
