# packages: numpy==2.4.6 torch==2.11.0 transformers==5.23.0 tokenizers==0.23.3 deap==1.4.4 lightgbm==3.3.5 hyperopt==0.3.0 scikit-learn==1.9.1 scipy==1.17.1 pandas==3.1.1 sentencepiece==0.2.3
"""One step of distilling the published EfficientBERT from a teacher of BERT-base's shape (random weights), batches of MNLI rows.

Peers: an eager PyTorch loop that pads each batch to its longest row, runs transformers' teacher, and casts to bfloat16 where the CPU
multiplies that; and, given a checkout of it, the public EfficientBERT code (github.com/cheneydon/efficient-bert), unchanged, which
pads to 128. Ours: one student with its teacher's pass, a cohort that shares one pass, and both with the teacher's outputs on disk.
"""
import contextlib
import itertools
import math
import os
import pathlib
import random
import sys
import types

import torch
from compare import Pair
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARCHITECTURE = ROOT / "configs/architectures/efficientbert.textproto"
# The same six layers in the public code's notation: linearN_R, N stacked blocks of ratio 1/R.
PUBLISHED = ["tanh(linear4_2(gelu(linear4_2(x,wb1)),wb2))", "elu(linear2_1(gelu(linear2_1(x,wb1)),wb2))",
             "sigmoid(linear1_2(relu(linear1_2(x,wb1)),wb2))", "linear2_2(gelu(linear2_2(max(x,tanh(x)),wb1)),wb2)",
             "linear1_2(relu(mul(linear1_2(x,wb1),x)),wb2)", "leaky_relu(linear2_3(gelu(linear2_3(x,wb1)),wb2))"]
LABELS = ["contradiction", "entailment", "neutral"]
LENGTH = 128
PACKAGES = {"tokenizers", "datasets", "utils", "models", "metrics"}  # of the public code, some named as others we use


def add_options(parser):
    parser.add_argument("--data", required=True, help="GLUE directory, with MNLI in it")
    parser.add_argument("--vocab", required=True, help="vocab.txt of BERT, uncased")
    parser.add_argument("--reference", help="checkout of cheneydon/efficient-bert")
    parser.add_argument("--cohort", type=int, default=8)
    parser.add_argument("--rows", type=int, default=128, help="that ours learns from in a round")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bf16", choices=["auto", "on", "off"], default="auto", help="both sides")


def bfloat16(options):
    if options.bf16 != "auto":
        return options.bf16 == "on"
    return "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()


class Block(nn.Module):
    """LayerNorm(x + f(x)), f one of the published expressions."""

    def __init__(self, hidden, width, inner, outer, before=None, gate=False):
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(hidden, width), nn.Linear(width, hidden), nn.LayerNorm(hidden)
        self.inner, self.outer, self.before, self.gate = inner, outer, before, gate

    def forward(self, x):
        y = self.up(self.before(x) if self.before else x)
        y = self.down(self.inner(y * x[..., :y.size(-1)] if self.gate else y))
        return self.norm(x + F.dropout(self.outer(y) if self.outer else y, 0.1, self.training))


class Layer(nn.Module):
    def __init__(self, hidden, heads, blocks):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(4))
        self.norm = nn.LayerNorm(hidden)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x, bias):
        query, key, value = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.size(-1))
        shares = F.dropout(torch.softmax(scores + bias, -1), 0.1, self.training)
        mixed = self.out((shares @ value).transpose(1, 2).flatten(2))
        return self.blocks(self.norm(x + F.dropout(mixed, 0.1, self.training))), scores


