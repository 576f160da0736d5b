"""Makes fuzz/corpus/ from small files of the repository, so that every format starts from something that can be read.
Findings are added by hand (corpus/NAME/found-*) and stay.

    python3 fuzz/make_corpus.py
"""

import io
import json
import pathlib
import struct
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/checkpoints"
OUT = ROOT / "fuzz/corpus"


def write(name, part, content):
    path = OUT / name / part
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def pickled(names):
    """As torch.save(state_dict), remembering (q, h) as it does."""
    out = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("
    for i, name in enumerate(names):
        rebuild = b"ctorch._utils\n_rebuild_tensor_v2\nq\x02" if i == 0 else b"h\x02"
        out += text(name) + rebuild + b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(i)) + text("cpu")
        out += b"K\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89h\x00)RtR"
    return out + b"u}" + text("_metadata") + b"h\x00)Rsb."


def archive(pickle, storages):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in [("m/data.pkl", pickle), ("m/byteorder", b"little")] + [
                (f"m/data/{i}", bytes(24)) for i in range(storages)]:
            file.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def tokenizer():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "f", "##er", "##ry", "."]
    return tokens, {
        "version": "1.0",
        "added_tokens": [{"id": 3, "content": "[SEP]", "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {token: i for i, token in enumerate(tokens)}},
    }


STUDY = """teacher { model: "teacher" hidden: 16 layers: 4 } data { directory: "data" task { sample {} } }
warmup { sliced {} }
space { hidden: 8 heads: 2 layers: 2 vocabulary: 50 positions: 16 ffn_hidden: 16 embedding { plain {} }
  layer { mixer { self_attention {} } ffn { expression { max_height: 4 } } } }
constraint { parameters { max: 100000 } }
recipe { optimizer { adamw { learning_rate: 1e-3 } } }
stage { name: "joint" vary: [STACKS, RATIO] filter { sliced_score {} keep: 0.5 }
  strategy { evolution { population: 4 tournament: 2 } } evaluator { untrained {} } trials: 10 round: 4 }
stage { name: "operators" vary: EXPRESSION from: "joint" evaluator { short_distillation {} } trials: 6 }
stage { name: "shape" vary: [RATIO, STACKS] from: "operators" evaluator { supernet {} } trials: 5 round: 2 }
"""
ARCHITECTURE = """a vocabulary: 50 positions: 20 hidden: 12 heads: 3 ffn_hidden: 30 embedding { trigram { width: 5 } }
layer { mixer { self_attention {} } ffn { expression: 'max(x,linear(gelu(linear(x,wb1)),wb2))' stacks: 2 ratio: '1/2' } }
"""
TASK = """t custom { train: "a.tsv" dev: "b.tsv" first: "s1" second: "s2" label: "y" kind: CLASSES labels: ["no", "yes"] }
"""


def main():
    shape = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    write("safetensors", "one", safetensors({"__metadata__": {"format": "pt"}, "w": shape}, bytes(24)))
    write("safetensors", "two", safetensors({"w": shape, "b": {"dtype": "BOOL", "shape": [2], "data_offsets": [24, 26]},
                                             "e": {"dtype": "I64", "shape": [0, 4], "data_offsets": [26, 26]}}, bytes(26)))
    write("pickle", "two", pickled(["a.weight", "b"]))
    with zipfile.ZipFile(GOLDEN / "bert_odd_bin/pytorch_model.bin") as file:
        write("pickle", "odd", file.read("pytorch_model/data.pkl"))
    write("archive", "two", archive(pickled(["a.weight", "b"]), 2))
    for name in ("bert_shards", "distilbert", "roberta", "mobilebert"):
        write("model_json", name, (GOLDEN / name / "config.json").read_bytes())
    write("model_json", "index", '{"metadata":{"total_size":8},"weight_map":{"a":"x.bin","b":"y.bin"}}')
    tokens, file = tokenizer()
    write("tokenizer", "json", json.dumps(file))
    write("tokenizer", "vocab", "\n".join(tokens) + '\n\0{"tokenizer_class":"BertTokenizer","do_lower_case":false,'
          '"added_tokens_decoder":{"4":{"content":"[MASK]","lstrip":false}}}')
    write("tokenizer", "directory", "\0".join([
        "\n".join(tokens), '{"do_lower_case":true,"image_token":"<i>","extra_special_tokens":["<e>"],'
        '"additional_special_tokens":[{"__type":"AddedToken","content":"[A]","lstrip":true,"rstrip":true}]}',
        '{"cls_token":"the","sep_token":{"content":"[SEP]","single_word":true,"normalized":true},"extra_special_tokens":["f"]}',
        '{"Ferry":10,"[E]":11}', json.dumps(file), '{"model_type":"bert","tokenizer_class":"BertTokenizer"}']))
    write("messages", "architecture", ARCHITECTURE)
    write("messages", "task", TASK)
    for path in sorted((ROOT / "configs/recipes").glob("*.textproto")):
        write("messages", path.stem, b"r" + path.read_bytes())
    write("study", "toy", STUDY)
    for path in sorted((ROOT / "configs").glob("*.textproto")):
        write("study", path.stem, path.read_bytes())
    write(".", "pickle.dict", "".join(f'"{word}"\n' for word in (
        "ctorch._utils\\x0a_rebuild_tensor_v2\\x0a", "ctorch._utils\\x0a_rebuild_parameter\\x0a", "ctorch\\x0aFloatStorage\\x0a",
        "ctorch\\x0aBoolStorage\\x0a", "ccollections\\x0aOrderedDict\\x0a", "\\x8a\\x08", "\\x80\\x02")))


main()
