"""Times the graphs that `thimble bench mixers --onnx DIR` wrote, in ONNX Runtime, in turn: milliseconds, and shares of attention's.

    .deps/test-venv/bin/python bench/peers/mixers.py DIR [--lengths 32,64,128,256,512] [--rounds 15] [--threads 1]
"""
import argparse
import pathlib
import statistics
import time

import numpy as np
import onnxruntime

BASE = "self_attention"


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--lengths", default="32,64,128,256,512")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    lengths = [int(length) for length in arguments.lengths.split(",")]
    graphs = {path.stem: session(path, arguments.threads) for path in sorted(arguments.directory.glob("*.onnx"))}
    times = {name: {length: [] for length in lengths} for name in graphs}
    for round_ in range(-1, arguments.rounds):  # one to warm up
        for length in lengths:
            row = {"input_ids": np.arange(length)[None], "token_type_ids": np.zeros((1, length), np.int64),
                   "attention_mask": np.ones((1, length), np.int64)}
            for name, graph in graphs.items():
                begin = time.perf_counter()
                graph.run(None, {each.name: row[each.name] for each in graph.get_inputs()})
                if round_ >= 0:
                    times[name][length].append(1e3 * (time.perf_counter() - begin))
    print("| ONNX Runtime, ms of embedding and layer (of attention's) | " + " | ".join(f"{length} tokens" for length in lengths) + " |")
    print("|---" * (len(lengths) + 1) + "|")
    for name in graphs:
        medians = [statistics.median(times[name][length]) for length in lengths]
        shares = [median / statistics.median(times[BASE][length]) for median, length in zip(medians, lengths)]
        print(f"| {name} | " + " | ".join(f"{median:.3f} ({share:.2f})" for median, share in zip(medians, shares)) + " |")


if __name__ == "__main__":
    main()
