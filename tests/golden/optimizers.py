"""Writes optimizers.json: weights after 1, 10, 50 and 200 steps of came-pytorch, of torch's AdamW, Adam, SGD and
Adafactor, and of LAMB, AdaHessian, SAM and FSAM written here in NumPy with double precision.

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
DEEPER = {"cube": (3, 4, 5), "kernel": (2, 3, 7, 4)}


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


def torch_rule(cls, lr, decay, **more):
    return lambda groups: cls([dict(params=p, weight_decay=decay if d else 0.0) for p, d in groups], lr=lr, **more)


def torch_adafactor(lr, decay, beta2_decay, d):
    # torch adds its first epsilon to nothing but bounds with it; neither matters for these gradients.
    return lambda groups: torch.optim.Adafactor(
        [dict(params=p, weight_decay=decay if k else 0.0) for p, k in groups], lr=lr, beta2_decay=beta2_decay, d=d)


class Lamb:
    """You et al., ICLR 2020, algorithm 2; where nothing is decayed, nothing is scaled."""

    def __init__(self, lr, beta1, beta2, eps, decay):
        self.lr, self.beta1, self.beta2, self.eps, self.decay = lr, beta1, beta2, eps, decay
        self.state = {}

    def step(self, i, w, g, factor, decayed):
        m, v, t = self.state.get(i, (np.zeros_like(w), np.zeros_like(w), 0))
        t += 1
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        self.state[i] = m, v, t
        u = (m / (1 - self.beta1**t)) / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        if not decayed:
            return w - self.lr * factor * u
        u = u + self.decay * w
        norms = np.linalg.norm(w), np.linalg.norm(u)
        return w - self.lr * factor * (norms[0] / norms[1] if min(norms) > 0 else 1.0) * u


class AdaHessian:
    """Yao et al., AAAI 2021, algorithm 1, with the Hessian's products given: see hessian()."""

    def __init__(self, lr, beta1, beta2, eps, decay, power):
        self.lr, self.beta1, self.beta2, self.eps, self.decay, self.power = lr, beta1, beta2, eps, decay, power
        self.state = {}

    def step(self, i, w, g, factor, decayed):
        h = np.abs(hessian(i, w.shape))
        if w.ndim == 2:
            h = np.broadcast_to(h.mean(axis=1, keepdims=True), w.shape)
        m, v, t = self.state.get(i, (np.zeros_like(w), np.zeros_like(w), 0))
        t += 1
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * h * h
        self.state[i] = m, v, t
        root = np.sqrt(v / (1 - self.beta2**t)) ** self.power + self.eps
        decay = self.decay if decayed else 0.0
        return w - self.lr * factor * (m / (1 - self.beta1**t) / root + decay * w)


class Sgd:
    def __init__(self, lr, momentum):
        self.lr, self.momentum, self.state = lr, momentum, {}

    def step(self, i, w, g, factor, decayed):
        self.state[i] = self.momentum * self.state.get(i, 0.0) + g
        return w - self.lr * factor * self.state[i]


def hessian(tensor, shape):
    """A product with the Hessian that float32 differences of coarse gradients tell exactly: multiples of 1/64."""
    n = int(np.prod(shape))
    return (np.round(hashed(3000 + tensor, n) * 64) / 64).reshape(shape)


def coarse(tensor, step, shape):
    return np.round(gradient(tensor, step, shape).double().numpy() * 1024) / 1024


def run_double(rule, ramp, decayed, sam=None):
    """As run(), in double precision. With sam = (rho, keep, refresh) the gradient has a slope of 1/2 in the weights."""
    weights = [start(i, shape).double().numpy() for i, shape in enumerate(SHAPES.values())]
    kept, masks = {}, None
    for step in range(STEPS):
        slope = 0.5 if sam else 0.0
        fixed = [coarse(i, step, w.shape) for i, w in enumerate(weights)]
        gradients = [f + slope * w for f, w in zip(fixed, weights)]
        if sam:
            rho, keep, refresh = sam
            norm = np.sqrt(sum((g * g).sum() for g in gradients))
            if step % refresh == 0:
                sizes = np.sort(np.concatenate([np.abs(g).ravel() for g in gradients]))[::-1]
                least = sizes[max(1, int(keep * sizes.size)) - 1]
                masks = [(np.abs(g) >= least) & (g != 0) for g in gradients]
            moved = [w + rho / norm * g * m for w, g, m in zip(weights, gradients, masks)]
            gradients = [f + slope * w for f, w in zip(fixed, moved)]
        factor = (step + 1) / STEPS if ramp else 1.0
        weights = [rule.step(i, w, g, factor, decayed) for i, (w, g) in enumerate(zip(weights, gradients))]
        if step + 1 in KEPT:
            kept[str(step + 1)] = {name: [float(f"{v:.9g}") for v in w.flatten()]
                                   for name, w in zip(SHAPES, weights)}
    return kept


