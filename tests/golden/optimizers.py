"""Writes optimizers.json: weights after 1, 10, 50 and 200 steps of came-pytorch and of torch's AdamW.

Start weights and gradients are integer hashes scaled by powers of two, exact in float32, so that tests/optim can make the
same numbers. Run: python tests/golden/optimizers.py
"""
import json
import pathlib
from importlib.metadata import version

import numpy as np
import torch
from came_pytorch import CAME

STEPS = 200
KEPT = (1, 10, 50, 200)
SHAPES = {"matrix": (6, 10), "tall": (37, 3), "wide": (2, 67), "vector": (12,)}


def hashed(key, n):
    """n numbers in [-0.5, 0.5), multiples of 2^-24."""
    mask = np.uint64(0xFFFFFFFF)
    x = (np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(key * 0x85EBCA6B & 0xFFFFFFFF)) & mask
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x7FEB352D)) & mask
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(0x846CA68B)) & mask
    x ^= x >> np.uint64(16)
    return ((x >> np.uint64(8)).astype(np.float64) - 2.0**23) * 2.0**-24


def start(tensor, shape):
    return torch.tensor(hashed(1000 + tensor, int(np.prod(shape))).reshape(shape), dtype=torch.float32)


def gradient(tensor, step, shape):
    """A drift plus noise, on scales that differ by row; row 1 of a matrix never has a gradient."""
    n = int(np.prod(shape))
    values = hashed(100003 * (tensor + 1) + step, n) + 0.25 * np.sign(hashed(2000 + tensor, n))
    columns = shape[1] if len(shape) == 2 else 1
    rows = np.arange(n) // columns
    values *= 2.0 ** -(rows % 4)
    if len(shape) == 2:
        values[rows == 1] = 0
    return torch.tensor(values.reshape(shape), dtype=torch.float32)


def came(lr, beta1, beta2, beta3, clip, decay):
    return lambda groups: CAME(
        [dict(params=p, weight_decay=decay if d else 0.0) for p, d in groups],
        lr=lr, betas=(beta1, beta2, beta3), clip_threshold=clip)


def adamw(lr, beta1, beta2, eps, decay):
    return lambda groups: torch.optim.AdamW(
        [dict(params=p, weight_decay=decay if d else 0.0) for p, d in groups], lr=lr, betas=(beta1, beta2), eps=eps)


RUNS = [
    ("came {learning_rate: 1e-3}", False, came(1e-3, 0.9, 0.999, 0.9999, 1.0, 0.01)),
    ("came {learning_rate: 1e-2 beta1: 0.8 beta2: 0.95 beta3: 0.99 clip_threshold: 0.5 weight_decay: 0.25}", True,
     came(1e-2, 0.8, 0.95, 0.99, 0.5, 0.25)),
    ("adamw {learning_rate: 1e-3}", False, adamw(1e-3, 0.9, 0.999, 1e-8, 0.01)),
    ("adamw {learning_rate: 1e-2 beta1: 0.8 beta2: 0.95 epsilon: 1e-4 weight_decay: 0.25}", True,
     adamw(1e-2, 0.8, 0.95, 1e-4, 0.25)),
]


def run(make, ramp, decayed):
    weights = [start(i, shape).requires_grad_() for i, shape in enumerate(SHAPES.values())]
    optimizer = make([(w, decayed) for w in weights])
    rate = optimizer.param_groups[0]["lr"]
    kept = {}
    for step in range(STEPS):
        for i, w in enumerate(weights):
            w.grad = gradient(i, step, tuple(w.shape))
        for group in optimizer.param_groups:
            group["lr"] = rate * ((step + 1) / STEPS if ramp else 1.0)
        optimizer.step()
        if step + 1 in KEPT:
            kept[str(step + 1)] = {name: [float(f"{v:.9g}") for v in w.detach().flatten().tolist()]
                                   for name, w in zip(SHAPES, weights)}
    return kept


def main():
    torch.set_num_threads(1)
    runs = [dict(optimizer=text, ramp=ramp, decay=decayed, weights=run(make, ramp, decayed))
            for text, ramp, make in RUNS for decayed in (True, False)]
    out = dict(made_by="tests/golden/optimizers.py",
               versions={name: version(name) for name in ("torch", "came-pytorch", "numpy")},
               shapes=SHAPES, steps=STEPS, runs=runs)
    text = json.dumps(out, separators=(",", ":")).replace('{"optimizer"', '\n{"optimizer"')
    pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
