"""Writes distillation.json and distillation.safetensors: fifty steps of warm-up distillation in torch, float32, without dropout.

    python tests/golden/distillation.py

Needs torch, safetensors, xxhash. A random BERT teaches a random student of another width and depth, with searched feed-forward
blocks and a trigram embedding, on rows of different lengths: raw attention scores, hidden states through fit_dense, soft and hard
labels; torch's AdamW, linear schedule with warm-up, gradients clipped together. Models are written from the names in models/model.h,
losses from EfficientBERT's code (over real tokens only), the order of the rows from base/random.h and data/dataset.h.
"""
import json
import pathlib

import safetensors
import torch
import torch.nn.functional as F
import xxhash
from safetensors.torch import save_file

ROWS, BATCH, EPOCHS, SEED = 24, 6, 13, 5
VOCABULARY, POSITIONS, HEADS, CLASSES = 60, 24, 4, 3
RATE, DECAY, WARMUP, CLIP, EPSILON = 1e-3, 0.01, 0.1, 1.0, 1e-12
TEACHER = {"hidden": 32, "ffn": 64, "blocks": [("bert", 1, 64)] * 4}
STUDENT = {"hidden": 24, "trigram": 8, "pooler": 32, "blocks": [("tanh", 2, 12), ("mul", 1, 8)]}
ARCHITECTURES = {
    "teacher": f"vocabulary: {VOCABULARY} positions: {POSITIONS} hidden: 32 heads: {HEADS} ffn_hidden: 64 embedding {{ plain {{}} }}" +
               " layer { mixer { self_attention {} } ffn { expression: 'linear(gelu_erf(linear(x,wb1)),wb2)' } }" * 4,
    "student": f"vocabulary: {VOCABULARY} positions: {POSITIONS} hidden: 24 heads: {HEADS} pooler: 32 embedding {{ trigram {{ width: 8 }} }}"
               " layer { mixer { self_attention {} } ffn { expression: 'tanh(linear(gelu(linear(x,wb1)),wb2))' stacks: 2 ratio: '1/2' } }"
               " layer { mixer { self_attention {} } ffn { expression: 'linear(relu(mul(linear(x,wb1),x)),wb2)' ratio: '1/3' } }",
}
RECIPE = f"""precision: FLOAT32 epochs: {EPOCHS} seed: {SEED} clip_norm: {CLIP:g} batching {{ size: {BATCH} bucket_width: 0 max_length: {POSITIONS} }}
  objective {{ loss {{ attention_scores {{}} }} loss {{ hidden_states {{}} }} loss {{ soft_labels {{ temperature: 2 }} }}
              loss {{ hard_labels {{}} weight: 0.5 }} }}
  optimizer {{ adamw {{ learning_rate: {RATE} weight_decay: {DECAY} }} }} schedule {{ linear {{ warmup_fraction: {WARMUP} }} }}"""


