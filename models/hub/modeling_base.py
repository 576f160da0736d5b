"""A student found by thimble, for transformers: AutoModel.from_pretrained(directory, trust_remote_code=True).

The encoder is BERT's (post-LayerNorm): an embedding, and layers of a mixer and one or more feed-forward blocks y = LayerNorm(x + f(x)).
Layers may work at a bottleneck's width between two linears, and a scale and shift may stand for LayerNorm (MobileBERT).
Below are the kinds of embeddings, mixers and blocks that this student has. Weights have the names that model.safetensors gives them.
"""
import functools
import re

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, QuestionAnsweringModelOutput, SequenceClassifierOutput

MASKED = -10000.0


class ThimbleConfig(PretrainedConfig):
    model_type = "thimble"

    def __init__(self, vocab_size=30522, max_position_embeddings=512, type_vocab_size=2, hidden_size=192, num_hidden_layers=0,
                 num_attention_heads=12, pooler_size=192, layer_norm_eps=1e-12, embedding="plain", embedding_size=192, blocks=(),
                 bottleneck_size=0, share_query_key=False, norm="layer_norm", position_table=True, **more):
        self.vocab_size, self.max_position_embeddings, self.type_vocab_size = vocab_size, max_position_embeddings, type_vocab_size
        self.hidden_size, self.num_hidden_layers, self.num_attention_heads = hidden_size, num_hidden_layers, num_attention_heads
        self.pooler_size, self.layer_norm_eps = pooler_size, layer_norm_eps
        self.embedding, self.embedding_size = embedding, embedding_size
        self.blocks = list(blocks)  # of each layer: its kinds of block and mixer (BERT's where unnamed), "stacks" and "width" of its blocks
        self.bottleneck_size, self.share_query_key, self.norm = bottleneck_size, share_query_key, norm  # size 0: none
        self.position_table = position_table
        super().__init__(**more)


class NoNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return x * self.weight + self.bias


def norm_of(config, width):
    return NoNorm(width) if config.norm == "no_norm" else nn.LayerNorm(width, eps=config.layer_norm_eps)


def block_width(config):
    """At which mixers and blocks work."""
    return config.bottleneck_size or config.hidden_size


def value_width(config):
    """What a mixer computes values from."""
    return config.hidden_size if config.share_query_key else block_width(config)


class NormedLinear(nn.Linear):
    """Norm of the linear of x, or of its sum with what is added."""

    def __init__(self, config, width, out):
        super().__init__(width, out)
        self.norm = norm_of(config, out)

    def forward(self, x, added=0):
        return self.norm(super().forward(x) + added)


