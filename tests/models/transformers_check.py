"""Loads the BERT directories that pretrained_test wrote with transformers and compares logits. Exit 77: not installed.

    python3 tests/models/transformers_check.py build/dev/tests/models/cases
"""

import pathlib
import sys

try:
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)


def main():
    failures = 0
    cases = sorted(path for path in pathlib.Path(sys.argv[1]).iterdir() if path.is_dir())
    assert cases, "no models: run pretrained_test first"
    for case in cases:
        expected = safetensors.torch.load_file(case / "expected.safetensors")
        logits_expected, last_expected = expected.pop("logits"), expected.pop("last")
        # Students bring their own modelling file.
        model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
            case, output_loading_info=True, trust_remote_code=True)
        encoder = transformers.AutoModel.from_pretrained(case, trust_remote_code=True)
        with torch.inference_mode():
            logits = model.eval()(**expected).logits
            last = encoder.eval()(**expected).last_hidden_state * expected["attention_mask"].unsqueeze(-1)
        difference = max((logits - logits_expected).abs().max().item(), (last - last_expected).abs().max().item())
        # A weight that is missing or left over would be drawn anew or ignored with no more than a warning.
        complete = not info["missing_keys"] and not info["unexpected_keys"]
        labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
        good = complete and difference < 1e-5 and labels == ["no", "yes", "perhaps"]
        failures += not good
        print(f"{case.name}: difference {difference:.2g}, complete {complete}, labels {labels}: {'ok' if good else 'FAILED'}")
    sys.exit(1 if failures else 0)


main()
