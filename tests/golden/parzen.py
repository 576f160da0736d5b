"""Writes parzen.json: the shares that optuna's Parzen estimator gives each value of a categorical and of an integer parameter, for several
lists of what has been seen, with the settings of its TPESampler. Where values are seen again and weigh differently, optuna leaves it to an
unstable sort which of them has the wide kernel: of more than 16 the ordered ones are all different.

Run: python tests/golden/parzen.py (optuna 5.0.0)
"""
import json
import pathlib
from importlib.metadata import version

import numpy as np
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

CASES = [
    (4, []), (4, [2]), (4, [0, 0, 3]), (2, [1, 1, 1, 0]), (7, [6]), (7, [1, 5, 5, 2]), (13, [0, 12, 6, 6, 6, 1]),
    (5, [i * i % 5 for i in range(26)]), (64, [i * 7 % 61 for i in range(60)]), (3, [0] * 40),
]


def main():
    parameters = _ParzenEstimatorParameters(
        prior_weight=1.0, consider_magic_clip=True, consider_endpoints=False, weights=default_weights, multivariate=False)
    cases = []
    for choices, seen in CASES:
        case = {"choices": choices, "seen": seen}
        for name, distribution in (("categorical", CategoricalDistribution(list(range(choices)))),
                                   ("ordered", IntDistribution(0, choices - 1))):
            if name == "ordered" and len(seen) > 16 and len(set(seen)) < len(seen):
                continue
            estimator = _ParzenEstimator({"x": np.array(seen, dtype=float)}, {"x": distribution}, parameters)
            case[name] = np.exp(estimator.log_pdf({"x": np.arange(choices, dtype=float)})).tolist()
        cases.append(case)
    path = pathlib.Path(__file__).with_name("parzen.json")
    path.write_text(json.dumps({"optuna": version("optuna"), "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
