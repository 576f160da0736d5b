"""Random architectures of the full space compute the same in three ways: thimble itself (LibTorch), the exported ONNX file in
ONNX Runtime, and transformers with the exported modelling file. Real sentences (MRPC); largest difference 1e-4.

    python3 tests/models/agreement_check.py build/dev/tests/models/random_models DATA VOCABULARY [COUNT]

Exit 77: a package, the sentences or the vocabulary are missing, nothing was tested.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    import onnxruntime
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    skip_without(error)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
INPUTS = ("input_ids", "token_type_ids", "attention_mask")


def of_onnx(case, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(case / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0])


def of_transformers(case, inputs):
    """What is exported (logits, or else last states), and last states."""
    kind = json.loads((case / "config.json").read_text())["architectures"][0]
    auto = (transformers.AutoModelForQuestionAnswering if kind.endswith("ForQuestionAnswering") else
            transformers.AutoModelForSequenceClassification if kind.endswith("ForSequenceClassification") else transformers.AutoModel)
    model, info = auto.from_pretrained(case, output_loading_info=True, trust_remote_code=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    with torch.inference_mode():
        output = model.eval()(**inputs, output_hidden_states=True)
    last = output.hidden_states[-1]
    if auto is transformers.AutoModelForQuestionAnswering:
        return torch.stack([output.start_logits, output.end_logits], -1), last
    return (output.logits, last) if hasattr(output, "logits") else (last, last)


def differences(case):
    expected = safetensors.torch.load_file(case / "expected.safetensors")
    inputs = {name: expected[name] for name in INPUTS}
    real = inputs["attention_mask"].bool()
    ours = expected.get("logits", expected["last"])
    assert torch.isfinite(ours).all() and ours.std() > 2e-3, f"{case.name}: outputs tell nothing: {ours.std()}"

    def largest(got, wanted):  # padding is anything
        assert got.shape == wanted.shape, (case.name, got.shape, wanted.shape)
        difference = (got - wanted).abs()
        return (difference[real] if got.dim() == 3 else difference).max().item()

    theirs, last = of_transformers(case, inputs)
    return largest(of_onnx(case, inputs), ours), max(largest(theirs, ours), largest(last, expected["last"]))


def main(program, data, vocabulary, count="60"):
    if not pathlib.Path(data).is_dir() or not pathlib.Path(vocabulary).is_file():
        print(f"skipped: no {data} or no {vocabulary}")
        return 77
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    begin = time.monotonic()
    worst, failures, seen = [0, 0], 0, {}
    with tempfile.TemporaryDirectory(prefix="thimble-agreement-") as folder:
        subprocess.run([program, folder, data, vocabulary, count], check=True)
        cases = sorted(pathlib.Path(folder).iterdir(), key=lambda path: int(path.name))
        assert len(cases) == int(count), cases
        kinds = [name for folder in ("mixers", "feed_forwards", "embeddings", "attention_biases")
                 for name in re.findall(r"\((\w+)\)", (ROOT / "models" / folder / f"{folder}.inc").read_text())]
        for case in cases:
            text = (case / "architecture.textproto").read_text()
            for word in ("bottleneck", "share_query_key: true", "NO_NORM", "position_table: false", "convolution", "groups",
                         "monarch: true", "routed", "merged", *kinds):
                seen[word] = seen.get(word, 0) + (re.search(rf"\b{word}\b", text) is not None)
            found = differences(case)
            worst = [max(pair) for pair in zip(worst, found)]
            if max(found) > TOLERANCE:
                failures += 1
                print(f"FAILED {case.name}: ONNX Runtime {found[0]:.2g}, transformers {found[1]:.2g}\n{text}")
    print(f"{count} architectures in {time.monotonic() - begin:.0f} s ({', '.join(f'{n} {word}' for word, n in seen.items())}): "
          f"largest difference of ONNX Runtime {worst[0]:.2g}, of transformers {worst[1]:.2g}; {failures} failures")
    if min(seen.values()) == 0:
        print("FAILED: not the whole space")
        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
