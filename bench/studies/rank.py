# packages: numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2
"""Kendall's tau between cheap scores and trained scores of the architectures in ranks.jsonl; script/rank-study runs it."""
import argparse
import json
import math
import pathlib
import sys

import numpy as np

from tau import tau_with_interval


def w_pca(cheap, key):
    """Times the parameters, as thimble rank writes it; its first files have it without."""
    return cheap["proxies"][key] if "proxies" in cheap else cheap[key] * cheap["parameters"]


# What a search may look at before or early in training. Sign: +1 if more is better.
CHEAP = {
    "untrained loss": (-1, lambda a: a["cheap"]["untrained"]["loss"]),
    "untrained attention scores": (-1, lambda a: a["cheap"]["untrained"]["loss/attention_scores"]),
    "untrained hidden states": (-1, lambda a: a["cheap"]["untrained"]["loss/hidden_states"]),
    "untrained soft labels": (-1, lambda a: a["cheap"]["untrained"]["loss/soft_labels"]),
    "untrained metric": (+1, lambda a: a["cheap"]["untrained"][a["metric"]]),
    "explained variance, last layer": (+1, lambda a: a["cheap"]["r2_last"]),
    "explained variance, mean": (+1, lambda a: a["cheap"]["r2_mean"]),
    "W-PCA x parameters": (+1, lambda a: w_pca(a["cheap"], "w_pca")),
    "W-PCA": (+1, lambda a: w_pca(a["cheap"], "w_pca") / a["cheap"]["parameters"]),
    "W-PCA of the sliced student": (+1, lambda a: w_pca(a["cheap"], "w_pca_sliced") / a["cheap"]["parameters"]),
    "parameters": (+1, lambda a: a["cheap"]["parameters"]),
    "multiply-adds": (+1, lambda a: a["cheap"]["multiply_adds"]),
    # Of one seed, against what training with the other seeds gave.
    "one epoch: loss": (-1, lambda a: a["first"]["loss"]),
    "one epoch: soft labels": (-1, lambda a: a["first"]["loss/soft_labels"]),
    "one epoch: metric": (+1, lambda a: a["first"][a["metric"]]),
    # Not cheap: what the losses of a trained student say of another seed's metric.
    "trained: loss": (-1, lambda a: a["dev"]["loss"]),
    "trained: KL to the teacher": (-1, lambda a: a["dev"]["loss/soft_labels"]),
}
TRAINED = {
    "loss": (-1, lambda run, metric: run["dev"]["loss"]),
    "KL to the teacher": (-1, lambda run, metric: run["dev"]["loss/soft_labels"]),
    "metric": (+1, lambda run, metric: run["dev"][metric]),
}


def read(directory):
    """Architectures whose every seed is there, in the order of the file, and the study's line."""
    lines = [json.loads(line) for line in (directory / "ranks.jsonl").read_text().splitlines()]
    study, cheap, runs = lines[0], {}, {}
    for line in lines[1:]:
        if line["kind"] == "cheap":
            cheap[line["hash"]] = line
        elif "failure" not in line:
            runs.setdefault(line["hash"], {})[line["seed"]] = line
    seeds = max((len(each) for each in runs.values()), default=0)
    metric = None
    for line in lines[1:]:
        if line["kind"] == "cheap":
            metric = next(key for key in line["untrained"] if not key.startswith("loss") and not key.endswith("_se"))
            break
    whole = [{"cheap": cheap[h], "runs": each, "metric": metric}
             for h, each in runs.items() if h in cheap and len(each) == seeds]
    return study, whole, seeds, metric


def cell(x, y):
    tau, low, high = tau_with_interval(x, y)
    return f"{tau:.2f} ({low:.2f} to {high:.2f})"


def further_proxies(architectures):
    """What thimble rank has of its catalogue of proxies beside W-PCA, where all architectures have it; null is no number."""
    names = [name for name in architectures[0]["cheap"].get("proxies", {}) if not name.startswith("w_pca")]
    for name in names:
        if all(a["cheap"].get("proxies", {}).get(name) is not None for a in architectures):
            plain = name.removesuffix("_sliced")
            text = plain.replace("_", " ") + (" of the sliced student" if plain != name else "")
            yield text, (+1, lambda a, name=name: a["cheap"]["proxies"][name])


