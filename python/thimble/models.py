"""Exported models in ONNX Runtime. What a text becomes and what a number means is computed by the code that the
program uses; predictions are those of `thimble predict` but for rounding."""
from __future__ import annotations

import dataclasses
import pathlib
from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Union

from .errors import BadRequest

Input = Union[str, Tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Choice:
    text: str  # empty: no answer
    score: float
    probability: float  # its share among the choices


@dataclasses.dataclass(frozen=True)
class Prediction:
    # classification: the likeliest; of labels that do not exclude one another each has a probability of its own
    label: Optional[str] = None
    probability: Optional[float] = None
    probabilities: Dict[str, float] = dataclasses.field(default_factory=dict)
    labels: Tuple[str, ...] = ()  # of those: each that is likelier than not
    score: Optional[float] = None  # a number
    answer: Optional[str] = None  # to a question about a passage; empty: there is none
    choices: Tuple[Choice, ...] = ()
    null_odds: Optional[float] = None  # score of no answer minus the best answer's
    logits: Tuple[Tuple[float, ...], ...] = ()  # of each window that was read: one, of a long passage several


class Model:
    """`load` makes it. `kind`: "classification", "labels" (each for itself), "number" or "answers". Several threads
    may predict with one model."""

    def __init__(self, directory, session, texts):
        self.directory, self._session, self._texts = str(directory), session, texts
        self.kind: str = texts.about["kind"]
        self.labels: List[str] = texts.about["labels"]
        self.max_length: int = texts.about["max_length"]
        self.unanswerable: bool = texts.about["unanswerable"]

    def __repr__(self):
        return f"thimble.Model({self.directory!r}, kind={self.kind!r}, labels={self.labels!r})"

    def predict(self, inputs: Iterable[Input], batch: int = 32) -> List[Prediction]:
        """One prediction for each text, or pair of texts (a question and its passage). Rows of like length are
        computed together, `batch` at most."""
        if isinstance(inputs, str):
            raise BadRequest("predict: takes a list of texts; got one text")
        if batch < 1:
            raise BadRequest(f"batch: must be above 0; got {batch}")
        rows = self._texts.read([[each] if isinstance(each, str) else list(each) for each in inputs])
        if not rows.windows:
            return []
        return [self._prediction(of) for of in rows.predictions(self._logits(rows.windows, batch))]

    def _logits(self, windows, batch):
        import numpy
        needed = [each.name for each in self._session.get_inputs()]
        found: List[Optional[numpy.ndarray]] = [None] * len(windows)
        by_length = sorted(range(len(windows)), key=lambda window: len(windows[window][0]))
        for begin in range(0, len(windows), batch):
            part = by_length[begin:begin + batch]
            shape = (len(part), len(windows[part[-1]][0]))
            fed = {name: numpy.zeros(shape, numpy.int64) for name in ("input_ids", "token_type_ids", "attention_mask")}
            for row, window in enumerate(part):
                ids, segments = windows[window]
                fed["input_ids"][row, :len(ids)] = ids
                fed["token_type_ids"][row, :len(ids)] = segments
                fed["attention_mask"][row, :len(ids)] = 1
            logits, = self._session.run(["logits"], {name: fed[name] for name in needed})
            for row, window in enumerate(part):
                own = logits[row, :len(windows[window][0])] if self.kind == "answers" else logits[row]
                found[window] = own.ravel()
        return numpy.ascontiguousarray(numpy.concatenate(found), numpy.float32)

    def _prediction(self, of):
        if self.kind == "number":
            return Prediction(score=of["score"])
        if self.kind == "answers":
            return Prediction(answer=of["answer"], choices=tuple(Choice(**choice) for choice in of["n_best"]),
                              null_odds=of.get("null_odds"),
                              logits=tuple(tuple(window["logits"]) for window in of["windows"]))
        logits = (tuple(of["logits"]),)
        if self.kind == "labels":
            shares = {each["label"]: each["probability"] for each in of["labels"]}
            return Prediction(probabilities=shares, labels=tuple(name for name, share in shares.items() if share > 0.5),
                              logits=logits)
        shares = dict(zip(self.labels, of["probabilities"]))
        return Prediction(label=of["label"], probability=max(of["probabilities"]), probabilities=shares, logits=logits)


def load(directory, *, int8: bool = False, threads: int = 0, max_length: int = 0, assume_label_order: bool = False,
         providers: Sequence[str] = ("CPUExecutionProvider",)) -> Model:
    """A directory that `thimble export`, `finetune`, `distill` or `slice` wrote.

    int8: model.int8.onnx instead of model.onnx. threads: of ONNX Runtime; 0: its own choice. max_length: tokens of a
    row; 0: as many as the model was trained with. assume_label_order: names are id2label's, though label2id
    contradicts them. providers: ONNX Runtime's."""
    import onnxruntime

    from ._texts import Texts
    file = pathlib.Path(directory) / ("model.int8.onnx" if int8 else "model.onnx")
    if not file.is_file():
        raise BadRequest(f"{file}: is not there; `thimble export {directory}{' --quantize int8' if int8 else ''}` writes it")
    if threads < 0:
        raise BadRequest(f"threads: must not be below 0; got {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=list(providers))
    output, = session.get_outputs()
    head = output.name == "logits"
    texts = Texts(directory, outputs=output.shape[-1] if head else 0, tokens=head and len(output.shape) == 3,
                  max_length=max_length, assume_label_order=assume_label_order)
    return Model(directory, session, texts)
