# packages: numpy==2.4.6 scipy==1.17.1 torch==2.11.0 transformers==5.23.0
"""Prunes a fine-tuned BERT without training, by masks of heads and neurons: the peer of `thimble slice --speedup`.

    .deps/peers-venv/bin/python bench/peers/retraining_free.py --model TEACHER --task sst2 --data glue/ --speedup 1.5

Kwon et al., "A Fast Post-Training Pruning Framework for Transformers", NeurIPS 2022 (arXiv 2204.09656), after its description:

1. A mask of ones on every head (before the output linear) and every neuron of the feed-forward blocks (after GELU). I = mean over
   training rows of g g', g the gradient of a row's cross-entropy at the masks: row by row here (the authors' program: of batches).
2. Search: the masks that keep the most of the diagonal of I within the budget. All heads are ranked, all neurons are ranked, and
   every number of heads is tried with as many neurons as then fit. The authors' heads all cost the same; here those of the last
   layer cost less, and ranks are by importance per multiply-add.
3. Rearrangement: with as many units in a block as the search kept, those are exchanged greedily that lessen (1 - m)' I (1 - m), I
   of the block.
4. Tuning: block by block from the first, kept masks become the numbers with which the block's sum (residual included) is nearest
   to the unpruned model's in least squares, over real tokens: normal equations, LSMR on the change from one with damp = 1. A factor
   beyond 10 ends the tuning, as published. The authors' program leaves out the first layer's heads; here every block is tuned.

Multiply-adds are counted as `thimble slice` does (models/encoder/cost.h): linears, QK and PV of a row of --length tokens, neither
pooler nor head; of the last layer keys and values of all tokens, all else of [CLS] alone. The program computes no more than that
either, and tunes the last layer on [CLS]. The student is pruned for real: its linears are cut, the factors folded in.

Prints one line of JSON. --beside reads what `thimble predict --json` said of the same dev rows, and adds the difference in accuracy
(percentage points, this student's over that one's) with its standard error, paired over rows.
"""
import argparse
import dataclasses
import json
import math
import pathlib
import statistics
import time

import numpy
import torch
from scipy.sparse.linalg import lsmr
from torch.nn import functional as F
from transformers import AutoTokenizer, BertForSequenceClassification

# Folder, columns of the texts and of the label, names of labels that are not numbers.
TASKS = {"sst2": ("SST-2", (0,), 1, None), "mrpc": ("MRPC", (3, 4), 0, None),
         "qnli": ("QNLI", (1, 2), 3, ["entailment", "not_entailment"])}
LARGEST = 10.0  # of a factor
BATCH = 32


def read_rows(options, split, limit):
    """Texts, and labels as numbers; GLUE's files know no quoting."""
    folder, columns, label, names = TASKS[options.task]
    text = pathlib.Path(options.data, folder, split + ".tsv").read_text(encoding="utf-8-sig")
    cells = [line.rstrip("\r").split("\t") for line in text.rstrip("\n").split("\n")[1:]][:limit or None]
    return [[c[i] for i in columns] for c in cells], [names.index(c[label]) if names else int(c[label]) for c in cells]


def batches(tokenizer, texts, labels, length):
    """Rows of like length together: (row numbers, inputs, labels)."""
    encoded = tokenizer(*zip(*texts), truncation=True, max_length=length)
    order = sorted(range(len(texts)), key=lambda i: len(encoded["input_ids"][i]))
    for start in range(0, len(order), BATCH):
        rows = order[start:start + BATCH]
        yield rows, tokenizer.pad({k: [v[i] for i in rows] for k, v in encoded.items()}, return_tensors="pt"), \
            torch.tensor([labels[i] for i in rows])


