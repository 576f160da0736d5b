"""Makes tests/golden/checkpoints/: tiny random models as transformers and PyTorch write them, one directory each, with
what transformers computes for three rows of tokens in expected.json.

    HF_HUB_OFFLINE=1 python3 tests/golden/checkpoints.py tests/golden/checkpoints

Versions stand in each expected.json. Run again, only the versions and the last digits change.
"""

import json
import pathlib
import shutil
import sys

import huggingface_hub
import torch
import transformers

LENGTHS = [4, 9, 6]
VOCABULARY = 24
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
BERT = transformers.BertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, layer_norm_eps=1e-7, num_labels=3,
                               id2label={0: "no", 1: "yes", 2: "perhaps"}, **SIZES)
DISTILBERT = transformers.DistilBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, dim=8, n_layers=2, n_heads=2,
                                           hidden_dim=16, num_labels=3)
ROBERTA = transformers.RobertaConfig(vocab_size=VOCABULARY, max_position_embeddings=14, type_vocab_size=1, num_labels=3,
                                     layer_norm_eps=1e-5, **SIZES)
MOBILEBERT = transformers.MobileBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, num_labels=3, intra_bottleneck_size=6,
                                           embedding_size=5, num_feedforward_networks=3, **SIZES)
MOBILEBERT_TINY = transformers.MobileBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, intra_bottleneck_size=4,
                                                embedding_size=5, num_feedforward_networks=2, use_bottleneck_attention=True,
                                                trigram_input=False, normalization_type="layer_norm", layer_norm_eps=1e-5, **SIZES)
MOBILEBERT_UNPOOLED = transformers.MobileBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, use_bottleneck=False,
                                                    embedding_size=8, trigram_input=False, num_feedforward_networks=2,
                                                    classifier_activation=False, **SIZES)

ELECTRA = transformers.ElectraConfig(vocab_size=VOCABULARY, max_position_embeddings=12, embedding_size=5, layer_norm_eps=1e-7,
                                     num_labels=3, **SIZES)
CONVBERT = transformers.ConvBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, embedding_size=5, conv_kernel_size=3,
                                       num_groups=2, head_ratio=2, layer_norm_eps=1e-7, num_labels=3, **SIZES)
CONVBERT_WIDE = transformers.ConvBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, embedding_size=8, conv_kernel_size=5,
                                            head_ratio=2, **SIZES)