class Student(nn.Module):
    """EfficientBERT, 15.7M parameters."""

    def __init__(self, classes, teacher, hidden=540, width=128):
        super().__init__()
        def gelu(x):
            return F.gelu(x, approximate="tanh")

        def block(ratio, inner=gelu, outer=None, **more):
            return Block(hidden, hidden // ratio, inner, outer, **more)
        stacks = [[block(2, outer=torch.tanh) for _ in range(4)], [block(1, outer=F.elu) for _ in range(2)],
                  [block(2, torch.relu, torch.sigmoid)], [block(2, before=lambda x: torch.maximum(x, torch.tanh(x))) for _ in range(2)],
                  [block(2, torch.relu, gate=True)], [block(3, outer=F.leaky_relu) for _ in range(2)]]
        self.token, self.position, self.segment = nn.Embedding(30522, width), nn.Embedding(512, hidden), nn.Embedding(2, hidden)
        self.project, self.norm = nn.Linear(3 * width, hidden), nn.LayerNorm(hidden)
        self.layers = nn.ModuleList(Layer(hidden, 12, blocks) for blocks in stacks)
        self.pooler, self.head, self.fit_dense = nn.Linear(hidden, hidden), nn.Linear(hidden, classes), nn.Linear(hidden, teacher)

    def forward(self, input_ids, token_type_ids, attention_mask):
        tokens = self.token(input_ids)
        joined = torch.cat([F.pad(tokens[:, 1:], (0, 0, 0, 1)), tokens, F.pad(tokens[:, :-1], (0, 0, 1, 0))], -1)
        x = self.project(joined) + self.position.weight[:input_ids.size(1)] + self.segment(token_type_ids)
        x = F.dropout(self.norm(x), 0.1, self.training)
        bias = (1 - attention_mask[:, None, None]) * -10000.0
        states, scores = [x], []
        for layer in self.layers:
            x, of_layer = layer(x, bias)
            states.append(x)
            scores.append(of_layer)
        pooled = F.dropout(torch.tanh(self.pooler(x[:, 0])), 0.1, self.training)
        return self.head(pooled), states, scores


def rows_of(options, count):
    """(ids, segments, label) of the first rows."""
    from transformers import BertTokenizerFast
    with open(pathlib.Path(options.data) / "MNLI" / "train.tsv", encoding="utf-8", newline="\n") as lines:
        cells = [line.rstrip("\r\n").split("\t") for line in itertools.islice(lines, count + 1)]
    columns = [cells[0].index("sentence1"), cells[0].index("sentence2")]
    tokens = BertTokenizerFast(options.vocab)([c[columns[0]] for c in cells[1:]], [c[columns[1]] for c in cells[1:]],
                                              truncation=True, max_length=LENGTH)
    return list(zip(tokens["input_ids"], tokens["token_type_ids"], [LABELS.index(c[-1]) for c in cells[1:]]))


def eager(options):
    """A loop as one writes it first, then with dynamic padding, the fused optimizer and autocast."""
    from transformers import BertConfig, BertForSequenceClassification
    scores = []

    def attention(module, query, key, value, mask, scaling=None, dropout=0.0, **_):
        of_layer = query @ key.transpose(-1, -2) * scaling
        scores.append(of_layer)
        shares = torch.softmax(of_layer if mask is None else of_layer + mask, -1)
        return (shares @ value).transpose(1, 2).contiguous(), shares

    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask
    AttentionInterface.register("keeping_scores", attention)
    AttentionMaskInterface.register("keeping_scores", eager_mask)
    teacher = BertForSequenceClassification(BertConfig(num_labels=len(LABELS), attn_implementation="keeping_scores"))
    teacher = teacher.eval().requires_grad_(False)
    student = Student(len(LABELS), 768).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=4e-4, weight_decay=0.01, fused=True)
    rows = rows_of(options, 32 * options.batch)
    random.Random(1).shuffle(rows)
    cast = (lambda: torch.autocast("cpu", torch.bfloat16)) if bfloat16(options) else contextlib.nullcontext
    first = itertools.cycle(range(0, len(rows), options.batch))

    def step():
        part = rows[(begin := next(first)):begin + options.batch]
        width = max(len(ids) for ids, _, _ in part)
        def padded(lists):
            return torch.tensor([list(x) + [0] * (width - len(x)) for x in lists])
        batch = {"input_ids": padded(p[0] for p in part), "token_type_ids": padded(p[1] for p in part),
                 "attention_mask": padded([1] * len(p[0]) for p in part)}
        real = batch["attention_mask"].bool()
        with torch.no_grad(), cast():
            scores.clear()
            taught = teacher(**batch, output_hidden_states=True)
        with cast():
            logits, states, of_student = student(**batch)
            pairs = (real[:, :, None] & real[:, None])[:, None]
            loss = sum(F.mse_loss(s.where(pairs, 0.0), t.where(pairs, 0.0)) for s, t in zip(of_student, scores[1::2]))
            loss = loss + sum(F.mse_loss(student.fit_dense(s)[real], t[real]) for s, t in zip(states, taught.hidden_states[::2]))
            loss = loss - (torch.softmax(taught.logits, -1) * torch.log_softmax(logits, -1)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    def run():
        for _ in range(2):
            step()
        return 2 * options.batch

    return run


def public(options):
    """Its own train_epoch on one batch of its own loader; what it would do after the last batch of an epoch is left out."""
    for name, attribute in (("apex.parallel", "DistributedDataParallel"), ("thop", "profile")):
        sys.modules[name] = types.ModuleType(name)  # neither is used without a GPU
        setattr(sys.modules[name], attribute, None)
    sys.modules["apex"] = types.ModuleType("apex")
    sys.modules["apex"].parallel = sys.modules["apex.parallel"]
    hidden = [name for name in sys.modules if name.split(".")[0] in PACKAGES]
    kept = {name: sys.modules.pop(name) for name in hidden}
    sys.path.insert(0, options.reference)
    arguments, sys.argv = sys.argv, ["ffn_search.py", "--gpu_devices", "", "--lowercase"]
    try:
        import ffn_search as code
    finally:
        sys.argv = arguments
    code.use_gpu = False
    with open(pathlib.Path(options.data) / "MNLI" / "train.tsv", encoding="utf-8", newline="\n") as lines:
        total = sum(1 for _ in lines) - 1
    args = code.args
    args.data_dir, args.vocab_path, args.cache_dir = options.data, options.vocab, ""
    args.batch_size2, args.train_ratio2, args.val_ratio2 = options.batch, 8 * options.batch / total, options.batch / total
    args.loss_disp_freq = 10**9
    teacher_config, student_config = code.select_config("bert_base", True), code.select_config("auto_bert", True)
    teacher = code.select_model("bert_base", True, "mnli", return_hid=True)
    student = code.select_model("auto_bert", True, "mnli", return_hid=True)
    code.teacher_interval = teacher_config.num_layers // student_config.num_layers
    code.num_student_layers = student_config.num_layers
    code.tokenizer = code.select_tokenizer("bert_base", True, "mnli", options.vocab, args.max_seq_len, args.max_query_len)
    loader, _ = code.create_downstream_dataset_loaders()
    operators = code.register_custom_ops()
    trees = [code.gp.PrimitiveTree.from_string(text, operators) for text in PUBLISHED]
    expressions = [[code.gp.compile(tree, operators) for tree in trees], code.get_entire_linear_idx(trees)]
    optimizer = code.create_optimizer(student, args.optim_type, args.lr2, args.weight_decay, args.momentum)
    scheduler = code.create_scheduler(optimizer, args.sched_type, 10000, 1000)
    code.validate = lambda *_: 0.0
    batches = itertools.cycle(list(loader))
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.path.remove(options.reference)
    sys.modules.update(kept)

    def run():
        code.train_epoch(teacher, student, 1, optimizer, scheduler, [next(batches)], None, [1, None, True], ffn_arch=expressions)
        return options.batch

    return run


def prepare(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(42)
    many = f"{options.cohort} students"
    ours = [("one student, its teacher's pass", "one student"), (many + ", one pass", many),
            ("one student, teacher on disk", "one student, cached"), (many + ", teacher on disk", many + ", cached")]
    peers = [("PyTorch loop, " + ("bfloat16" if bfloat16(options) else "float32"), eager(options))]
    if options.reference:
        peers.append(("public EfficientBERT", public(options)))
    pairs = [Pair(measure, peer, label, run) for peer, run in peers for measure, label in ours]
    pairs += [Pair(f"{measure}: arithmetic", "square matrix product", label + ", arithmetic", theirs="matrix product")
              for measure, label in ours]
    arguments = ["--data", options.data, "--vocab", options.vocab, "--architecture", ARCHITECTURE, "--students", "1",
                 str(options.cohort), "--rows", str(options.rows), "--cached", "--threads", str(options.threads),
                 "--set", f"batching.size={options.batch}"]
    if options.bf16 != "auto":
        arguments += ["--set", "precision=" + ("BFLOAT16" if options.bf16 == "on" else "FLOAT32")]
    return [str(a) for a in arguments], pairs
