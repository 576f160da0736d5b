"""Writes proxies.json and proxies.safetensors: every score of proto/study.proto's Proxy that looks at a network, of a small one.

    python tests/golden/proxies.py

Needs torch, numpy and safetensors. The network is written from the names in models/model.h; gradients are torch's in float64, formulas are
NumPy's, from the comments of the schema and the papers that it names.
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HIDDEN, HEADS, VOCABULARY, POSITIONS, CLASSES = 12, 3, 40, 16, 3
LENGTHS = [9, 5, 11, 7, 8, 6]
# Mixer, stacked blocks, inner width, of each layer.
LAYERS = [("attention", 2, 24), ("attention", 1, 8), (None, 1, 12)]
MIXERS = {"attention": "self_attention {}", None: "none {}"}
ARCHITECTURE = (f"vocabulary: {VOCABULARY} positions: {POSITIONS} hidden: {HIDDEN} heads: {HEADS} embedding {{ plain {{}} }}" +
                "".join(f" layer {{ mixer {{ {MIXERS[mixer]} }} ffn {{ expression: 'linear(gelu_erf(linear(x,wb1)),wb2)' "
                        f"stacks: {stacks} width: {width} }} }}" for mixer, stacks, width in LAYERS))


def new_weights(generator):
    w = {}

    def new(name, shape, deviation, mean=0.0):
        # Through float32, in which they are stored.
        w[name] = (mean + deviation * torch.randn(shape, generator=generator)).double().requires_grad_()

    def linear(name, rows, columns):
        new(name + ".weight", (rows, columns), 0.4)
        new(name + ".bias", (rows,), 0.1)

    def norm(name):
        new(name + ".weight", (HIDDEN,), 0.1, 1.0)
        new(name + ".bias", (HIDDEN,), 0.1)

    new("embedding.token", (VOCABULARY, HIDDEN), 0.5)
    new("embedding.position", (POSITIONS, HIDDEN), 0.3)
    new("embedding.segment", (2, HIDDEN), 0.3)
    norm("embedding.norm")
    for i, (mixer, stacks, width) in enumerate(LAYERS):
        if mixer:
            for part in ("query", "key", "value", "out"):
                linear(f"layer.{i}.attention.{part}", HIDDEN, HIDDEN)
        norm(f"layer.{i}.{mixer or 'none'}.norm")
        for s in range(stacks):
            linear(f"layer.{i}.ffn.{s}.up", width, HIDDEN)
            linear(f"layer.{i}.ffn.{s}.down", HIDDEN, width)
            norm(f"layer.{i}.ffn.{s}.norm")
    linear("pooler", HIDDEN, HIDDEN)
    linear("head", CLASSES, HIDDEN)
    return w


def forward(w, ids, segments, mask):
    """Embedding [B, T, h], attention's shares of each layer that has them, what the first linear of each block returns, and X."""
    def linear(name, x):
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(name, x):
        return F.layer_norm(x, (HIDDEN,), w[name + ".weight"], w[name + ".bias"], 1e-12)

    rows, length = ids.shape
    embedded = x = norm("embedding.norm", w["embedding.token"][ids] + w["embedding.position"][:length] + w["embedding.segment"][segments])
    all_shares, inner = [], []
    for i, (mixer, stacks, _) in enumerate(LAYERS):
        if mixer:
            query, key, value = (linear(f"layer.{i}.attention.{part}", x).view(rows, length, HEADS, -1).transpose(1, 2)
                                 for part in ("query", "key", "value"))
            scores = query @ key.transpose(-2, -1) / (HIDDEN // HEADS)**0.5
            shares = torch.softmax(scores - 10000 * (1 - mask)[:, None, None], -1)
            all_shares.append(shares.detach().numpy())
            context = linear(f"layer.{i}.attention.out", (shares @ value).transpose(1, 2).flatten(2))
            x = norm(f"layer.{i}.attention.norm", x + context)
        else:
            x = norm(f"layer.{i}.none.norm", x)
        for s in range(stacks):
            inner.append(linear(f"layer.{i}.ffn.{s}.up", x))
            x = norm(f"layer.{i}.ffn.{s}.norm", x + linear(f"layer.{i}.ffn.{s}.down", F.gelu(inner[-1])))
    answers = linear("head", torch.tanh(linear("pooler", x[:, 0])))
    return embedded, all_shares, [each.detach().numpy() for each in inner], answers.sum()


def components(inner, real, share):
    total = 0
    for states in inner:
        variances = np.sort(np.linalg.eigvalsh(np.cov(states[real], rowvar=False)))[::-1]
        total += int(np.argmax(np.cumsum(variances) / variances.sum() >= share)) + 1
    return total


def confidence(all_shares, real):
    total = 0
    for shares in all_shares:  # [B, H, T, T]
        total += np.mean([shares[row, head, token].max() for row, token in zip(*np.nonzero(real)) for head in range(HEADS)])
    return total


def distance(inner, real, least=1e-5):
    values = []
    for row in range(len(LENGTHS)):
        code = np.concatenate([states[row][real[row]] > 0 for states in inner], 1)
        alike = (code[:, None] == code[None]).sum(-1)
        values.append(np.linalg.slogdet(alike + least * np.eye(len(alike)))[1])
    return np.mean(values)


def covariance(jacobians, least=1e-5):
    values = np.linalg.eigvalsh(np.corrcoef(jacobians)) + least
    return -np.sum(np.log(values) + 1 / values)


def cosine(jacobians):
    n, total = len(jacobians), 0
    for m in range(n):
        for k in range(m + 1, n):
            a, b = jacobians[m], jacobians[k]
            total += abs(a @ b / np.sqrt((a @ a) * (b @ b)))**(1 / 20)
    return 1 - total / (n * (n - 1))


def main():
    generator = torch.Generator().manual_seed(4)
    longest = max(LENGTHS)
    ids, segments, mask = (torch.zeros(len(LENGTHS), longest, dtype=kind) for kind in (torch.long, torch.long, torch.double))
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(1, VOCABULARY, (length,), generator=generator)
        segments[row, length // 2:length] = 1
        mask[row, :length] = 1
    w = new_weights(generator)
    embedded, shares, inner, x = forward(w, ids, segments, mask)
    real = mask.numpy() > 0
    names = [name for name in w if ".ffn." in name or ".attention." in name]
    names = [name for name in names if name.endswith(".weight") and ".norm." not in name]
    gradients = torch.autograd.grad(x, [embedded] + [w[name] for name in names])
    jacobians = gradients[0].flatten(1).numpy()
    pairs = {name: (w[name].detach().numpy(), gradient.numpy()) for name, gradient in zip(names, gradients[1:])}
    values = {
        "w_pca { weighted: false }": components(inner, real, 0.99),
        "w_pca { weighted: false share: 0.8 }": components(inner, real, 0.8),
        "w_pca {}": components(inner, real, 0.99) * sum(each.numel() for each in w.values()),
        "synaptic_diversity {}": sum(np.linalg.norm(a, "nuc") * np.linalg.norm(b, "nuc")
                                     for name, (a, b) in pairs.items() if ".attention." in name),
        "synaptic_saliency {}": sum(np.abs(a * b).sum() for name, (a, b) in pairs.items() if ".ffn." in name),
        "head_confidence {}": confidence(shares, real),
        "activation_distance {}": distance(inner, real),
        "jacobian {}": covariance(jacobians),
        "jacobian { form: COSINE }": cosine(jacobians),
    }
    folder = pathlib.Path(__file__).parent
    tensors = {"weights/" + name: value.detach().float() for name, value in w.items()}
    tensors |= {"rows/ids": ids, "rows/segments": segments, "rows/mask": mask.float()}
    save_file(tensors, folder / "proxies.safetensors")
    golden = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__, "architecture": ARCHITECTURE, "classes": CLASSES,
              "values": {name: float(value) for name, value in values.items()}}
    (folder / "proxies.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