def run(make, ramp, decayed, shapes):
    weights = [start(i, shape).requires_grad_() for i, shape in enumerate(shapes.values())]
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
                                   for name, w in zip(shapes, weights)}
    return kept


RUNS = [
    ("came {learning_rate: 1e-3}", False, came(1e-3, 0.9, 0.999, 0.9999, 1.0, 0.01)),
    ("came {learning_rate: 1e-2 beta1: 0.8 beta2: 0.95 beta3: 0.99 clip_threshold: 0.5 weight_decay: 0.25}", True,
     came(1e-2, 0.8, 0.95, 0.99, 0.5, 0.25)),
    ("adamw {learning_rate: 1e-3}", False, adamw(1e-3, 0.9, 0.999, 1e-8, 0.01)),
    ("adamw {learning_rate: 1e-2 beta1: 0.8 beta2: 0.95 epsilon: 1e-4 weight_decay: 0.25}", True,
     adamw(1e-2, 0.8, 0.95, 1e-4, 0.25)),
    ("adam {learning_rate: 1e-2 weight_decay: 0.1}", True,
     torch_rule(torch.optim.Adam, 1e-2, 0.1, betas=(0.9, 0.999), eps=1e-8)),
    ("sgd {learning_rate: 1e-2 weight_decay: 0.1}", True, torch_rule(torch.optim.SGD, 1e-2, 0.1, momentum=0.9)),
    ("sgd {learning_rate: 1e-2 momentum: 0.8 nesterov: true}", False,
     torch_rule(torch.optim.SGD, 1e-2, 0.0, momentum=0.8, nesterov=True)),
    ("adafactor {learning_rate: 1e-2}", False, torch_adafactor(1e-2, 0.0, -0.8, 1.0)),
    ("adafactor {learning_rate: 1e-1 decay_power: 0.5 clip_threshold: 1.5 weight_decay: 0.1}", True,
     torch_adafactor(1e-1, 0.1, -0.5, 1.5)),
]

DEEPER_RUNS = [
    ("came {learning_rate: 1e-2 factoring: LAST_DIMENSIONS}", True, came(1e-2, 0.9, 0.999, 0.9999, 1.0, 0.01)),
    ("came {learning_rate: 1e-3 clip_threshold: 0.5 weight_decay: 0.25 factoring: LAST_DIMENSIONS}", False,
     came(1e-3, 0.9, 0.999, 0.9999, 0.5, 0.25)),
]

# The gradients of these are rounded to multiples of 1/1024 (coarse()), the AdaHessian differences with them exact.
DOUBLE_RUNS = [
    ("lamb {learning_rate: 1e-2}", True, lambda: Lamb(1e-2, 0.9, 0.999, 1e-6, 0.01), None),
    ("lamb {learning_rate: 1e-3 beta1: 0.8 beta2: 0.95 epsilon: 1e-3 weight_decay: 0.25}", False,
     lambda: Lamb(1e-3, 0.8, 0.95, 1e-3, 0.25), None),
    ("adahessian {learning_rate: 1e-3 difference: 0.0009765625}", False,
     lambda: AdaHessian(1e-3, 0.9, 0.999, 1e-4, 0.0, 1.0), None),
    ("adahessian {learning_rate: 1e-3 epsilon: 1e-2 weight_decay: 0.25 hessian_power: 0.5 difference: 0.0009765625}",
     True, lambda: AdaHessian(1e-3, 0.9, 0.999, 1e-2, 0.25, 0.5), None),
    ("sgd {learning_rate: 1e-2} sam {}", False, lambda: Sgd(1e-2, 0.9), (0.05, 1.0, 100)),
    ("sgd {learning_rate: 1e-2} sam {rho: 0.2 keep: 0.1}", True, lambda: Sgd(1e-2, 0.9), (0.2, 0.1, 100)),
]


def main():
    torch.set_num_threads(1)
    runs = [dict(optimizer=text, ramp=ramp, decay=decayed, shapes=list(shapes.items()),
                 weights=run(make, ramp, decayed, shapes))
            for text, ramp, make, shapes in [(*r, SHAPES) for r in RUNS] + [(*r, DEEPER) for r in DEEPER_RUNS]
            for decayed in (True, False)]
    runs += [dict(optimizer=text, ramp=ramp, decay=decayed, coarse=True, slope=0.5 if sam else 0.0,
                  shapes=list(SHAPES.items()),
                  weights=run_double(make(), ramp, decayed, sam))
             for text, ramp, make, sam in DOUBLE_RUNS for decayed in (True, False)]
    out = dict(made_by="tests/golden/optimizers.py",
               versions={name: version(name) for name in ("torch", "came-pytorch", "numpy")},
               steps=STEPS, runs=runs)
    text = json.dumps(out, separators=(",", ":")).replace('{"optimizer"', '\n{"optimizer"')
    pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
