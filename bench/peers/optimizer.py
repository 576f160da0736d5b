# packages: numpy==2.4.6 torch==2.11.0 came-pytorch==0.1.3 pytorch_optimizer==4.1.0
"""torch's AdamW, came-pytorch and pytorch_optimizer's CAME on the parameters of a 15.8M-parameter student, one thread."""
import torch
from compare import Pair

SHAPES = [((30522, 128), 1), ((540, 384), 1), ((540,), 78), ((512, 540), 1), ((2, 540), 2), ((540, 540), 29),
          ((270, 540), 8), ((270,), 8), ((540, 270), 8), ((180, 540), 2), ((180,), 2), ((540, 180), 2), ((2,), 1),
          ((384, 540), 1), ((384,), 1)]


def add_options(parser):
    parser.add_argument("--all", action="store_true", help="also the slower forms of torch's AdamW and of CAME")


def stepper(make):
    torch.manual_seed(0)
    weights = [(torch.randn(shape) * 0.02).requires_grad_() for shape, count in SHAPES for _ in range(count)]
    for w in weights:
        w.grad = torch.randn_like(w) * 1e-3
    optimizer = make(weights)

    def run():
        optimizer.step()
        return 1

    return run


def prepare(options):
    import came_pytorch
    import pytorch_optimizer

    torch.set_num_threads(1)

    def adamw(**more):
        return stepper(lambda p: torch.optim.AdamW(p, lr=1e-7, weight_decay=0.01, **more))

    fused = adamw(fused=True)
    came = stepper(lambda p: came_pytorch.CAME(p, lr=1e-7, weight_decay=0.01))
    ours = "came, 1 thread"
    pairs = [
        Pair("CAME step", "torch AdamW fused", ours, fused),
        Pair("CAME step", "came-pytorch CAME", ours, came),
        Pair("AdamW step", "torch AdamW fused", "adamw, 1 thread", fused),
        Pair("CAME traffic", "memory copy", "came, 1 thread, traffic", theirs="memory copy, 1 thread"),
        Pair("CAME step, 2 threads", "thimble, 1 thread", "came, 2 threads", theirs="came, 1 thread"),
        Pair("memory copy, 2 threads", "1 thread", "memory copy, 2 threads", theirs="memory copy, 1 thread"),
    ]
    if options.all:
        pairs += [
            Pair("CAME step", "torch AdamW for-loop", ours, adamw(foreach=False)),
            Pair("CAME step", "torch AdamW foreach", ours, adamw(foreach=True)),
            Pair("CAME step", "pytorch_optimizer CAME", ours,
                 stepper(lambda p: pytorch_optimizer.CAME(p, lr=1e-7, weight_decay=0.01))),
        ]
    return ["--threads", "1", "2"], pairs