@dataclasses.dataclass
class Layer:
    """What is computed of one layer: of all tokens, or of the first (`last`). Weights are [out, in]."""
    heads: int
    last: bool
    width: int  # of a head
    query: tuple
    key: tuple
    value: tuple
    out: tuple
    norm: torch.nn.Module
    up: tuple
    down: tuple
    block_norm: torch.nn.Module

    def context(self, x, mask):
        """[B, T, heads, width]; mask [B, T], true where a token is real."""
        def split(y):
            return y.unflatten(-1, (self.heads, self.width)).transpose(1, 2)
        asked = x[:, :1] if self.last else x
        if self.heads == 0:
            return x.new_zeros(*asked.shape[:2], 0, self.width)
        return F.scaled_dot_product_attention(split(F.linear(asked, *self.query)), split(F.linear(x, *self.key)),
                                              split(F.linear(x, *self.value)), mask[:, None, None]).transpose(1, 2)

    def mixed(self, x, context):
        return F.linear(context.flatten(-2), *self.out) + (x[:, :1] if self.last else x)

    def neurons(self, y):
        return F.gelu(F.linear(y, *self.up))

    def forward(self, x, mask, head_mask=None, neuron_mask=None):
        context = self.context(x, mask)
        y = self.norm(self.mixed(x, context if head_mask is None else context * head_mask[:, None, :, None]))
        act = self.neurons(y)
        return self.block_norm(F.linear(act if neuron_mask is None else act * neuron_mask[:, None], *self.down) + y)

    def pruned(self, head_mask, neuron_mask):
        heads, neurons = head_mask.nonzero().flatten(), neuron_mask.nonzero().flatten()
        rows = (heads[:, None] * self.width + torch.arange(self.width)).flatten()

        def cut(linear):
            return linear[0][rows], linear[1][rows]
        return dataclasses.replace(
            self, heads=len(heads), query=cut(self.query), key=cut(self.key), value=cut(self.value),
            out=(self.out[0][:, rows] * head_mask[heads].repeat_interleave(self.width), self.out[1]),
            up=(self.up[0][neurons], self.up[1][neurons]), down=(self.down[0][:, neurons] * neuron_mask[neurons], self.down[1]))


def layers_of(model):
    config = model.config
    if config.hidden_act != "gelu":
        raise SystemExit(f"retraining_free: hidden_act {config.hidden_act}; this program knows gelu")

    def linear(module):
        return module.weight.detach(), module.bias.detach()
    return [Layer(config.num_attention_heads, i + 1 == config.num_hidden_layers, config.hidden_size // config.num_attention_heads,
                  linear(each.attention.self.query), linear(each.attention.self.key), linear(each.attention.self.value),
                  linear(each.attention.output.dense), each.attention.output.LayerNorm, linear(each.intermediate.dense),
                  linear(each.output.dense), each.output.LayerNorm) for i, each in enumerate(model.bert.encoder.layer)]


def embed(model, inputs):
    return model.bert.embeddings(input_ids=inputs["input_ids"], token_type_ids=inputs["token_type_ids"]), \
        inputs["attention_mask"].bool()


def logits(model, layers, inputs, head_masks=None, neuron_masks=None):
    x, mask = embed(model, inputs)
    for i, layer in enumerate(layers):
        x = layer.forward(x, mask, head_masks and head_masks[i], neuron_masks and neuron_masks[i])
    return model.classifier(model.bert.pooler(x))


def right(model, layers, rows):
    """Of each row whether the answer is right."""
    found = {}
    with torch.inference_mode():
        for numbers, inputs, labels in rows:
            found.update(zip(numbers, (logits(model, layers, inputs).argmax(-1) == labels).tolist()))
    return [found[i] for i in range(len(found))]


def unit_costs(model, layers, length):
    """Multiply-adds of a head and of a neuron, by layer."""
    hidden, width = model.config.hidden_size, layers[0].width
    heads = [width * (2 * length * hidden + (1 if layer.last else length) * (2 * hidden + 2 * length)) for layer in layers]
    return heads, [2 * hidden * (1 if layer.last else length) for layer in layers]


def gradients(model, layers, rows):
    """Of each row's cross-entropy at the masks: by layer [rows, heads] and [rows, neurons]."""
    head_grads, neuron_grads = [[] for _ in layers], [[] for _ in layers]
    for _, inputs, labels in rows:
        # A mask of its own for each row: the gradient of the sum is that of every row.
        heads = [torch.ones(len(labels), layer.heads, requires_grad=True) for layer in layers]
        neurons = [torch.ones(len(labels), layer.up[0].shape[0], requires_grad=True) for layer in layers]
        loss = F.cross_entropy(logits(model, layers, inputs, heads, neurons), labels, reduction="sum")
        for store, found in zip(head_grads + neuron_grads, torch.autograd.grad(loss, heads + neurons)):
            store.append(found)
    return [torch.cat(g).double() for g in head_grads], [torch.cat(g).double() for g in neuron_grads]


