"""Compares with transformers. Exit 77: a package, the teacher or the data are missing, nothing was tested.

    python3 tests/models/transformers_check.py students build/dev/tests/models/cases
        logits of the BERT directories that pretrained_test wrote
    python3 tests/models/transformers_check.py teacher build/dev/tests/models/model_states TEACHER DATA
        hidden states and attention scores of a teacher over 200 texts of GLUE and Wikipedia, 3 to 512 tokens
    python3 tests/models/transformers_check.py base build/dev/tests/models/model_states
        a random BERT of BERT-base's shape, written by transformers in shards and as pickles
"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    import huggingface_hub
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    skip_without(error)

TOLERANCE = 1e-5


def students(folder):
    failures = 0
    cases = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
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
        good = complete and difference < TOLERANCE and labels == (["start", "end"] if spans else ["no", "yes", "perhaps"])
        failures += not good
        print(f"{case.name}: difference {difference:.2g}, complete {complete}, labels {labels}: {'ok' if good else 'FAILED'}")
    return failures


def of_transformers(model, batch):
    """Hidden states, attention probabilities, and scores from the model's own queries and keys."""
    projections = {}
    hooks = []
    for number, layer in enumerate(model.encoder.layer):
        for part in ("query", "key"):
            hooks.append(getattr(layer.attention.self, part).register_forward_hook(
                lambda module, inputs, output, at=(number, part): projections.__setitem__(at, output)))
    with torch.inference_mode():
        out = model(input_ids=batch["ids"], token_type_ids=batch["segments"], attention_mask=batch["mask"],
                    output_hidden_states=True, output_attentions=True)
    for hook in hooks:
        hook.remove()
    heads = model.config.num_attention_heads
    width = model.config.hidden_size // heads

    def split(tensor):
        return tensor.unflatten(-1, (heads, width)).transpose(1, 2)

    scores = [split(projections[i, "query"]) @ split(projections[i, "key"]).transpose(2, 3) / width**0.5
              for i in range(len(model.encoder.layer))]
    return out.hidden_states, out.attentions, scores


def differences(program, directory, model, batch):
    """Largest over real tokens: hidden states, scores, probabilities. `model` computes in float32 or float64; so do we."""
    with tempfile.TemporaryDirectory() as folder:
        safetensors.torch.save_file(batch, folder + "/batch")
        kind = "double" if model.dtype == torch.float64 else "float"
        subprocess.run([program, directory, folder + "/batch", folder + "/out", kind], check=True)
        ours = safetensors.torch.load_file(folder + "/out")
    hidden, attention, scores = of_transformers(model, batch)
    assert all(ours[f"hidden.{i}"].dtype == state.dtype for i, state in enumerate(hidden))
    real = batch["mask"].bool()
    pairs = (real[:, None, :, None] & real[:, None, None, :])
    hidden_at = max((ours[f"hidden.{i}"] - state)[real].abs().max().item() for i, state in enumerate(hidden))
    scores_at = probabilities_at = 0
    for i, expected in enumerate(scores):
        got = ours[f"scores.{i}"]
        scores_at = max(scores_at, ((got - expected) * pairs).abs().max().item())
        probabilities = got.masked_fill(~real[:, None, None, :], -1e4).softmax(-1)
        probabilities_at = max(probabilities_at, ((probabilities - attention[i]) * pairs).abs().max().item())
    return hidden_at, scores_at, probabilities_at


def texts(data):
    """200 texts and pairs of them, short to long."""
    def rows(path, count, *columns):
        lines = (data / path).read_text(encoding="utf-8").splitlines()[1:]
        cells = [line.split("\t") for line in lines[:: max(1, len(lines) // count)][:count]]
        return [tuple(row[column] for column in columns) for row in cells]

    paragraphs = [line for line in (data / "corpus/wikitext-2/test.txt").read_text(encoding="utf-8").splitlines()
                  if len(line) > 200]
    return (rows("glue/SST-2/dev.tsv", 60, 0) + rows("glue/MRPC/dev.tsv", 60, 3, 4) + rows("glue/RTE/dev.tsv", 40, 1, 2) +
            [(line,) for line in paragraphs[:: len(paragraphs) // 40][:40]])


def teacher(program, directory, data):
    if not pathlib.Path(directory).is_dir() or not pathlib.Path(data).is_dir():
        print(f"skipped: no {directory} or no {data}")
        sys.exit(77)
    tokenizer = transformers.BertTokenizerFast(directory + "/vocab.txt", do_lower_case=True)
    model = transformers.BertModel.from_pretrained(directory, attn_implementation="eager").eval().float()
    encoded = [tokenizer(*row, truncation=True, max_length=512) for row in texts(pathlib.Path(data))]
    assert len(encoded) == 200, len(encoded)
    encoded.sort(key=lambda row: len(row["input_ids"]))
    worst = {"float32": [0, 0, 0], "float64": [0, 0, 0]}
    size = 20
    for begin in range(0, len(encoded), size):
        rows = encoded[begin:begin + size]
        length = max(len(row["input_ids"]) for row in rows)
        batch = {ours: torch.tensor([row[theirs] + [0] * (length - len(row[theirs])) for row in rows])
                 for ours, theirs in (("ids", "input_ids"), ("segments", "token_type_ids"), ("mask", "attention_mask"))}
        for kind, of_kind in worst.items():
            found = differences(program, directory, model.to(getattr(torch, kind)), batch)
            worst[kind] = [max(pair) for pair in zip(of_kind, found)]
    lengths = [len(row["input_ids"]) for row in encoded]
    print(f"{len(encoded)} texts, {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}")
    failures = 0
    for kind, (hidden, scores, probabilities) in worst.items():
        # Scores reach 44, where transformers' own float32 is 2e-5 away from its float64: they are compared in float64.
        good = max(hidden, probabilities) < TOLERANCE and scores < (TOLERANCE if kind == "float64" else 1e-4)
        failures += not good
        print(f"{kind}: largest difference of hidden states {hidden:.2g}, scores {scores:.2g}, probabilities {probabilities:.2g}: "
              f"{'ok' if good else 'FAILED'}")
    return failures


def base(program):
    torch.manual_seed(1)
    config = transformers.BertConfig(attn_implementation="eager")
    model = transformers.BertModel(config).eval()
    batch = {"ids": torch.randint(1000, 30000, (3, 40)), "segments": torch.randint(0, 2, (3, 40)),
             "mask": (torch.arange(40) < torch.tensor([[40], [7], [25]])).long()}

    def write(directory, pickles, shards):
        if not pickles:
            return model.save_pretrained(directory, max_shard_size=shards)
        config.save_pretrained(directory)
        return huggingface_hub.save_torch_state_dict(model.state_dict(), directory, safe_serialization=False,
                                                     max_shard_size=shards, filename_pattern="pytorch_model{suffix}.bin")

    failures = 0
    for pickles in (False, True):
        for shards in ("10GB", "100MB"):
            with tempfile.TemporaryDirectory() as directory:
                write(directory, pickles, shards)
                files = sorted(path.name for path in pathlib.Path(directory).iterdir())
                found = differences(program, directory, model, batch)
            good = max(found) < TOLERANCE
            failures += not good
            print(f"{', '.join(files)}: largest difference {max(found):.2g}: {'ok' if good else 'FAILED'}")
    return failures


torch.set_num_threads(1)
checks = {"students": students, "teacher": teacher, "base": base}
sys.exit(1 if checks[sys.argv[1]](*sys.argv[2:]) else 0)
