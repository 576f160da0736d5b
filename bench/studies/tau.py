"""Kendall's tau-b with a bootstrap interval over architectures."""
import numpy as np
from scipy.stats import kendalltau

BOOTSTRAP = 2000
SEED = 1


def tau_with_interval(x, y):
    """x, y: [n] or [k, n], k pairings of the same architectures whose taus are averaged."""
    x, y = np.atleast_2d(x), np.atleast_2d(y)
    random = np.random.default_rng(SEED)
    n = x.shape[1]
    # How often each architecture is in each draw; tau-b by its definition, all draws at once.
    counts = np.array([np.bincount(random.integers(0, n, n), minlength=n) for _ in range(BOOTSTRAP)], dtype=float)
    draws = []
    for a, b in zip(x, y):
        a, b = np.sign(np.subtract.outer(a, a)), np.sign(np.subtract.outer(b, b))
        both, left, right = (((counts @ signs) * counts).sum(1) for signs in (a * b, a * a, b * b))
        with np.errstate(invalid="ignore"):
            draws.append(both / np.sqrt(left * right))
    low, high = np.nanpercentile(np.mean(draws, 0), [2.5, 97.5])
    return np.mean([kendalltau(a, b).statistic for a, b in zip(x, y)]), low, high
