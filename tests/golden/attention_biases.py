"""Makes attention_biases.safetensors: what position biases and convolutions add to attention's scores.

    .deps/test-venv/bin/python tests/golden/attention_biases.py

Slopes of ALiBi for 1 to 16 and 20 heads; a BertModel of transformers, its position table zero, with ALiBi added to its mask; and layers
by torch's Conv2d and the papers' formulas, distances both ways, one row padded. Weights have our names.
"""
import math
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertModel

HERE = pathlib.Path(__file__).resolve().parent
HEADS, WIDTH, LENGTH, CHANNELS, KERNEL = 3, 12, 6, 4, 3


def slopes(heads):
    if math.log2(heads).is_integer():
        start = 2 ** (-2 ** -(math.log2(heads) - 3))
        return [start * start ** i for i in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return slopes(below) + slopes(2 * below)[0::2][:heads - below]


def distances(length):
    return torch.tensor([[abs(i - j) for j in range(length)] for i in range(length)], dtype=torch.float32)


def alibi(heads, length):
    return -torch.tensor(slopes(heads)).view(-1, 1, 1) * distances(length)


def of_bert():
    torch.manual_seed(4)
    config = BertConfig(vocab_size=30, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=10,
                        max_position_embeddings=16, type_vocab_size=2, attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=False).eval()
    theirs = {name: 0.6 * torch.randn_like(value) + ("LayerNorm.weight" in name) if value.is_floating_point() else value
              for name, value in model.state_dict().items()}
    theirs["embeddings.position_embeddings.weight"].zero_()
    model.load_state_dict(theirs)
    ids, segments = torch.randint(1, 30, (2, 7)), (torch.arange(7) > 3).long().expand(2, 7)
    mask = torch.ones(2, 7)
    mask[1, 4:] = 0
    added = alibi(HEADS, 7) + ((1 - mask) * -10000.0)[:, None, None, :]
    with torch.no_grad():
        last = model(input_ids=ids, token_type_ids=segments, attention_mask=added).last_hidden_state
        other = model(input_ids=ids, token_type_ids=segments, attention_mask=added - alibi(HEADS, 7)).last_hidden_state
    changed = (last - other).abs().max().item()
    assert changed > 1e-2, f"the bias changes {changed}"
    found = {"ids": ids, "segments": segments, "mask": mask, "last": last,
             "embedding.token": theirs["embeddings.word_embeddings.weight"],
             "embedding.segment": theirs["embeddings.token_type_embeddings.weight"]}
    names = {"attention.self.query": "attention.query", "attention.self.key": "attention.key", "attention.self.value": "attention.value",
             "attention.output.dense": "attention.out", "attention.output.LayerNorm": "attention.norm", "intermediate.dense": "ffn.0.up",
             "output.dense": "ffn.0.down", "output.LayerNorm": "ffn.0.norm"}
    for part in ("weight", "bias"):
        found[f"embedding.norm.{part}"] = theirs[f"embeddings.LayerNorm.{part}"]
        for layer in range(2):
            for old, new in names.items():
                found[f"layer.{layer}.{new}.{part}"] = theirs[f"encoder.layer.{layer}.{old}.{part}"]
    return found


def kerple(power):
    scale, rate = torch.tensor([0.7, 0.001, 1.3]), torch.tensor([0.4, 0.9, 2.6 if power else 0.002])
    p, a = scale.clamp(min=0.01).view(-1, 1, 1), rate.clamp(min=0.01).view(-1, 1, 1)
    d = distances(LENGTH)
    maps = -p * d ** a.clamp(max=2) if power else -p * torch.log(1 + a * d)
    return {"kerple.scale": scale, "kerple.rate": rate}, maps.unsqueeze(0)


def fire(lengths, threshold):
    # A threshold of few tokens, so that the farthest token matters.
    rate, multiplier, hidden, last = torch.tensor([-0.4]), torch.tensor([threshold / 512]), nn.Linear(1, 5), nn.Linear(5, HEADS)
    c, maps = rate.abs(), []
    for length in lengths:
        row = torch.zeros(HEADS, LENGTH, LENGTH)
        for i in range(length):
            farthest = torch.maximum(torch.tensor([float(max(i, length - 1 - i))]), 512 * multiplier)
            for j in range(LENGTH):
                share = torch.log(c * abs(i - j) + 1) / (torch.log(c * farthest + 1) + 1e-6)
                row[:, i, j] = last(torch.relu(hidden(share)))
        maps.append(row)
    weights = {"fire.rate": rate, "fire.threshold": multiplier, "fire.hidden.weight": hidden.weight, "fire.hidden.bias": hidden.bias,
               "fire.last.weight": last.weight, "fire.last.bias": last.bias}
    return weights, torch.stack(maps)


def convolved(scores, bias, mask):
    """DAPE V2's, heads of scores and bias as channels, zero where a key is padding."""
    real, inputs = mask[:, None, None, :], HEADS * (1 if bias is None else 2)
    first = nn.Conv2d(inputs, CHANNELS, (1, KERNEL), padding=(0, KERNEL // 2))
    second = nn.Conv2d(CHANNELS, HEADS, (1, KERNEL), padding=(0, KERNEL // 2))
    stacked = scores if bias is None else torch.cat([scores, bias.expand_as(scores)], 1)
    added = second(nn.functional.leaky_relu(first(stacked * real)) * real)
    weights = {"convolution.scores.weight": first.weight[:, :HEADS].flatten(1), "convolution.scores.bias": first.bias,
               "convolution.last.weight": second.weight.flatten(1), "convolution.last.bias": second.bias}
    if bias is not None:
        weights["convolution.bias_maps.weight"] = first.weight[:, HEADS:].flatten(1)
    return weights, scores + added + (0 if bias is None else bias)


def layer(maps, weights, convolution):
    mask = torch.ones(2, LENGTH)
    mask[1, 4:] = 0
    x = torch.randn(2, LENGTH, WIDTH)
    found = {"mask": mask, "x": x}
    linears = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
    for name, linear in linears.items():
        nn.init.normal_(linear.weight, std=0.5)
        weights = {**weights, f"{name}.weight": linear.weight, f"{name}.bias": linear.bias}
    query, key, value = (linears[name](x).view(2, LENGTH, HEADS, -1).transpose(1, 2) for name in ("query", "key", "value"))
    scores = query @ key.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)
    if convolution:
        own, scores = convolved(scores, maps, mask)
        weights = {**weights, **own}
    else:
        scores = scores + maps
    shares = (scores + ((1 - mask) * -10000.0)[:, None, None, :]).softmax(-1)
    found["scores"], found["context"] = scores, (shares @ value).transpose(1, 2).flatten(2)
    return {**found, **{f"layer.0.attention.{name}": weight for name, weight in weights.items()}}


torch.manual_seed(5)
cases = {"bert": of_bert()}
for convolution in (False, True):
    end = "_convolution" if convolution else ""
    cases["alibi" + end] = layer(alibi(HEADS, LENGTH).unsqueeze(0), {}, convolution)
    for power in (False, True):
        weights, maps = kerple(power)
        cases["kerple_" + ("power" if power else "log") + end] = layer(maps, weights, convolution)
    for threshold in (3, 40):
        weights, maps = fire((LENGTH, 4), threshold)
        cases[f"fire_{threshold}{end}"] = layer(maps, weights, convolution)
cases["convolution"] = layer(None, {}, True)
tensors = {f"{case}/{name}": tensor.detach().contiguous() for case, found in cases.items() for name, tensor in found.items()}
for heads in (*range(1, 17), 20):
    tensors[f"slopes/{heads}"] = torch.tensor(slopes(heads))
save_file(tensors, HERE / "attention_biases.safetensors")
