"""Small BERTs for one task: runs exported models, and runs thimble.

    import thimble

    model = thimble.load("student/")                       # a directory that thimble exported
    for p in model.predict(["a text", ("one text", "and its pair")]):
        print(p.label, p.probability)

    thimble.evaluate("student/", task="mrpc", data="glue/").metrics
    thimble.slice("teachers/mrpc", "small/", task="mrpc", data="glue/", speedup=4)
    study = thimble.search("my-study")                     # runs; again after a stop: goes on
    model = study.export("student/")

`load` needs ONNX Runtime alone; the others need LibTorch: pip install 'thimble[search]'.
"""
from ._build import VERSION as __version__
from .errors import BadRequest, Error, Interrupted, WorkFailed
from .models import Choice, Model, Prediction, load
from .toolkit import Evaluation, Study, Trial, evaluate, program, run, search, slice

__all__ = ["BadRequest", "Choice", "Error", "Evaluation", "Interrupted", "Model", "Prediction", "Study", "Trial",
           "WorkFailed", "__version__", "evaluate", "load", "program", "run", "search", "slice"]
