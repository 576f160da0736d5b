"""Writes pareto.json: fronts and crowding distances of pymoo's non-dominated sorting, and its hypervolumes, of 40 points with two costs and
of 40 with three. Costs are integer hashes, all different: which of equal ones stands at the end of a front is nobody's rule.

pymoo adds up distances over costs and divides by their number; ours are sums, as in the paper: they are multiplied by it here.
Run: python tests/golden/pareto.py (pymoo 0.6.2)
"""
import json
import pathlib
from importlib.metadata import version

import numpy as np
from pymoo.indicators.hv import HV
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.fast_non_dominated_sort import fast_non_dominated_sort

POINTS = 40


def costs(key, n, dimensions):
    """Multiples of 2^-20 in [0, 1)."""
    points = []
    for i in range(n):
        x = np.uint64(i) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
        point = []
        for _ in range(dimensions):
            x ^= x >> np.uint64(30)
            x *= np.uint64(0xBF58476D1CE4E5B9)
            x ^= x >> np.uint64(27)
            point.append(int(x >> np.uint64(44)) / 2**20)
        points.append(point)
    points = np.array(points)
    assert all(len(set(column)) == n for column in points.T)
    return points


def main():
    np.seterr(over="ignore")
    cases = []
    for dimensions in (2, 3):
        points = costs(dimensions, POINTS, dimensions)
        fronts = fast_non_dominated_sort(points)
        of_point, distances = np.zeros(POINTS, int), np.zeros(POINTS)
        for number, front in enumerate(fronts):
            of_point[front] = number
            distances[front] = calc_crowding_distance(points[front]) * dimensions
        volumes = [{"reference": [r] * dimensions, "volume": float(HV(ref_point=np.full(dimensions, r))(points))} for r in (1.0, 0.5)]
        cases.append({
            "points": points.tolist(),
            "fronts": of_point.tolist(),
            "distances": [None if np.isinf(d) else float(d) for d in distances],
            "hypervolumes": volumes,
        })
    out = {"pymoo": version("pymoo"), "cases": cases}
    path = pathlib.Path(__file__).with_name("pareto.json")
    path.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
