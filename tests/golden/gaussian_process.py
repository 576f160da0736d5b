"""Writes gaussian_process.json: scikit-learn's posterior and marginal likelihood of a Matern 5/2 kernel.

    python tests/golden/gaussian_process.py > tests/golden/gaussian_process.json

Needs scikit-learn. `noise` stands in `alpha`, beside each value's own variance: scikit-learn's deviations are then of the function
alone. `most_likely` is the likelihood that its own optimiser reaches over the same three parameters, from eight starts.
"""
import json
import warnings

import numpy as np
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel


def case(seed, n, dimensions, queries, variance, length, noise, known):
    source = np.random.default_rng(seed)
    points = source.random((n, dimensions)).round(3)
    values = np.sin(5 * points[:, 0]) + points.sum(1) + 0.1 * source.standard_normal(n)
    values = ((values - values.mean()) / values.std()).round(4)
    own = (source.random(n) * 0.05).round(4) if known else np.zeros(n)
    at = np.concatenate([source.random((queries, dimensions)).round(3), points[:2]])
    kernel = ConstantKernel(variance) * Matern(length, nu=2.5)
    fixed = GaussianProcessRegressor(kernel, alpha=own + noise, optimizer=None).fit(points, values)
    mean, deviation = fixed.predict(at, return_std=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        free = GaussianProcessRegressor(
            ConstantKernel(1, (1e-2, 1e2)) * Matern(1, (1e-2, 1e2), nu=2.5) + WhiteKernel(0.1, (1e-6, 2)), alpha=own + 1e-10,
            n_restarts_optimizer=8, random_state=0).fit(points, values)
    return {"points": points.tolist(), "values": values.tolist(), "known": own.tolist(), "variance": variance, "length": length,
            "noise": noise, "at": at.tolist(), "mean": mean.tolist(), "deviation": deviation.tolist(),
            "log_likelihood": fixed.log_marginal_likelihood_value_, "most_likely": free.log_marginal_likelihood_value_}


print(json.dumps({"scikit_learn": sklearn.__version__,
                  "cases": [case(1, 8, 2, 5, 1.0, 0.5, 0.01, False), case(2, 30, 5, 8, 2.5, 1.2, 0.1, True),
                            case(3, 60, 3, 8, 0.7, 0.3, 0.001, False)]}))
