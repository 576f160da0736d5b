"""Runs the models that onnx_test wrote in ONNX Runtime and compares with LibTorch's outputs.

usage: onnx_check.py DIRECTORY    exit code 77: a package is missing, nothing was tested
"""
import collections
import glob
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as error:
    skip_without(error)

TOLERANCE = 1e-4
INT8_TOLERANCE = 0.2  # norm of the difference over the norm; random weights 12 wide
INPUTS = ["input_ids", "token_type_ids", "attention_mask"]
failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)
        print("FAILED", text)


def array(item, dtype):
    return np.array(item["values"], dtype).reshape(item["shape"])


def dimensions(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def session_of(path, optimized=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_file(name, path, case):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)  # with shape inference
    expect(model.ir_version == 8, f"{name}: IR version {model.ir_version}")
    expect([(o.domain, o.version) for o in model.opset_import] == [("", 17)], f"{name}: opset {model.opset_import}")
    expect([i.name for i in model.graph.input] == INPUTS, f"{name}: inputs")
    for value in model.graph.input:
        expect(dimensions(value) == ["batch", "length"], f"{name}: dimensions of {value.name}: {dimensions(value)}")
    output = model.graph.output[0]
    wanted = (("logits", ["batch", "length", case["classes"]]) if case["tokens"] else
              ("logits", ["batch", case["classes"]]) if case["classes"] else
              ("last_hidden_state", ["batch", "length", case["hidden"]]))
    expect((output.name, dimensions(output)) == wanted, f"{name}: output {output.name} {dimensions(output)}")
    # A pooled head reads one token of the last layer: as many go through its blocks.
    inferred = {value.name: dimensions(value) for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    pooled = case["classes"] and not case["tokens"]
    for layer in range(case["layers"]):
        norm = f"layer.{layer}.ffn.0.norm/" + ("Add" if "shared" in name else "LayerNormalization")
        tokens = inferred.get(norm, dimensions(output))[1]  # without a head the last is the output
        expect((tokens == 1) == bool(pooled and layer == case["layers"] - 1), f"{name}: layer {layer} of {tokens} tokens")


def check_outputs(name, path, case):
    session = session_of(path)
    worst = 0
    for run in case["runs"]:
        feed = {key: array(run[key], np.int64) for key in INPUTS}
        wanted = array(run["output"], np.float32)
        got = session.run(None, feed)[0]
        shape = feed["input_ids"].shape
        expect(got.shape == wanted.shape, f"{name} {shape}: output {got.shape}, expected {wanted.shape}")
        if got.shape != wanted.shape:
            continue
        expect(np.abs(wanted).max() > 0.1, f"{name} {shape}: outputs too small to tell anything")
        difference = np.abs(got - wanted).max()
        worst = max(worst, difference)
        expect(difference <= TOLERANCE, f"{name} {shape}: differs by {difference}")

        # Other tokens in the padding change nothing at real positions.
        mask = feed["attention_mask"]
        feed["input_ids"] = np.where(mask == 1, feed["input_ids"], (feed["input_ids"] + 1) % 40)
        again = session.run(None, feed)[0]
        real = mask[:, 0] == 1 if case["classes"] and not case["tokens"] else mask == 1
        expect(np.abs(again[real] - got[real]).max() <= 1e-6, f"{name} {shape}: padding leaks")
    print(f"{name}: {worst:.1e}")


def check_int8(name, path, case):
    """Near the float32 outputs; each linear one fused node."""
    session = session_of(path)
    wanted, got = [], []
    for run in case["runs"]:
        output = session.run(None, {key: array(run[key], np.int64) for key in INPUTS})[0]
        mask = array(run["attention_mask"], np.int64)
        real = mask[:, 0] == 1 if case["classes"] and not case["tokens"] else mask == 1
        wanted.append(array(run["output"], np.float32)[real].ravel())
        got.append(output[real].ravel())
    wanted, got = np.concatenate(wanted), np.concatenate(got)
    difference = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    expect(1e-5 < difference <= INT8_TOLERANCE, f"{name}: relative difference {difference}")
    print(f"{name}: {difference:.1e} of the norm")
    written = types(path)
    expect(written["MatMul"] == 2 * case["layers"] + (case["classes"] > 0), f"{name}: {written['MatMul']} in float32")
    with tempfile.TemporaryDirectory() as directory:
        optimized = os.path.join(directory, "optimized.onnx")
        session_of(path, optimized)
        found = types(optimized)
        fused = found["DynamicQuantizeMatMul"] + found["MatMulIntegerToFloat"]
        expect(found["SkipLayerNormalization"] == 0, f"{name}: residuals are fused, which is slower")
        expect(found["MatMulInteger"] == 0 and fused == written["MatMulInteger"], f"{name}: not fused: {dict(found)}")


def types(path):
    return collections.Counter(node.op_type for node in onnx.load(path).graph.node)


def check_fusions(name, path, case, gelu):
    """ONNX Runtime finds residuals and GELUs while loading; attention only in its offline optimizer."""
    layers = case["layers"]
    with tempfile.TemporaryDirectory() as directory:
        optimized = os.path.join(directory, "optimized.onnx")
        session_of(path, optimized)
        found = types(optimized)
        expect(found["SkipLayerNormalization"] >= 2 * layers, f"{name}: residuals not fused: {dict(found)}")
        expect(found[gelu] == layers, f"{name}: GELUs not fused: {dict(found)}")
        try:
            from onnxruntime.transformers import optimizer
            optimizer.optimize_model(path, "bert", num_heads=3, hidden_size=case["hidden"],
                                     opt_level=0).save_model_to_file(optimized)
        except ImportError as error:
            print(f"{name}: attention fusion not checked: {error}")
            return
        found = types(optimized)
        # It wants queries that read what keys and values read: not those of the first token alone.
        fused = layers - 1 if case["classes"] and not case["tokens"] else layers
        expect(found["Attention"] == fused, f"{name}: {found['Attention']} of {fused} attentions fused")
        check_outputs(name + " optimized", optimized, case)


def main():
    directory = sys.argv[1]
    paths = sorted(glob.glob(os.path.join(directory, "*.onnx")))
    expect(len(paths) >= 48, f"only {len(paths)} models in {directory}")
    for path in paths:
        name = os.path.basename(path)[:-len(".onnx")]
        int8 = name.endswith(".int8")
        with open(os.path.join(directory, name.removesuffix(".int8") + ".json"), encoding="utf-8") as file:
            case = json.load(file)
        check_file(name, path, case)
        if int8:
            check_int8(name, path, case)
            continue
        check_outputs(name, path, case)
        if name == "bert":
            check_fusions(name, path, case, "BiasGelu")
        if name == "gelu":
            check_fusions(name, path, case, "FastGelu")
    print(f"{len(paths)} models, onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, "
          f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
