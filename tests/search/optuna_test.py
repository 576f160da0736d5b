"""Optuna's own Python API reads, and goes on with, a file that the store wrote.

optuna_test.py STORE_TEST: the program whose test StoreTest.WritesTheFileForOptuna writes the file.
Exit code 77: Optuna is not installed (the test is skipped). Written against optuna 5.0.0.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import skip_without  # noqa: E402

try:
    import optuna
except ImportError as error:
    skip_without(error)


def check_trials(study):
    trials = study.get_trials()
    states = optuna.trial.TrialState
    assert [t.number for t in trials] == [0, 1, 2, 3]
    assert [t.state for t in trials] == [states.COMPLETE, states.PRUNED, states.FAIL, states.COMPLETE]
    assert [t.value for t in trials] == [-1 / 3, None, None, -math.inf]
    assert study.best_trial.number == 0
    for i, trial in enumerate(trials):
        assert trial.params == {"layer0/stacks": i + 1, "layer0/ratio": "1/3",
                                "layer1/stacks": 3, "layer1/ratio": "1/2"}, trial.params
        assert trial.distributions["layer1/ratio"] == optuna.distributions.CategoricalDistribution(["1/2", "1"])
        assert trial.distributions["layer0/stacks"] == optuna.distributions.CategoricalDistribution([1, 2, 3, 4])
        assert trial.user_attrs["layer0/expression"] == "linear(gelu(linear(x,wb1)),wb2)"
        assert trial.user_attrs["layer1/expression"] == "linear(max(linear(x,wb1),x),wb2)"
        assert trial.user_attrs["architecture"].startswith("hidden: 8 heads: 2 embedding { plain { } } layer {")
        assert trial.user_attrs["deployed_parameters"] == 5000000000 + i
        assert trial.user_attrs["round"] == (1 if i == 3 else 0)
        assert trial.datetime_start <= trial.datetime_complete
    assert trials[0].duration.total_seconds() == 61.5
    assert trials[0].user_attrs["metrics"] == {"accuracy": 0.75, "loss": {"total": 1.25}}
    assert trials[0].user_attrs["standard_error"] == 0.1 + 0.2
    assert trials[1].user_attrs["filter_score"] == 0.1
    assert trials[2].user_attrs["filter_score"] == "-inf"
    assert "filter_score" not in trials[3].user_attrs
    assert trials[2].user_attrs["reason"].endswith("gr\u00fc\u00df; '); DROP TABLE trials; --")


def check_halved(study):
    trials = study.get_trials()
    states = optuna.trial.TrialState
    assert [t.state for t in trials] == [states.COMPLETE, states.PRUNED, states.PRUNED]
    assert [t.value for t in trials] == [0, -0.5, -math.inf]
    assert [t.intermediate_values for t in trials] == [{1: -0.75, 2: 0}, {1: -0.75, 2: -0.5}, {1: -math.inf}]
    assert study.best_trial.number == 0


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "trials.db")
        subprocess.run([sys.argv[1], "--gtest_filter=StoreTest.WritesTheFileForOptuna"], check=True,
                       env={**os.environ, "THIMBLE_OPTUNA_FILE": path}, stdout=subprocess.DEVNULL)
        storage = f"sqlite:///{path}"
        assert optuna.get_all_study_names(storage) == ["study/shape", "study/later", "study/halved"]
        study = optuna.load_study(study_name="study/shape", storage=storage)
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE
        assert study.user_attrs == {"precision": "bfloat16"}, json.dumps(study.user_attrs)
        check_trials(study)
        assert optuna.load_study(study_name="study/later", storage=storage).get_trials() == []
        check_halved(optuna.load_study(study_name="study/halved", storage=storage))

        # Optuna can add to the file too: ids, numbers and the categoricals' choices are as it keeps them.
        def objective(trial):
            trial.suggest_categorical("layer0/ratio", ["1", "1/2", "1/3", "1/4"])
            return trial.suggest_categorical("layer1/stacks", [2, 3])

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study.optimize(objective, n_trials=2, catch=())
        assert [t.number for t in study.get_trials()] == [0, 1, 2, 3, 4, 5]
        assert study.best_value in (2, 3)
    print(f"optuna {optuna.__version__}: ok")


main()
