"""Makes tests/golden/activations.json: what transformers computes for each value of "hidden_act" that a model's config.json
may hold here, in float64, from -6 to 6.

    python3 tests/golden/activations.py tests/golden/activations.json

Versions stand in the file.
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers.activations import ACT2FN

NAMES = ["gelu", "gelu_python", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh", "relu"]


def main():
    inputs = torch.linspace(-6, 6, 49, dtype=torch.float64)
    pathlib.Path(sys.argv[1]).write_text(json.dumps({
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "script": "activations.py"},
        "inputs": inputs.tolist(),
        "outputs": {name: [float(f"{value:.12g}") for value in ACT2FN[name](inputs).tolist()] for name in NAMES},
    }) + "\n")


main()
