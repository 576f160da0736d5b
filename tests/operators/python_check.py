"""The Python text of every operator computes what the catalogue says.

usage: python_check.py VALUES    that every_operator_test wrote; exit code 77: a package is missing, nothing was tested
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    skip_without(error)


def main():
    operators = json.loads(pathlib.Path(sys.argv[1]).read_text())
    assert operators, "no operator"
    failures = 0
    for operator in operators:
        function = eval(operator["python"], {"torch": torch, "functional": functional})
        operands = [torch.tensor(numbers, dtype=torch.double) for numbers in operator["operands"]]
        wanted = torch.tensor(operator["values"], dtype=torch.double)
        difference = (function(*operands) - wanted).abs().max().item()
        print(f"{operator['name']}: {difference:.1e}")
        failures += not difference <= 1e-6 * wanted.abs().max().item()  # 0.01 is float32 in some
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