def shake(model):
    """Weights well away from zero, biases too, so that every part of the model matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        if model.config.model_type == "mobilebert":  # there padding is a neighbour
            model.get_input_embeddings().weight[model.config.pad_token_id] = 0
    return model.eval()


def batch(pad, pairs):
    ids = torch.full((len(LENGTHS), max(LENGTHS)), pad)
    mask, segments = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(3, VOCABULARY, (length,))
        mask[row, :length] = 1
        if pairs:
            segments[row, length // 2:length] = 1
    return ids, segments, mask


def rounded(tensor):
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def expected(model, kind, unused, logits):
    pairs = kind not in ("distilbert", "roberta")
    ids, segments, mask = batch(model.config.pad_token_id, pairs)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if pairs:
        inputs["token_type_ids"] = segments
    with torch.inference_mode():
        last = getattr(model, kind)(**inputs).last_hidden_state
        output = model(**inputs)
        if kind == "convbert":  # there padding is a neighbour: each row by itself
            for row, length in enumerate(LENGTHS):
                own = {name: value[row:row + 1, :length] for name, value in inputs.items()}
                last[row, :length] = getattr(model, kind)(**own).last_hidden_state[0]
    values = None
    if logits == "spans":
        values = torch.stack([output.start_logits, output.end_logits], -1)
    elif logits == "classes":
        values = output.logits
    return {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "script": "checkpoints.py"},
        "ids": ids.tolist(), "segments": segments.tolist(), "lengths": LENGTHS,
        "last": rounded(last), "logits": None if values is None else rounded(values), "unused": sorted(unused),
        # of every token, a score for each word of the vocabulary
        **({"words": rounded(output.logits)} if isinstance(model, transformers.BertForMaskedLM) else {}),
    }


def save_safetensors(model, directory):
    model.save_pretrained(directory)


def save_safetensors_shards(model, directory):
    model.save_pretrained(directory, max_shard_size="4KB")


def save_bin(model, directory):
    model.config.save_pretrained(directory)
    torch.save(model.state_dict(), directory / "pytorch_model.bin")


def save_bin_shards(model, directory):
    model.config.save_pretrained(directory)
    huggingface_hub.save_torch_state_dict(model.state_dict(), directory, safe_serialization=False, max_shard_size="4KB",
                                          filename_pattern="pytorch_model{suffix}.bin")


def save_odd_bin(model, directory):
    """Parameters instead of tensors, columns first, and all biases in one storage."""
    model.config.save_pretrained(directory)
    state = model.state_dict()
    biases = [name for name, tensor in state.items() if name.endswith("bias")]
    arena = torch.cat([state[name] for name in biases])
    at = 0
    for name, tensor in state.items():
        if name in biases:
            state[name] = arena[at:at + len(tensor)]
            at += len(tensor)
        elif tensor.dim() == 2:
            state[name] = torch.nn.Parameter(tensor.t().contiguous().t())
    torch.save(state, directory / "pytorch_model.bin")


def save_half(model, directory):
    model.config.save_pretrained(directory)
    torch.save({name: tensor.half() for name, tensor in model.state_dict().items()}, directory / "pytorch_model.bin")


def names(model, *prefixes):
    return [name for name in model.state_dict() if name.startswith(prefixes)]


def main():
    torch.set_num_threads(1)
    root = pathlib.Path(sys.argv[1])
    t = transformers
    # directory, model, base, how saved, prefixes of what is unused, logits
    cases = [
        ("bert_shards", t.BertForSequenceClassification, BERT, "bert", save_safetensors_shards, (), "classes"),
        ("bert_bin", t.BertForSequenceClassification, BERT, "bert", save_bin, (), "classes"),
        ("bert_bin_shards", t.BertForMaskedLM, BERT, "bert", save_bin_shards, ("cls.",), None),
        ("bert_odd_bin", t.BertForQuestionAnswering, BERT, "bert", save_odd_bin, (), "spans"),
        ("bert_half_bin", t.BertForTokenClassification, BERT, "bert", save_half, ("classifier.",), None),
        ("distilbert", t.DistilBertForSequenceClassification, DISTILBERT, "distilbert", save_safetensors,
         ("pre_classifier.", "classifier."), None),
        ("distilbert_spans_bin", t.DistilBertForQuestionAnswering, DISTILBERT, "distilbert", save_bin, (), "spans"),
        ("roberta", t.RobertaForSequenceClassification, ROBERTA, "roberta", save_safetensors, (), "classes"),
        ("roberta_masked_bin", t.RobertaForMaskedLM, ROBERTA, "roberta", save_bin, ("lm_head.",), None),
        ("mobilebert", t.MobileBertForSequenceClassification, MOBILEBERT, "mobilebert", save_safetensors, (), "classes"),
        ("mobilebert_tiny_bin", t.MobileBertForQuestionAnswering, MOBILEBERT_TINY, "mobilebert", save_bin,
         tuple(f"mobilebert.encoder.layer.{i}.bottleneck.attention." for i in range(2)), "spans"),
        ("mobilebert_unpooled", t.MobileBertForSequenceClassification, MOBILEBERT_UNPOOLED, "mobilebert", save_safetensors,
         ("classifier.", "mobilebert.embeddings.embedding_transformation."), None),
        ("electra", t.ElectraForSequenceClassification, ELECTRA, "electra", save_safetensors, ("classifier.",), None),
        ("electra_spans_bin", t.ElectraForQuestionAnswering, ELECTRA, "electra", save_bin, (), "spans"),
        ("convbert", t.ConvBertForSequenceClassification, CONVBERT, "convbert", save_safetensors, ("classifier.",), None),
        ("convbert_masked_bin", t.ConvBertForMaskedLM, CONVBERT_WIDE, "convbert", save_bin,
         ("generator_predictions.", "generator_lm_head."), None),
    ]
    shutil.rmtree(root, ignore_errors=True)
    for number, (name, kind, config, base, save, unused, logits) in enumerate(cases):
        torch.manual_seed(number)
        directory = root / name
        directory.mkdir(parents=True)
        # qa_outputs has as many outputs as there are labels.
        labels = {} if logits != "spans" else {"num_labels": 2}
        derived = "true_hidden_size"  # of MobileBERT's configuration: it would stand in the way of the rest
        given = {key: value for key, value in config.to_dict().items() if key != derived}
        model = shake(kind(type(config)(**{**given, **labels})))
        if save is save_half:
            model = model.half().float()
        save(model, directory)
        (directory / "generation_config.json").unlink(missing_ok=True)
        (directory / "expected.json").write_text(
            json.dumps(expected(model, base, names(model, *unused) if unused else [], logits), separators=(",", ":")) + "\n")
        if name == "roberta_masked_bin":
            torch.save(model.state_dict(), root / "before_1_6.bin", _use_new_zipfile_serialization=False)


main()
