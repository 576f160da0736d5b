"""Runs `thimble bench NAME` and a peer in turn, both kept warm; script/compare-peers prepares what it needs.

A measure is bench/peers/NAME.py. Its first line is `# packages: ...`, what pip installs for it. It defines

    add_options(parser)          its own options, argparse
    prepare(options)             -> (arguments for `thimble bench NAME`, or None where it has nothing to run, list of Pair)
    show(rows)                   optional: prints more about the finished rows

Ratio: ours over theirs in each round, both as rates, so above 1 we are better; shown are the median and the quartiles.
"""
import argparse
import dataclasses
import functools
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy


@dataclasses.dataclass
class Pair:
    measure: str
    peer: str
    ours: str | Callable  # label of `thimble bench`; or does our work once, as `run` does the peer's
    run: Callable | None = None  # does the peer's work once; returns the amount of work done, in the unit of `ours`
    theirs: str | None = None  # instead of `run`: another of our labels, to compare with ourselves
    unit: str = ""  # of a callable `ours`
    facts: dict = dataclasses.field(default_factory=dict)  # goes into the row as it is


def load(name):
    path = pathlib.Path(__file__).parent / f"{name}.py"
    if not path.exists():
        known = sorted(p.stem for p in path.parent.glob("*.py") if p.stem != "compare")
        sys.exit(f"compare-peers: unknown measure {name}; accepted: {', '.join(known)}")
    spec = importlib.util.spec_from_file_location(f"peer_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("compare", sys.modules[__name__])
    spec.loader.exec_module(module)
    return module


class Ours:
    def __init__(self, binary, name, arguments):
        self.process = subprocess.Popen([binary, "bench", name, *arguments, "--serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare-peers: thimble bench ended with code {self.process.wait()}")
        return {t["label"]: (t["amount"] / t["seconds"], t["unit"]) for t in json.loads(line)}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def rate(work):
    start = time.perf_counter()
    amount = work()
    return amount / (time.perf_counter() - start)


def main():
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("name")
    name = first.parse_known_args()[0].name
    measure = load(name)
    parser = argparse.ArgumentParser(prog="compare-peers", parents=[first])
    parser.add_argument("--thimble", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json")
    measure.add_options(parser)
    options = parser.parse_args()

    arguments, pairs = measure.prepare(options)
    ours = None if arguments is None else Ours(options.thimble, name, arguments)
    rates = {id(pair): ([], []) for pair in pairs}
    units = {}
    for round_number in range(options.rounds + 1):  # the first is for warming up
        found = ours.round() if ours else {}
        once = functools.cache(rate)  # work that several pairs compare with is done once in a round
        for pair in pairs:
            mine, unit = (once(pair.ours), pair.unit) if callable(pair.ours) else found[pair.ours]
            theirs = once(pair.run) if pair.run else found[pair.theirs][0]
            if round_number > 0:
                rates[id(pair)][0].append(mine)
                rates[id(pair)][1].append(theirs)
            units[id(pair)] = unit
    if ours:
        ours.close()

    result = []
    print(f"{'measure':32} {'peer':34} {'ours':>10} {'theirs':>10} {'unit':10} {'ratio':>7}  quartiles")
    for pair in pairs:
        mine, theirs = rates[id(pair)]
        ratios = [a / b for a, b in zip(mine, theirs)]
        low, ratio, high = numpy.quantile(ratios, [0.25, 0.5, 0.75])
        row = {"measure": pair.measure, "peer": pair.peer, "ours": statistics.median(mine),
               "theirs": statistics.median(theirs), "unit": units[id(pair)], "ratio": ratio,
               "ratio_quartiles": [low, high], "ours_quartiles": list(numpy.quantile(mine, [0.25, 0.75])),
               "theirs_quartiles": list(numpy.quantile(theirs, [0.25, 0.75])), "rounds": len(ratios), **pair.facts}
        result.append(row)
        print(f"{row['measure']:32} {row['peer']:34} {row['ours']:10.3f} {row['theirs']:10.3f} {row['unit']:10} "
              f"{ratio:7.2f}  {low:.2f} to {high:.2f}")
    if hasattr(measure, "show"):
        measure.show(result)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
