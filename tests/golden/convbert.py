"""Makes convbert.safetensors: a small ConvBertModel of transformers, its weights under our names, and its last state.

    .deps/test-venv/bin/python tests/golden/convbert.py

Rows without padding: its own code lets padding reach into the last tokens.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import ConvBertConfig, ConvBertModel

HERE = pathlib.Path(__file__).resolve().parent
LINEARS = {"attention.self.query": "span_convolution.query", "attention.self.key": "span_convolution.key",
           "attention.self.value": "span_convolution.value", "attention.self.conv_kernel_layer": "span_convolution.span.kernel",
           "attention.self.conv_out_layer": "span_convolution.span.value", "attention.output.dense": "span_convolution.out",
           "attention.output.LayerNorm": "span_convolution.norm", "intermediate.dense": "ffn.0.up", "output.dense": "ffn.0.down",
           "output.LayerNorm": "ffn.0.norm"}

torch.manual_seed(3)
config = ConvBertConfig(vocab_size=30, hidden_size=8, embedding_size=8, num_hidden_layers=2, num_attention_heads=4, intermediate_size=12,
                        conv_kernel_size=3, head_ratio=2, num_groups=1, max_position_embeddings=16, type_vocab_size=2, hidden_act="gelu",
                        layer_norm_eps=1e-12)
model = ConvBertModel(config).eval()
theirs = {name: (0.3 * torch.randn_like(value) if value.is_floating_point() else value) for name, value in model.state_dict().items()}
model.load_state_dict(theirs)
ours = {f"embedding.{new}": theirs[f"embeddings.{old}.weight"] for old, new in
        (("word_embeddings", "token"), ("position_embeddings", "position"), ("token_type_embeddings", "segment"))}
for part in ("weight", "bias"):
    ours[f"embedding.norm.{part}"] = theirs[f"embeddings.LayerNorm.{part}"]
for layer in range(config.num_hidden_layers):
    old, new = f"encoder.layer.{layer}.", f"layer.{layer}."
    for theirs_name, ours_name in LINEARS.items():
        for part in ("weight", "bias"):
            ours[f"{new}{ours_name}.{part}"] = theirs[f"{old}{theirs_name}.{part}"]
    span, separable = f"{new}span_convolution.span.", f"{old}attention.self.key_conv_attn_layer."
    ours[span + "neighbours.weight"] = theirs[separable + "depthwise.weight"].squeeze(1)
    ours[span + "key.weight"] = theirs[separable + "pointwise.weight"].squeeze(2)
    ours[span + "key.bias"] = theirs[separable + "bias"].squeeze(1)
ids = torch.randint(1, 30, (2, 9))
segments = (torch.arange(9) > 4).long().expand(2, 9)
with torch.no_grad():
    last = model(input_ids=ids, token_type_ids=segments, attention_mask=torch.ones_like(ids)).last_hidden_state
save_file({**{name: value.contiguous() for name, value in ours.items()}, "ids": ids.contiguous(), "segments": segments.contiguous(), "last": last},
          HERE / "convbert.safetensors")
