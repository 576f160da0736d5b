"""libthimble_texts.so (runtime/texts_c.h): texts to tokens, and a model's numbers to predictions."""
import ctypes
import json
import pathlib

from .errors import of_code

NATIVE = pathlib.Path(__file__).resolve().parent / "native"


def _library():
    library = ctypes.CDLL(str(NATIVE / "libthimble_texts.so"))
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    floats = ctypes.POINTER(ctypes.c_float)
    for name, result, arguments in (
            ("texts_error", text, []), ("texts_open", ctypes.c_int, [text, ctypes.POINTER(handle)]),
            ("texts_about", text, [handle]), ("texts_free", None, [handle]),
            ("texts_read", ctypes.c_int, [handle, text, ctypes.POINTER(handle)]), ("rows_windows", text, [handle]),
            ("rows_predict", ctypes.c_int, [handle, handle, floats, ctypes.c_int64]),
            ("rows_predictions", text, [handle]), ("rows_free", None, [handle])):
        function = getattr(library, "thimble_" + name)
        function.restype, function.argtypes = result, arguments
    return library


LIBRARY = _library()


def _check(code):
    if code != 0:
        raise of_code(code, LIBRARY.thimble_texts_error().decode(errors="replace"))


class Texts:
    """What a directory says of a model beside its weights. Several threads may use one."""

    def __init__(self, directory, outputs, tokens, max_length, assume_label_order):
        self._handle = ctypes.c_void_p()
        _check(LIBRARY.thimble_texts_open(json.dumps({
            "directory": str(directory), "outputs": outputs, "tokens": tokens, "max_length": max_length,
            "assume_label_order": assume_label_order}).encode(), ctypes.byref(self._handle)))
        self.about = json.loads(LIBRARY.thimble_texts_about(self._handle))

    def __del__(self):
        if getattr(self, "_handle", None):
            LIBRARY.thimble_texts_free(self._handle)

    def read(self, inputs):
        """inputs: lists of one text or two."""
        rows = Rows(self)
        # What is no text (a lone surrogate) is dropped, as bytes that are not UTF-8 are.
        clean = [[text.encode("utf-8", "ignore").decode("utf-8") for text in texts] for texts in inputs]
        _check(LIBRARY.thimble_texts_read(self._handle, json.dumps(clean).encode(), ctypes.byref(rows.handle)))
        rows.windows = json.loads(LIBRARY.thimble_rows_windows(rows.handle))
        return rows


class Rows:
    """Inputs as tokens; `windows`: [[input_ids, token_type_ids], ...]."""

    def __init__(self, texts):
        self.texts, self.handle, self.windows = texts, ctypes.c_void_p(), []

    def __del__(self):
        if self.handle:
            LIBRARY.thimble_rows_free(self.handle)

    def predictions(self, logits):
        """logits: float32 array, of each window one after the other. One object an input."""
        _check(LIBRARY.thimble_rows_predict(self.texts._handle, self.handle,
                                            logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), logits.size))
        return json.loads(LIBRARY.thimble_rows_predictions(self.handle))