def tables(study, architectures, seeds, metric):
    rows = study["rows"]
    numbers = sorted(architectures[0]["runs"])
    trained = {name: np.array([[sign * get(a["runs"][s], metric) for a in architectures] for s in numbers])
               for name, (sign, get) in TRAINED.items()}
    mean = {name: values.mean(0) for name, values in trained.items()}
    parameters = [a["cheap"]["parameters"] for a in architectures]
    dev = [run["dev"] for a in architectures for run in a["runs"].values()]
    yield (f"{study['task']}: {len(architectures)} architectures of {min(parameters) / 1e6:.2f}M to {max(parameters) / 1e6:.2f}M parameters, "
           f"{rows['train']} training rows, {seeds} seeds each, cheap scores on {rows['score']} further rows, trained scores on "
           f"{rows['dev']} dev rows; 95% bootstrap intervals over architectures.")
    yield ""
    yield "| cheap score | tau with trained loss | with KL to the teacher | with " + metric + " |"
    yield "|---|---|---|---|"
    for name, (sign, get) in [*CHEAP.items(), *further_proxies(architectures)]:
        cells = []
        for target in TRAINED:
            if name.startswith(("one epoch", "trained")):
                # Never against the run it was taken from.
                x, y = [], []
                for s in numbers:
                    if seeds < 2:
                        break
                    x.append([sign * get({"first": a["runs"][s]["epochs"][0], "dev": a["runs"][s]["dev"], "metric": metric}) for a in architectures])
                    y.append(np.mean([trained[target][i] for i, other in enumerate(numbers) if other != s], 0))
                cells.append(cell(x, y) if x else "-")
            else:
                cells.append(cell(np.array([sign * get(a) for a in architectures]), mean[target]))
        yield f"| {name} | " + " | ".join(cells) + " |"
    if seeds > 1:
        cells = [cell(trained[target][0], trained[target][1]) for target in TRAINED]
        yield "| *seed against seed* | " + " | ".join(cells) + " |"
    yield ""
    yield "| trained score on dev | lowest | mean | highest | standard deviation over architectures | between seeds | standard error of one |"
    yield "|---|---|---|---|---|---|---|"
    keys = {"loss": "loss", "KL to the teacher": "loss/soft_labels", "metric": metric}
    for target, values in trained.items():
        values = np.abs(values)
        between = math.sqrt(np.mean(values.var(0, ddof=1))) if seeds > 1 else float("nan")
        error = np.mean([d[keys[target] + "_se"] for d in dev])
        each = values.mean(0)
        yield (f"| {metric if target == 'metric' else target} | {each.min():.4f} | {each.mean():.4f} | {each.max():.4f} | "
               f"{each.std(ddof=1):.4f} | {between:.4f} | {error:.4f} |")
    yield ""
    best = architectures[int(np.argmax(mean["metric"]))]
    for name in ("untrained loss", "untrained soft labels", "untrained metric", "explained variance, last layer"):
        sign, get = CHEAP[name]
        order = np.argsort([-sign * get(a) for a in architectures])
        quarter = order[: max(1, len(order) // 4)]
        yield (f"The best quarter by {name}: mean {metric} {100 * mean['metric'][quarter].mean():.2f} against {100 * mean['metric'].mean():.2f} "
               f"of all; the best architecture ({100 * mean['metric'].max():.2f}) is {'in it' if architectures.index(best) in quarter else 'not in it'}.")


def plot(study, architectures, metric, directory):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    plt.rcParams["svg.hashsalt"] = "thimble"
    plt.rcParams["svg.fonttype"] = "none"
    shown = ["untrained loss", "untrained soft labels", "untrained metric", "explained variance, last layer"]
    figure, axes = plt.subplots(len(TRAINED), len(shown), figsize=(3 * len(shown), 2.6 * len(TRAINED)), layout="constrained")
    layers = np.array([a["cheap"]["layers"] for a in architectures])
    for row, (target, (_, get_trained)) in zip(axes, TRAINED.items()):
        y = np.array([[get_trained(run, metric) for run in a["runs"].values()] for a in architectures])
        for axis, name in zip(row, shown):
            x = np.array([CHEAP[name][1](a) for a in architectures])
            for depth in sorted(set(layers)):
                of = layers == depth
                axis.errorbar(x[of], y[of].mean(1), yerr=(y[of].max(1) - y[of].min(1)) / 2, fmt="o", markersize=3, linewidth=0.8,
                              label=f"{depth} layers")
            axis.set_xlabel(name, fontsize=8)
            axis.set_ylabel(metric if target == "metric" else target, fontsize=8)
            axis.tick_params(labelsize=7)
    axes[0][0].legend(fontsize=6)
    path = directory / f"rank-{study['task']}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path


def main():
    parser = argparse.ArgumentParser(prog="script/rank-study --report")
    parser.add_argument("directory", nargs="+", type=pathlib.Path)
    parser.add_argument("--markdown", type=pathlib.Path, help="write the tables to this file as well")
    parser.add_argument("--plots", type=pathlib.Path, help="write rank-TASK.svg into this directory")
    options = parser.parse_args()
    text = []
    for directory in options.directory:
        if not (directory / "ranks.jsonl").is_file():
            sys.exit(f"rank-study: no {directory}/ranks.jsonl; `script/rank-study TASK` makes it")
        study, architectures, seeds, metric = read(directory)
        if len(architectures) < 3:
            sys.exit(f"rank-study: {directory}/ranks.jsonl holds {len(architectures)} finished architectures; at least 3 are needed")
        text += [*tables(study, architectures, seeds, metric), ""]
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            print(f"wrote {plot(study, architectures, metric, options.plots)}", file=sys.stderr)
    print("\n".join(text))
    if options.markdown:
        options.markdown.write_text("\n".join(text))


if __name__ == "__main__":
    main()
