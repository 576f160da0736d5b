# packages: numpy==2.4.6 torch==2.11.0 deap==1.4.4 scikit-learn==1.9.1 scipy==1.17.1 pandas==3.1.1 sentencepiece==0.2.3 regex==2026.11.19 tqdm==4.70.1
"""W-PCA's own program (github.com/ra225/W-PCA, read at 571d469) on candidates of the same sizes, beside `thimble bench w_pca`.

    script/compare-peers w_pca --checkout W-PCA/ --data glue/ --vocab vocab.txt [--rows 200] [--threads 1]

The checkout is run as it is: its supernet of 12 layers, its rows of MNLI padded to 128 tokens, its own forward pass with the PCA of
each block. Replaced from outside: packages that nothing here uses (apex, thop, lightgbm, hyperopt), blocks that its search space does not have, and a
call of weight_norm without arguments, which keeps the release from being imported. Blocks are BERT's six (the space's six MobileBERT
blocks are cheaper); `--heads-apart` leaves out what the program computes and drops (similarities between heads). Ours sees the same number
of rows, pads them to the longest of sixteen alike, and counts real tokens alone.
"""
import logging
import random
import sys
import types

from compare import Pair

LAYERS, BLOCKS = 12, 6


def add_options(parser):
    parser.add_argument("--checkout", required=True, help="of W-PCA")
    parser.add_argument("--data", required=True, help="GLUE directory, with MNLI")
    parser.add_argument("--vocab", required=True, help="vocabulary, uncased")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--heads-apart", action="store_true", help="without the similarities of heads")


def stand_in(name, **attributes):
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(attributes)


def program(options):
    """Its main module, read without running it."""
    import numpy
    from torch import nn

    stand_in("apex")
    stand_in("apex.parallel", DistributedDataParallel=None)
    sys.modules["apex"].parallel = sys.modules["apex.parallel"]
    stand_in("thop", profile=None)
    stand_in("flops", get_cand_flops=None)
    stand_in("lightgbm")
    stand_in("hyperopt", STATUS_OK=None, Trials=None, hp=None, space_eval=None, tpe=None, fmin=None)
    stand_in("models.ls_model", TransformerLSLayer=None)
    stand_in("models.modeling_convbert", ConvBertLayer=None)
    stand_in("models.transformer_multibranch_v2", TransformerEncoderLayer=None)
    for name, kind in (("float", float), ("int", int), ("bool", bool), ("object", object)):
        if name not in vars(numpy):
            setattr(numpy, name, kind)
    sys.path.insert(0, options.checkout)
    arguments, sys.argv = sys.argv, ["spos.py", "--gpu_devices", "", "--lowercase", "--max_params", "15700000", "--base_model_name",
                                     "mt_mysupernet", "--num_layers", str(LAYERS), "--range1", "0", "--range2", "1",
                                     "--type_each_block", str(BLOCKS), "--proxy_type", "0"]
    weight_norm, nn.utils.weight_norm = nn.utils.weight_norm, lambda *_: None
    try:
        import spos
    finally:
        sys.argv, nn.utils.weight_norm = arguments, weight_norm
    return spos


def prepare(options):
    spos = program(options)
    import torch

    torch.set_num_threads(options.threads)
    logging.disable(logging.CRITICAL)
    settings = spos.args
    settings.data_dir, settings.vocab_path, settings.cache_dir = options.data, options.vocab, ""
    settings.type_blocks = 2 * BLOCKS
    settings.range1, settings.range2 = 0, settings.type_blocks - 1
    spos.use_gpu = False
    spos.set_seeds(settings.seed)
    model = spos.select_model(settings.base_model_name, True, "mnli", return_hid=False, issingle=False).eval()
    network = torch.nn.DataParallel(model)
    if options.heads_apart:
        import models.bert
        import models.mobile_bert

        for module in (models.bert, models.mobile_bert):
            class Nothing(module.CKA_Minibatch_Grid):
                def update(self, *_, **__):
                    pass

                def compute(self):
                    return torch.zeros(self.dim1, self.dim2)
            module.CKA_Minibatch_Grid = Nothing
    tokenizer = spos.select_tokenizer("bert_base", True, "mnli", options.vocab, 128, 64)
    loader = spos.create_multi_task_dataset("mt_mysupernet", ["mnli"], options.data, tokenizer, 128, 64, 32, options.rows, 0.9, 0.1, False,
                                            False, "val", 0, "")[3]
    batch = next(iter(loader[0]))
    draw = random.Random(1)

    def candidate():
        with torch.no_grad():
            network(0, batch[1], batch[2], batch[3], batch[4], settings.type_blocks, [draw.randrange(BLOCKS) for _ in range(LAYERS)],
                    is_spos=True)
        return 1

    arguments = ["--vocab", options.vocab, "--data", options.data, "--rows", str(options.rows), "--threads", str(options.threads)]
    pair = Pair(f"W-PCA, {options.rows} rows, {options.threads} threads", "W-PCA 571d469", "candidates", candidate)
    return arguments, [pair]
