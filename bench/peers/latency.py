# packages: numpy==2.4.6 onnxruntime==1.31.1
"""Exported models with random weights in ONNX Runtime, one row at a time on one thread: each against BERT-base, and each
one's int8 form against its own float32 form. Both sides are files that thimble wrote; `ours` is the smaller model.
"""
import functools
import pathlib
import platform
import subprocess
import tempfile

import numpy
import onnxruntime
from compare import Pair

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = "bert_base"
STUDENTS = ["tinybert4", "efficientbert", "efficientbert_tiny"]
folder = None


def add_options(parser):
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--passes", type=int, default=3, help="in a round, of each side of each pair")
    parser.add_argument("--architecture", action="append", default=[],
                        help="another file with a message Architecture to compare with BERT-base")
    parser.add_argument("--keep", help="write the ONNX files into this directory, and leave them there")


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def runner(path, options):
    """Does the passes of a round; the median of a round is not taken: the rate is of all of them."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    ids = numpy.random.default_rng(0).integers(1000, 30000, (1, options.length))
    feed = {"input_ids": ids, "token_type_ids": numpy.zeros_like(ids), "attention_mask": numpy.ones_like(ids)}

    def run():
        for _ in range(options.passes):
            session.run(None, feed)
        return options.passes
    return run


def prepare(options):
    global folder
    folder = tempfile.TemporaryDirectory(prefix="thimble-latency-")
    where = pathlib.Path(options.keep or folder.name)
    files = [str(ROOT / f"configs/architectures/{name}.textproto") for name in [REFERENCE, *STUDENTS]]
    files += options.architecture
    names = [pathlib.Path(file).stem for file in files]
    subprocess.run([options.thimble, "bench", "latency", *files, "--onnx", where, "--rounds", "1"], check=True,
                   stdout=subprocess.DEVNULL)
    load = functools.cache(lambda name: runner(where / f"{name}.onnx", options))
    size = {name: (where / f"{name}.onnx").stat().st_size / 1e6
            for each in names for name in (each, each + ".int8")}
    pairs = []
    for name in names[1:]:
        pairs.append((name, REFERENCE))
    for name in names:
        pairs.append((name + ".int8", name))
    for name in names[1:]:
        pairs.append((name + ".int8", REFERENCE))
    print(f"{cpu()}, onnxruntime {onnxruntime.__version__}, 1 thread, batch 1, {options.length} tokens")
    return None, [Pair(ours, theirs, ours=load(ours), run=load(theirs), unit="passes/s",
                       facts={"ours_mb": round(size[ours], 2), "theirs_mb": round(size[theirs], 2),
                              "times_smaller": round(size[theirs] / size[ours], 2), "cpu": cpu(),
                              "onnxruntime": onnxruntime.__version__, "length": options.length})
                  for ours, theirs in pairs]


def show(rows):
    """Milliseconds and sizes, one line a model."""
    models = {}
    for row in rows:
        for side, name in (("ours", row["measure"]), ("theirs", row["peer"])):
            low, high = row[side + "_quartiles"]
            models.setdefault(name, (row[side + "_mb"], []))[1].append((1e3 / row[side], 1e3 / high, 1e3 / low))
    print(f"\n{'model':28} {'ms':>8}  {'quartiles':16} {'MB':>8} {'BERT-base is slower':>20} {'and larger':>11}")
    ratios = {row["measure"]: (row["ratio"], row["times_smaller"]) for row in rows if row["peer"] == REFERENCE}
    for name, (size, times) in sorted(models.items()):
        median, low, high = sorted(times)[len(times) // 2]
        faster, smaller = ratios.get(name, (None, None))
        against = f"{faster:19.2f}x {smaller:10.2f}x" if faster else ""
        print(f"{name:28} {median:8.2f}  {f'{low:.2f} to {high:.2f}':16} {size:8.2f} {against}")
