# packages: numpy==2.4.6 scipy==1.17.1
"""How well scores without training rank the models of NAS-Bench-BERT: Kendall's tau with GLUE scores, from the files of `thimble bench
proxies --json`; script/proxy-study runs it.

Of several files of one sort of models (weights of several seeds) the taus are averaged. "At equal size": among models of one hidden width
and depth, the mean of the four groups' taus, weighted by their pairs.
"""
import json
import sys

import numpy as np
from scipy.stats import kendalltau

from tau import tau_with_interval


def at_equal_size(values, glue, sizes):
    sums = weights = 0
    for size in set(sizes):
        own = [i for i, s in enumerate(sizes) if s == size]
        if len(own) < 3 or len({values[i] for i in own}) == 1:
            continue
        pairs = len(own) * (len(own) - 1) / 2
        sums += pairs * kendalltau([values[i] for i in own], [glue[i] for i in own]).statistic
        weights += pairs
    return f"{sums / weights:.2f}" if weights else ""


def main(table, *files):
    with open(table) as lines:
        sizes = {row["id"]: (row["hidden"], len(row["layers"])) for row in map(json.loads, lines)}
    runs = {False: [], True: []}
    for file in files:
        with open(file) as text:
            run = json.load(text)
        runs[run["released"]].append(run)
    for released, of in runs.items():
        if not of:
            continue
        models = of[0]["models"]
        glue = [model["glue"] for model in models]
        print(f"{len(models)} models {'as the published notebook builds them' if released else 'of their own widths'}, {of[0]['rows']} rows of "
              f"text, {len(of)} seeds of weights\n")
        print("| proxy | tau with GLUE (95%) | at equal size | ms a model |\n|---|---|---|---|")
        for i, proxy in enumerate(of[0]["proxies"]):
            values = np.array([run["proxies"][i]["values"] for run in of], dtype=float)
            tau, low, high = tau_with_interval(values, np.array([glue] * len(of)))
            equal = at_equal_size(values.mean(0), glue, [sizes[model["id"]] for model in models])
            seconds = np.median([run["proxies"][i]["seconds"] for run in of])
            print(f"| {proxy['proxy']} | {tau:.3f} ({low:.3f} to {high:.3f}) | {equal} | {1e3 * seconds:.3g} |")
        print()


if __name__ == "__main__":
    main(*sys.argv[1:])
