"""The exported ONNX file, run by onnxruntime on real sentences, agrees with `thimble predict` to 1e-4."""
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

from fixture import GLUE, MINILM, make_sample, run

ARCHITECTURE = """
hidden: 96 heads: 12 ffn_hidden: 96 pooler: 384
embedding { trigram { width: 128 } }
layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" stacks: 2 ratio: "1" } }
layer { mixer { self_attention {} } ffn { expression: "tanh(linear(relu(mul(linear(x,wb1),x)),wb2))" stacks: 1 ratio: "1/2" } }
layer { mixer { self_attention {} } ffn { expression: "leaky_relu(linear(elu(linear(max(x,tanh(x)),wb1)),wb2))" stacks: 1 ratio: "1/3" } }
"""


def sentences(data):
    if GLUE.is_dir():
        rows = (GLUE / "MRPC/dev.tsv").read_text(encoding="utf-8-sig").splitlines()[1:9]
        return [row.split("\t")[3:5] for row in rows]
    print("no GLUE here: sentences of the generated task")
    return [row.split("\t")[:2] for row in (data / "SAMPLE/dev.tsv").read_text().splitlines()[1:9]]


def main():
    if not MINILM.is_dir():
        print("skipped: the teacher is not there (script/bootstrap)")
        return 77
    with tempfile.TemporaryDirectory(prefix="thimble-onnx-") as folder:
        root = pathlib.Path(folder)
        make_sample(root / "data")
        common = ["--task", "sample", "--data", root / "data", "--rows", 64, "--epochs", 0]
        run("finetune", MINILM, *common, "--out", root / "teacher")
        (root / "student.textproto").write_text(ARCHITECTURE)
        run("distill", root / "teacher", "--architecture", root / "student.textproto", *common, "--out", root / "student")
        worst = 0
        for directory in (root / "teacher", root / "student"):
            session = onnxruntime.InferenceSession(str(directory / "model.onnx"), providers=["CPUExecutionProvider"])
            for first, second in sentences(root / "data"):
                told = json.loads(run("predict", directory, first, second, "--json").stdout)
                ids = numpy.array([told["input_ids"]], dtype=numpy.int64)
                types = numpy.array([told["token_type_ids"]], dtype=numpy.int64)
                # Padding must not matter: two more columns.
                pad = [(0, 0), (0, 2)]
                got = session.run(["logits"], {"input_ids": numpy.pad(ids, pad), "token_type_ids": numpy.pad(types, pad),
                                               "attention_mask": numpy.pad(numpy.ones_like(ids), pad)})[0][0]
                worst = max(worst, float(numpy.abs(got - numpy.array(told["logits"])).max()))
        print(f"largest difference {worst:.2e}")
        return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
