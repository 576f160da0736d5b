"""Makes structures.safetensors: feed-forward blocks with groups, Monarch matrices, routed and merged experts, by their definitions.

    .deps/test-venv/bin/python tests/golden/structures.py

Dense matrices with zeros beside their blocks, loops over tokens and rows; each case has its weights under our names ("CASE.layer.0.ffn.0..."),
x [2, 5, w], mask [2, 5] and f [2, 5, w] = f(x). Of "routed" also shares [2, 5, E] and the balance over real tokens.
"""
import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
torch.manual_seed(5)
found = {}


def draw(*sizes):
    return 0.5 * torch.randn(*sizes)


class Case:
    def __init__(self, name, width):
        self.name, self.width = name, width
        self.x, self.mask = self.put("x", torch.randn(2, 5, width)), self.put("mask", torch.tensor([[1.0] * 5, [1, 1, 1, 0, 0]]))

    def put(self, name, value):
        found[f"{self.name}.{name}"] = value.contiguous()
        return value

    def weight(self, name, *sizes):
        return self.put(f"layer.0.ffn.0.{name}", draw(*sizes))

    def linear(self, name, inner, out, bias=True):
        weight, bias = self.weight(name + ".weight", out, inner), self.weight(name + ".bias", out) if bias else 0
        return lambda x: x @ weight.T + bias

    def diagonal(self, name, inner, out, groups, bias=True):
        """torch.block_diag of the groups."""
        weight, bias = self.weight(name + ".weight", out, inner // groups), self.weight(name + ".bias", out) if bias else 0
        dense = torch.block_diag(*weight.chunk(groups))
        return lambda x: x @ dense.T + bias

    def monarch(self, name, inner, out, groups):
        """L P R, P a permutation matrix."""
        narrow = min(inner, out)
        first, last = self.diagonal(name + ".inner", inner, narrow, groups, bias=False), self.diagonal(name, narrow, out, groups)
        depth = narrow // groups**2
        permutation = torch.zeros(narrow, narrow)
        for a in range(groups):
            for b in range(depth):
                for c in range(groups):
                    permutation[(c * depth + b) * groups + a, (a * depth + b) * groups + c] = 1
        return lambda x: last(first(x) @ permutation.T)


case = Case("groups", 12)
up, gate, down = case.diagonal("up", 12, 6, 3), case.diagonal("gate", 12, 6, 3), case.diagonal("down", 6, 12, 3)
case.put("f", down(torch.nn.functional.silu(up(case.x)) * gate(case.x)))

case = Case("monarch", 12)
up, hidden, down = case.monarch("up", 12, 8, 2), case.monarch("hidden.0", 8, 8, 2), case.monarch("down", 8, 12, 2)
case.put("f", down(torch.relu(hidden(torch.relu(up(case.x))))))

case = Case("routed", 6)
router = case.linear("router", 6, 3)
gelu = torch.nn.GELU(approximate="tanh")


def block(scope, width):
    up, down = case.linear(scope + ".up", 6, width), case.linear(scope + ".down", width, 6)
    return lambda x: down(gelu(up(x)))


experts, shared = [block(f"expert.{e}", 5) for e in range(3)], block("shared", 4)
f, shares = torch.zeros(2, 5, 6), torch.zeros(2, 5, 3)
counts, sums = torch.zeros(3), torch.zeros(3)
for b in range(2):
    for t in range(5):
        x = case.x[b, t]
        shares[b, t] = torch.softmax(router(x), 0)
        chosen = int(shares[b, t].argmax())
        f[b, t] = shared(x) + 3 * shares[b, t, chosen] * experts[chosen](x)
        if case.mask[b, t]:
            counts[chosen] += 1
            sums += shares[b, t]
real = case.mask.sum()
case.put("f", f)
case.put("shares", shares)
case.put("balance", 3 * (counts / real * sums / real).sum())

case = Case("merged", 6)
gate = case.linear("gate", 6, 3, bias=False)
case.linear("gate.spread", 6, 3, bias=False)
narrow, wide = case.linear("adapter.in", 6, 1), case.linear("adapter.out", 1, 6)
stacks = {part: [(case.weight(f"expert.{e}.{part}.weight", *sizes), case.weight(f"expert.{e}.{part}.bias", sizes[0])) for e in range(3)]
          for part, sizes in (("up", (5, 6)), ("gate", (5, 6)), ("down", (6, 5)))}
f = torch.zeros(2, 5, 6)
for b in range(2):
    mean = case.x[b, :int(case.mask[b].sum())].mean(0)
    logits = gate(mean)
    best = logits.topk(2).indices
    gates = torch.zeros(3)
    gates[best] = torch.softmax(logits[best], 0)

    def merged(part, x):
        weight = sum(g * w for g, (w, _) in zip(gates, stacks[part]))
        bias = sum(g * c for g, (_, c) in zip(gates, stacks[part]))
        return weight @ x + bias

    for t in range(5):
        x = case.x[b, t] + wide(torch.relu(narrow(case.x[b, t])))
        f[b, t] = merged("down", gelu(merged("up", x)) * merged("gate", x))
case.put("f", f)
save_file(found, HERE / "structures.safetensors")