class Random:
    MASK, STEP = 2**64 - 1, 0x9E3779B97F4A7C15

    def __init__(self, key):
        self.key, self.counter = key, 0

    @classmethod
    def mix(cls, z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & cls.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & cls.MASK
        return z ^ (z >> 31)

    @classmethod
    def seeded(cls, seed):
        return cls(cls.mix(seed ^ cls.STEP))

    def fork(self, name, index):
        return Random(self.mix(self.key ^ xxhash.xxh3_64_intdigest(name.encode(), seed=index)))

    def below(self, n):
        limit = n * (self.MASK // n)
        while True:
            self.counter += 1
            draw = self.mix((self.key + self.STEP * self.counter) & self.MASK)
            if draw < limit:
                return draw % n

    def shuffle(self, items):
        for i in range(len(items), 1, -1):
            j = self.below(i)
            items[i - 1], items[j] = items[j], items[i - 1]


def new_weights(spec, generator):
    h, w = spec["hidden"], {}

    def linear(name, rows, columns):
        w[name + ".weight"] = 0.15 * torch.randn(rows, columns, generator=generator)
        w[name + ".bias"] = 0.05 * torch.randn(rows, generator=generator)

    def norm(name):
        w[name + ".weight"] = 1 + 0.1 * torch.randn(h, generator=generator)
        w[name + ".bias"] = 0.05 * torch.randn(h, generator=generator)

    w["embedding.token"] = 0.3 * torch.randn(VOCABULARY, spec.get("trigram", h), generator=generator)
    w["embedding.position"] = 0.1 * torch.randn(POSITIONS, h, generator=generator)
    w["embedding.segment"] = 0.1 * torch.randn(2, h, generator=generator)
    if "trigram" in spec:
        linear("embedding.project", h, 3 * spec["trigram"])
    norm("embedding.norm")
    for i, (_, stacks, inner) in enumerate(spec["blocks"]):
        for part in ("query", "key", "value", "out"):
            linear(f"layer.{i}.attention.{part}", h, h)
        norm(f"layer.{i}.attention.norm")
        for s in range(stacks):
            linear(f"layer.{i}.ffn.{s}.up", inner, h)
            linear(f"layer.{i}.ffn.{s}.down", h, inner)
            norm(f"layer.{i}.ffn.{s}.norm")
    pooler = spec.get("pooler", h)
    linear("pooler", pooler, h)
    linear("head", CLASSES, pooler)
    if spec is STUDENT:
        linear("fit_dense", TEACHER["hidden"], h)
    return w


def forward(w, spec, ids, segments, mask):
    def linear(name, x):
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(name, x):
        return F.layer_norm(x, (x.shape[-1],), w[name + ".weight"], w[name + ".bias"], EPSILON)

    def block(kind, name, x):
        up = linear(name + ".up", x)
        if kind == "bert":
            return linear(name + ".down", F.gelu(up))
        if kind == "tanh":
            return torch.tanh(linear(name + ".down", F.gelu(up, approximate="tanh")))
        return linear(name + ".down", F.relu(up * x[..., :up.shape[-1]]))

    x = w["embedding.token"][ids]
    if "trigram" in spec:
        x = x * mask[..., None]
        zero = torch.zeros_like(x[:, :1])
        x = linear("embedding.project", torch.cat([torch.cat([x[:, 1:], zero], 1), x, torch.cat([zero, x[:, :-1]], 1)], -1))
    x = norm("embedding.norm", x + w["embedding.position"][:ids.shape[1]] + w["embedding.segment"][segments])
    hidden, scores = [x], []
    rows, length, h = x.shape
    for i, (kind, stacks, _) in enumerate(spec["blocks"]):
        query, key, value = (linear(f"layer.{i}.attention.{part}", x).view(rows, length, HEADS, h // HEADS).transpose(1, 2)
                             for part in ("query", "key", "value"))
        scores.append(query @ key.transpose(-2, -1) / (h // HEADS)**0.5)
        shares = torch.softmax(scores[-1] - 10000 * (1 - mask)[:, None, None], -1)
        x = norm(f"layer.{i}.attention.norm", x + linear(f"layer.{i}.attention.out", (shares @ value).transpose(1, 2).flatten(2)))
        for s in range(stacks):
            x = norm(f"layer.{i}.ffn.{s}.norm", x + block(kind, f"layer.{i}.ffn.{s}", x))
        hidden.append(x)
    return hidden, scores, linear("head", torch.tanh(linear("pooler", x[:, 0])))


def objective(student, w, teacher, mask, labels):
    real = mask.bool()
    pairs = (mask[:, :, None] * mask[:, None, :])[:, None]
    width = TEACHER["hidden"]
    attention = state = 0
    for i in range(len(STUDENT["blocks"])):
        attention = attention + (((student[1][i] - teacher[1][2 * i + 1])**2) * pairs).sum() / (pairs.sum() * HEADS)
    for i in range(len(STUDENT["blocks"]) + 1):
        projected = F.linear(student[0][i], w["fit_dense.weight"], w["fit_dense.bias"])
        state = state + ((projected - teacher[0][2 * i])[real]**2).sum() / (real.sum() * width)
    soft = F.kl_div(torch.log_softmax(student[2] / 2, 1), torch.log_softmax(teacher[2] / 2, 1), log_target=True,
                    reduction="batchmean") * 4
    return attention + state + soft + 0.5 * F.cross_entropy(student[2], labels)


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    rows = []
    for _ in range(ROWS):
        length = int(torch.randint(4, POSITIONS - 3, (), generator=generator))
        rows.append({"ids": torch.randint(1, VOCABULARY, (length,), generator=generator).tolist(),
                     "segments": [0] * (length // 2) + [1] * (length - length // 2),
                     "label": int(torch.randint(0, CLASSES, (), generator=generator))})
    teacher, student = new_weights(TEACHER, generator), new_weights(STUDENT, generator)
    tensors = {f"{who}/{name}": value.clone() for who, w in (("teacher", teacher), ("student", student)) for name, value in w.items()}
    for value in student.values():
        value.requires_grad_()
    decayed = [v for n, v in student.items() if not n.endswith(".bias") and ".norm." not in n]
    others = [v for n, v in student.items() if n.endswith(".bias") or ".norm." in n]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0}], lr=RATE)
    steps = EPOCHS * ROWS // BATCH
    warm = int(WARMUP * steps)
    losses, step = [], 0
    for epoch in range(EPOCHS):
        order = list(range(ROWS))
        Random.seeded(SEED).fork("epoch", epoch).shuffle(order)
        for begin in range(0, ROWS, BATCH):
            batch = [rows[i] for i in order[begin:begin + BATCH]]
            length = max(len(row["ids"]) for row in batch)
            padded = {key: torch.tensor([row[key] + [0] * (length - len(row[key])) for row in batch]) for key in ("ids", "segments")}
            mask = torch.tensor([[1.0] * len(row["ids"]) + [0.0] * (length - len(row["ids"])) for row in batch])
            with torch.no_grad():
                taught = forward(teacher, TEACHER, padded["ids"], padded["segments"], mask)
            loss = objective(forward(student, STUDENT, padded["ids"], padded["segments"], mask), student, taught, mask,
                             torch.tensor([row["label"] for row in batch]))
            optimizer.zero_grad()
            loss.backward()
            norm = torch.sqrt(sum(v.grad.double().square().sum() for v in student.values())).item()
            for value in student.values():
                value.grad *= min(1.0, CLIP / norm)
            for group in optimizer.param_groups:
                group["lr"] = RATE * ((step + 1) / warm if step < warm else (steps - step) / (steps - warm))
            optimizer.step()
            losses.append(loss.item())
            step += 1
    tensors.update({f"after/{name}": value.detach() for name, value in student.items()})
    folder = pathlib.Path(__file__).parent
    save_file(tensors, folder / "distillation.safetensors")
    means = [sum(losses[i:i + ROWS // BATCH]) / (ROWS // BATCH) for i in range(0, len(losses), ROWS // BATCH)]
    with (folder / "distillation.json").open("w") as file:
        json.dump({"versions": {"torch": torch.__version__, "safetensors": safetensors.__version__, "script": "distillation.py"},
                   "architectures": ARCHITECTURES, "recipe": RECIPE, "steps": steps, "rows": rows, "epoch_losses": means}, file)
        file.write("\n")
    print(steps, "steps", means[0], means[-1])


if __name__ == "__main__":
    main()