class Grouped(nn.Module):
    """A linear of each group of channels; weight [out, in / groups]."""

    def __init__(self, inner, out, groups, bias=True):
        super().__init__()
        self.groups, self.weight = groups, nn.Parameter(torch.zeros(out, inner // groups))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x):
        y = torch.einsum("...gi,goi->...go", x.unflatten(-1, (self.groups, -1)), self.weight.unflatten(0, (self.groups, -1)))
        return y.flatten(-2) if self.bias is None else y.flatten(-2) + self.bias


class Monarch(Grouped):
    """Two block-diagonal factors, channels interleaved in between."""

    def __init__(self, inner, out, groups):
        narrow = min(inner, out)
        super().__init__(narrow, out, groups)
        self.inner = Grouped(inner, narrow, groups, bias=False)

    def forward(self, x):
        return super().forward(self.inner(x).unflatten(-1, (self.groups, -1, self.groups)).transpose(-3, -1).flatten(-3))


class Block(nn.Module):
    """norm(x + value(x)); of an expert, which has no norm of its own, value(x)."""
    reads_mask = False

    def __init__(self, config):
        super().__init__()
        self.norm = norm_of(config, block_width(config))

    def forward(self, x):
        return self.value(x) if self.norm is None else self.norm(x + self.value(x))


class Mixer(nn.Module):
    """mix makes a context [B, T, context]; none of it: tokens exchange nothing."""

    def __init__(self, config, context):
        super().__init__()
        width = block_width(config)
        self.out = nn.Linear(context, width) if context else None
        self.norm = norm_of(config, width)

    def forward(self, query_key, value, added, mask):
        context = self.mix(query_key, value, mask)
        return self.norm(added if context is None else added + self.out(context))


class Embedding(nn.Module):
    narrow = False  # tables and norm are as wide as the token table, and a linear `project` follows

    def __init__(self, config):
        super().__init__()
        hidden = config.embedding_size if self.narrow else config.hidden_size
        if config.embedding_size:
            self.token = nn.Parameter(torch.zeros(config.vocab_size, config.embedding_size))
        self.position = nn.Parameter(torch.zeros(config.max_position_embeddings, hidden)) if config.position_table else None
        self.segment = nn.Parameter(torch.zeros(config.type_vocab_size, hidden))
        self.norm = norm_of(config, hidden)

    def forward(self, ids, segments, mask):
        x = self.tokens(ids, mask)
        if self.position is not None:
            x = x + self.position[:ids.shape[1]]
        x = self.norm(x + functional.embedding(segments, self.segment))
        return self.project(x) if self.narrow else x


# KINDS


class Layer(nn.Module):
    def __init__(self, config, block):
        super().__init__()
        (kind, spec), = block.get("mixer", {None: {}}).items()
        self.mixer, mixer = MIXERS[kind]
        self.add_module(self.mixer, mixer(config, spec))
        ffn = next(kind for kind in FEED_FORWARDS if kind in block)
        experts = next((kind for kind in EXPERTS if kind in block), None)
        linear = functools.partial(Monarch if block["monarch"] else Grouped, groups=block["groups"]) if "groups" in block else nn.Linear

        def make(width):
            return FEED_FORWARDS[ffn](config, block[ffn], width, linear)

        def stacked(width):
            return EXPERTS[experts](config, block[experts], make, width) if experts else make(width)

        self.ffn = nn.ModuleList(stacked(block["width"]) for _ in range(block["stacks"]))
        if config.bottleneck_size:
            hidden, width = config.hidden_size, config.bottleneck_size
            self.bottleneck = nn.ModuleDict({"in": NormedLinear(config, hidden, width), "out": NormedLinear(config, width, hidden)})
            if config.share_query_key:
                self.bottleneck["qk"] = NormedLinear(config, hidden, width)
        self.narrow, self.share = bool(config.bottleneck_size), config.share_query_key

    def forward(self, entered, mask):
        x = self.bottleneck["in"](entered) if self.narrow else entered
        query_key, values = (self.bottleneck["qk"](entered), entered) if self.share else (x, x)
        x = getattr(self, self.mixer)(query_key, values, x, mask)
        for block in self.ffn:
            x = block(x, mask) if block.reads_mask else block(x)
        return self.bottleneck["out"](x, entered) if self.narrow else x


class Base(PreTrainedModel):
    config_class = ThimbleConfig

    def __init__(self, config):
        super().__init__(config)
        self.embedding = EMBEDDING(config)
        self.layer = nn.ModuleList(Layer(config, block) for block in config.blocks)

    def encode(self, input_ids, attention_mask, token_type_ids):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        states = [self.embedding(input_ids, segments, mask)]
        for layer in self.layer:
            states.append(layer(states[-1], mask))
        return states


class ThimbleModel(Base):
    _keys_to_ignore_on_load_unexpected = [r"^pooler\.", r"^head\."]

    def __init__(self, config):
        super().__init__(config)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, output_hidden_states=None, return_dict=None, **ignored):
        states = self.encode(input_ids, attention_mask, token_type_ids)
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None)


class ThimbleForSequenceClassification(Base):
    def __init__(self, config):
        super().__init__(config)
        self.pooler = nn.Linear(config.hidden_size, config.pooler_size)
        self.head = nn.Linear(config.pooler_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None, output_hidden_states=None, return_dict=None,
                **ignored):
        states = self.encode(input_ids, attention_mask, token_type_ids)
        logits = self.head(torch.tanh(self.pooler(states[-1][:, 0])))
        loss = None
        if labels is not None:
            regression = self.config.num_labels == 1
            loss = functional.mse_loss(logits.squeeze(-1), labels.to(logits.dtype)) if regression \
                else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=tuple(states) if output_hidden_states else None)


class ThimbleForQuestionAnswering(Base):
    def __init__(self, config):
        super().__init__(config)
        self.head = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, start_positions=None, end_positions=None,
                output_hidden_states=None, return_dict=None, **ignored):
        states = self.encode(input_ids, attention_mask, token_type_ids)
        start, end = self.head(states[-1]).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (functional.cross_entropy(start, start_positions) + functional.cross_entropy(end, end_positions)) / 2
        return QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end,
                                            hidden_states=tuple(states) if output_hidden_states else None)
