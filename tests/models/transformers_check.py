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
        spans = case.name.startswith("spans")
        kind = transformers.AutoModelForQuestionAnswering if spans else transformers.AutoModelForSequenceClassification
        logits_expected, last_expected = expected.pop("logits"), expected.pop("last")
        # Students bring their own modelling file.
        model, info = kind.from_pretrained(case, output_loading_info=True, trust_remote_code=True)
        config = transformers.AutoConfig.from_pretrained(case, trust_remote_code=True)
        assert config.architectures == [type(model).__name__], config.architectures
        encoder = transformers.AutoModel.from_pretrained(case, trust_remote_code=True)
        real = expected["attention_mask"].unsqueeze(-1)  # padding is anything
        with torch.inference_mode():
            output = model.eval()(**expected)
            logits = torch.stack([output.start_logits, output.end_logits], dim=-1) * real if spans else output.logits
            last = encoder.eval()(**expected).last_hidden_state * real
        if spans:
            logits_expected = logits_expected * real
        difference = max((logits - logits_expected).abs().max().item(), (last - last_expected).abs().max().item())
        # A weight that is missing or left over would be drawn anew or ignored with no more than a warning.
        complete = not info["missing_keys"] and not info["unexpected_keys"]
        labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
        good = complete and difference < 1e-5 and labels == (["start", "end"] if spans else ["no", "yes", "perhaps"])
        failures += not good
        print(f"{case.name}: difference {difference:.2g}, complete {complete}, labels {labels}: {'ok' if good else 'FAILED'}")
    sys.exit(1 if failures else 0)


main()