def search(head_fisher, neuron_fisher, head_costs, neuron_costs, budget):
    """Masks by layer; fisher: diagonals by layer."""
    def ranked(fisher, costs):
        importance = torch.stack(fisher).flatten()
        cost = torch.tensor(costs, dtype=torch.double).repeat_interleave(len(fisher[0]))
        order = (importance / cost).argsort(descending=True, stable=True)
        zero = torch.zeros(1, dtype=torch.double)
        return order, torch.cat([zero, importance[order].cumsum(0)]), torch.cat([zero, cost[order].cumsum(0)])
    heads, head_kept, head_spent = ranked(head_fisher, head_costs)
    neurons, neuron_kept, neuron_spent = ranked(neuron_fisher, neuron_costs)
    best, sizes = -1.0, None
    for count in range(len(heads) + 1):
        left = budget - head_spent[count]
        if left < 0:
            break
        fit = int(torch.searchsorted(neuron_spent, left, right=True)) - 1
        kept = float(head_kept[count] + neuron_kept[fit])
        if kept > best:
            best, sizes = kept, (count, fit)
    masks = []
    for order, size, fisher in ((heads, sizes[0], head_fisher), (neurons, sizes[1], neuron_fisher)):
        mask = torch.zeros(len(order))
        mask[order[:size]] = 1
        masks.append(list(mask.view(len(fisher), -1)))
    return masks


def rearrange(mask, grads):
    """The same number of units of one block, exchanged greedily, least important of the kept first."""
    fisher = grads.T @ grads
    own = fisher.diagonal()
    lost = mask == 0
    pull = fisher @ lost.double()  # of each unit with all that are lost
    for unit in sorted(mask.nonzero().flatten().tolist(), key=lambda i: float(own[i])):
        lost[unit] = True
        pull += fisher[unit]
        # Without unit i of the lost, their quadratic form is less by 2 pull_i - own_i.
        back = int(torch.where(lost, own - 2 * pull, math.inf).argmin())
        lost[back] = False
        pull -= fisher[back]
    return (~lost).float()


def factors(gram, lacking):
    """Least squares on the change from one; lacking: units' products with what the sum lacks at ones. None: one is too large."""
    found = torch.from_numpy(1 + lsmr(gram.numpy(), lacking.numpy(), damp=1)[0]).float()
    return found if found.abs().max() <= LARGEST else None


def tune(model, layers, head_masks, neuron_masks, rows):
    """Changes the masks; returns how many blocks were tuned."""
    tuned, states = 0, []
    for _, inputs, _ in rows:
        x, mask = embed(model, inputs)
        states.append([x, x, mask])
    for i, layer in enumerate(layers):
        def real(state, mask):
            return state[:, 0] if layer.last else state[mask]
        heads, neurons = head_masks[i].nonzero().flatten(), neuron_masks[i].nonzero().flatten()
        small = layer.pruned(head_masks[i], neuron_masks[i])
        goals = []
        gram, target = torch.zeros(len(heads), len(heads), dtype=torch.double), torch.zeros(len(heads), dtype=torch.double)
        parts = small.out[0].unflatten(1, (len(heads), layer.width))  # [d, heads, width]
        for theirs, ours, mask in states:
            goal = layer.mixed(theirs, layer.context(theirs, mask))
            goals.append(goal)
            written = torch.einsum("nhw,dhw->hnd", real(small.context(ours, mask), mask), parts).flatten(1)
            residual = ours[:, :1] if layer.last else ours
            gram += (written @ written.T).double()
            lacking = real(goal - layer.out[1] - residual, mask).flatten() - written.sum(0)
            target += (written @ lacking).double()
        if len(heads):
            found = factors(gram, target)
            if found is None:
                break
            head_masks[i][heads] *= found
            small, tuned = layer.pruned(head_masks[i], neuron_masks[i]), tuned + 1
        products = (small.down[0].T @ small.down[0]).double()
        gram, target = torch.zeros_like(products), torch.zeros(len(neurons), dtype=torch.double)
        for (theirs, ours, mask), goal in zip(states, goals):
            teacher = layer.norm(goal)
            goal = F.linear(layer.neurons(teacher), *layer.down) + teacher
            y = layer.norm(small.mixed(ours, small.context(ours, mask)))
            act = real(small.neurons(y), mask)
            lacking = real(goal - y, mask) - F.linear(act, *small.down)
            gram += (act.T @ act).double()
            target += (act * (lacking @ small.down[0])).sum(0).double()
        if len(neurons):
            found = factors(products * gram, target)
            if found is None:
                break
            neuron_masks[i][neurons] *= found
            small, tuned = layer.pruned(head_masks[i], neuron_masks[i]), tuned + 1
        for state in states:
            state[0], state[1] = layer.forward(state[0], state[2]), small.forward(state[1], state[2])
    return tuned


def paired(ours, theirs):
    difference = [100.0 * (a - b) for a, b in zip(ours, theirs, strict=True)]
    return [round(statistics.mean(difference), 2), round(statistics.stdev(difference) / len(difference) ** 0.5, 2)]


def beside(path, labels):
    rows = [json.loads(line)["logits"] for line in pathlib.Path(path).read_text().splitlines()]
    return [max(range(len(row)), key=row.__getitem__) == label for row, label in zip(rows, labels, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of a BERT with a head of classes")
    parser.add_argument("--task", required=True, choices=list(TASKS))
    parser.add_argument("--data", required=True, help="GLUE directory")
    parser.add_argument("--speedup", type=float, default=1.5, help="so many times fewer multiply-adds")
    parser.add_argument("--rows", type=int, default=2048, help="first training rows, that gradients and tuning look at")
    parser.add_argument("--dev-rows", type=int, default=0, help="first dev rows; 0: all")
    parser.add_argument("--length", type=int, default=128, help="tokens of a row")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside", help="lines of `thimble predict --json` of the same dev rows")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = BertForSequenceClassification.from_pretrained(options.model, attn_implementation="eager").eval().requires_grad_(False)
    layers = layers_of(model)
    dev_texts, dev_labels = read_rows(options, "dev", options.dev_rows)
    dev = list(batches(tokenizer, dev_texts, dev_labels, options.length))
    with torch.inference_mode():
        difference = (model(**dev[0][1]).logits - logits(model, layers, dev[0][1])).abs().max()
    if difference > 1e-3:
        raise SystemExit(f"retraining_free: transformers' logits are {difference:.2g} from those computed here")

    start, cpu_start = time.perf_counter(), time.process_time()
    rows = list(batches(tokenizer, *read_rows(options, "train", options.rows), options.length))
    head_grads, neuron_grads = gradients(model, layers, rows)
    head_costs, neuron_costs = unit_costs(model, layers, options.length)
    whole = sum(layer.heads * h + layer.up[0].shape[0] * n for layer, h, n in zip(layers, head_costs, neuron_costs))
    head_masks, neuron_masks = search([g.square().sum(0) for g in head_grads], [g.square().sum(0) for g in neuron_grads],
                                      head_costs, neuron_costs, whole / options.speedup)
    head_masks = [rearrange(m, g) for m, g in zip(head_masks, head_grads)]
    neuron_masks = [rearrange(m, g) for m, g in zip(neuron_masks, neuron_grads)]
    plain = [layer.pruned(h, n) for layer, h, n in zip(layers, head_masks, neuron_masks)]
    with torch.inference_mode():
        tuned = tune(model, layers, head_masks, neuron_masks, rows)
    pruned = [layer.pruned(h, n) for layer, h, n in zip(layers, head_masks, neuron_masks)]
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start

    neurons = [layer.up[0].shape[0] for layer in pruned]
    cost = sum(layer.heads * h + size * n for layer, size, h, n in zip(pruned, neurons, head_costs, neuron_costs))
    teacher_right, plain_right, pruned_right = (right(model, each, dev) for each in (layers, plain, pruned))

    def percent(answers):
        return round(100.0 * statistics.mean(answers), 2)
    told = {"task": options.task, "speedup": options.speedup, "rows": sum(len(labels) for _, _, labels in rows),
            "dev_rows": len(dev_labels), "teacher": percent(teacher_right), "pruned": percent(pruned_right),
            "pruned_over_teacher": paired(pruned_right, teacher_right), "before_tuning": percent(plain_right),
            "tuned_blocks": tuned, "heads": [layer.heads for layer in pruned], "neurons": neurons, "multiply_adds": cost,
            "teacher_multiply_adds": whole, "ratio": round(whole / cost, 4), "pruned_for_real": True, "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu_seconds, 1)}
    if options.beside:
        other = beside(options.beside, dev_labels)
        told |= {"beside": percent(other), "over_beside": paired(pruned_right, other)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
