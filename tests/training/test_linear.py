"""Groups that are solved many at once are those that scikit-learn fits one by one."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from training_samples import (
    Group,
    by_time,
    call,
    cut,
    holdout,
    in_folds,
    make_batch,
    make_step,
    pipeline,
    sample_group,
    train,
)

from modelfactory.plan.estimators import MOST_SOLVED, linear_solve
from modelfactory.plan.metrics import METRICS
from modelfactory.plan.steps import EstimatorCall, FitStep
from modelfactory.training import linear
from modelfactory.training.batches import Chunk
from modelfactory.training.estimators import make_template
from modelfactory.training.linear import LinearSolver, make_solver
from modelfactory.training.stamping import make_stamp

LINEAR, RIDGE = "sklearn.linear_model.LinearRegression", "sklearn.linear_model.Ridge"
SCALER = call("sklearn.preprocessing.StandardScaler")
ESTIMATORS = [
    call(LINEAR),
    call(LINEAR, fit_intercept=False),
    call(RIDGE, alpha=0.5),
    call(RIDGE, alpha=3, fit_intercept=False, solver="cholesky"),
    pipeline(SCALER, call(LINEAR)),
    pipeline(SCALER, call(RIDGE)),
]
REGRESSION = tuple(name for name, metric in METRICS.items() if metric.task == "regression")
EVALUATIONS = [
    None,
    dataclasses.replace(holdout(0.3, *REGRESSION), predictions=True),
    holdout(0.3, refit=True),
    by_time(0.3),
    dataclasses.replace(in_folds(3, *REGRESSION), predictions=True),
]
CLOSE = 1e-9


def step_of(estimator: EstimatorCall, **changes: Any) -> FitStep:
    final = estimator if estimator.name != "Pipeline" else dict(estimator.params)["steps"][-1][1]
    if estimator.name == "Pipeline":
        changes["weight_parameter"] = f"{final.name.lower()}__sample_weight"
    return make_step(estimator, has_time=True, **changes)


def one_by_one(step: FitStep) -> FitStep:
    """The same step, fitted by scikit-learn alone."""
    return dataclasses.replace(step, linear_solve=None)


class Watched:
    """Counts the groups that are solved at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.solved: set[int] = set()
        solve = LinearSolver.solve

        def counting(solver: LinearSolver, chunk: Chunk, *rest: Any) -> Any:
            found = solve(solver, chunk, *rest)
            self.solved |= set(chunk.groups[found.index].tolist())
            return found

        monkeypatch.setattr(LinearSolver, "solve", counting)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def parts_of(model: Any) -> list[Any]:
    return [part for _, part in model.steps] if hasattr(model, "steps") else [model]


def assert_same_model(found: Any, wanted: Any) -> None:
    """Every attribute that a fit left has the same type and shape, and the same numbers up to rounding."""
    for part, other in zip(parts_of(found), parts_of(wanted), strict=True):
        assert type(part) is type(other)
        assert vars(part).keys() == vars(other).keys()
        for name, value in vars(other).items():
            mine = getattr(part, name)
            if name == "random_state":
                continue
            assert type(mine) is type(value), name
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                assert mine.dtype == value.dtype
                assert mine.shape == value.shape, name
                assert np.abs(mine - value).max() <= CLOSE * np.abs(value).max(), name
            elif isinstance(value, np.ndarray):
                assert mine.dtype == value.dtype
                assert mine.tolist() == value.tolist()
            elif isinstance(value, float):
                assert mine == pytest.approx(value, rel=CLOSE, abs=1e-9), name
            else:
                assert mine == value, name


def assert_same_outcomes(found: dict[int, Any], wanted: dict[int, Any]) -> None:
    assert found.keys() == wanted.keys()
    for group, other in wanted.items():
        mine = found[group]
        for name in ("status", "n_train", "n_test", "data_digest", "format", "error_type", "error", "warnings"):
            assert mine[name] == other[name], name
        for name in ("metrics", "baseline"):
            assert [metric for metric, _ in mine[name]] == [metric for metric, _ in other[name]], (group, name)
            for (metric, value), (_, expected) in zip(mine[name], other[name], strict=True):
                assert value == pytest.approx(expected, rel=1e-7, abs=1e-9), (group, name, metric)
        if other["model"] is not None:
            assert_same_model(pickle.loads(mine["model"]), pickle.loads(other["model"]))


# The same as scikit-learn -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_weight", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("evaluation", EVALUATIONS, ids=lambda e: f"{e.method} {e.refit}" if e else "all rows")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.text()[:90])
def test_solved_groups_are_those_of_scikit_learn(
    estimator: EstimatorCall, evaluation: Any, with_weight: bool, watched: Watched
) -> None:
    step = step_of(estimator, evaluation=evaluation, has_weight=with_weight)
    groups = [sample_group(index, n) for index, n in enumerate([12, 13, 16, 17, 31, 32, 33, 64, 100, 257])]
    batch = make_batch(step, *groups)
    found = train(step, [batch])
    assert watched.solved == {g.group for g in groups}
    assert_same_outcomes(found, train(one_by_one(step), [batch]))


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    p=st.integers(1, 7),
    scale=st.floats(-2, 2),
    shift=st.sampled_from([0.0, 1.0, 2000.0]),
    estimator=st.sampled_from(ESTIMATORS),
    evaluation=st.sampled_from(EVALUATIONS),
    seed=st.integers(0, 2**32),
)
def test_groups_of_any_shape_are_those_of_scikit_learn(
    sizes: list[int], p: int, scale: float, shift: float, estimator: Any, evaluation: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    step = step_of(estimator, features=tuple(f"x{i}" for i in range(p)), evaluation=evaluation)
    groups = []
    for index, n in enumerate(sizes):
        x = rng.normal(size=(p, n)) * 10 ** (scale * rng.uniform(size=(p, 1))) + shift
        y = rng.normal(size=p) @ x + rng.normal(size=n)
        groups.append(Group(index, tuple(x), y, time=rng.integers(0, 9, n).astype(float)))
    batch = make_batch(step, *groups)
    assert_same_outcomes(train(step, [batch]), train(one_by_one(step), [batch]))


def test_weights_of_zero_are_rows_that_are_not_there(watched: Watched) -> None:
    step = step_of(call(LINEAR), has_weight=True)
    group = sample_group(1, 30)
    weight = np.where(np.arange(30) % 3 == 0, 0.0, 2.0)
    batch = make_batch(step, dataclasses.replace(group, weight=weight))
    assert_same_outcomes(train(step, [batch]), train(one_by_one(step), [batch]))
    assert watched.solved == {1}


# Left to scikit-learn ---------------------------------------------------------------------------------------------


def odd_groups() -> dict[str, Group]:
    a = sample_group(1, 40)
    x = [np.array(column) for column in a.columns]
    nearly = x[0] + 1e-9 * x[1]
    with_nan, with_inf, huge = x[0].copy(), x[0].copy(), x[0].copy()
    with_nan[3], with_inf[3], huge[3] = np.nan, np.inf, 1e39
    label = np.asarray(a.label)
    columns = {
        "a column twice": (x[0], x[0], x[2]),
        "a column nearly twice": (x[0], nearly, x[2]),
        "a constant column": (x[0], np.full(40, 3.0), x[2]),
        "a missing number": (with_nan, x[1], x[2]),
        "an infinite number": (with_inf, x[1], x[2]),
        "a number too large for 32 bits": (huge, x[1], x[2]),
        "features of zeros": (np.zeros(40),) * 3,
    }
    odd = {name: Group(1, given, label, weight=a.weight, time=a.time) for name, given in columns.items()}
    odd["as many rows as features"] = sample_group(1, 3)
    odd["one row"] = sample_group(1, 1)
    odd["a missing label"] = Group(1, a.columns, np.where(label > 0, np.nan, label), time=a.time)
    return odd


@pytest.mark.parametrize("name", odd_groups())
@pytest.mark.parametrize("estimator", [call(LINEAR), pipeline(SCALER, call(LINEAR))], ids=lambda e: e.name)
def test_what_is_ill_conditioned_is_fitted_by_scikit_learn_itself(
    estimator: EstimatorCall, name: str, watched: Watched
) -> None:
    """To the last bit, error texts and warnings included; its neighbours are solved as ever."""
    step = step_of(estimator, evaluation=holdout(0.3))
    batch = make_batch(step, sample_group(0, 30), odd_groups()[name], sample_group(2, 30))
    found, wanted = train(step, [batch]), train(one_by_one(step), [batch])
    assert watched.solved == {0, 2}
    for key in ("status", "error_type", "error", "warnings", "metrics", "baseline", "model"):
        assert found[1][key] == wanted[1][key], key
    alone = train(step, [make_batch(step, sample_group(0, 30))])
    assert found[0]["model"] == alone[0]["model"]


@pytest.mark.parametrize("weight", [-1.0, None, float("inf")])
def test_odd_weights_are_scikit_learns_affair(weight: Any, watched: Watched) -> None:
    step = step_of(call(LINEAR), has_weight=True)
    weights: list[Any] = [1.0] * 30
    weights[4] = weight
    batch = make_batch(step, dataclasses.replace(sample_group(1, 30), weight=weights), sample_group(2, 30))
    assert_same_outcomes(train(step, [batch]), train(one_by_one(step), [batch]))
    assert watched.solved == {2}


def test_weights_that_add_up_to_nothing(watched: Watched) -> None:
    step = step_of(call(RIDGE), has_weight=True)
    batch = make_batch(step, dataclasses.replace(sample_group(1, 30), weight=[0.0] * 30))
    found, wanted = train(step, [batch]), train(one_by_one(step), [batch])
    assert watched.solved == set()
    assert [found[1][k] for k in ("status", "error")] == [wanted[1][k] for k in ("status", "error")]


def test_a_large_group_is_scikit_learns(monkeypatch: pytest.MonkeyPatch, watched: Watched) -> None:
    monkeypatch.setattr(linear, "LARGEST_GROUP", 200)
    step = step_of(call(LINEAR))
    train(step, [make_batch(step, sample_group(1, 51), sample_group(2, 50))])
    assert watched.solved == {2}


def test_many_features_are_scikit_learns() -> None:
    assert linear_solve(call(LINEAR), MOST_SOLVED) is not None
    assert linear_solve(call(LINEAR), MOST_SOLVED + 1) is None


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_mean_far_from_zero_is_scikit_learns(estimator: Any, watched: Watched) -> None:
    step = step_of(estimator)
    groups = [sample_group(1, 60), sample_group(2, 60)]
    moved = [
        dataclasses.replace(group, columns=[np.asarray(column) + mean for column in group.columns])
        for group, mean in zip(groups, (1e9, 100.0), strict=True)
    ]
    train(step, [make_batch(step, *moved)])
    assert watched.solved == {2}


def test_what_a_later_scikit_learn_may_add_turns_the_solving_off(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = LinearRegression.fit

    def later(self: Any, *arguments: Any, **more: Any) -> Any:
        fit(self, *arguments, **more)
        self.condition_ = 1.0
        return self

    monkeypatch.setattr(LinearRegression, "fit", later)
    step = step_of(call(LINEAR))
    assert make_solver(step, make_template(step.estimator, 0)) is None
    assert train(step, [make_batch(step, sample_group(1, 30))])[1]["status"] == "trained"


# The bytes --------------------------------------------------------------------------------------------------------


def test_a_stamped_pickle_is_the_one_that_pickle_writes() -> None:
    rng = np.random.default_rng(3)
    model = LinearRegression().fit(rng.normal(size=(9, 2)), rng.normal(size=9))
    attributes = {name: (model, f"{name}_") for name in ("coef", "intercept", "singular")}
    wanted, numbers = [], []
    for _ in range(3):
        model.coef_, model.intercept_, model.singular_ = rng.normal(size=2), rng.normal(), rng.normal(size=2)
        model.intercept_ = np.float64(model.intercept_)
        wanted.append(pickle.dumps(model, protocol=5))
        numbers.append((model.coef_, model.intercept_, model.singular_))
    stamp = make_stamp(model, attributes)
    assert stamp is not None
    coef, intercept, singular = (np.array(column) for column in zip(*numbers, strict=True))
    pressed = stamp.press({"coef": coef, "intercept": intercept, "singular": singular})
    assert [row.tobytes() for row in pressed] == wanted


def test_a_solved_model_as_a_row() -> None:
    step = step_of(call(LINEAR))
    outcome = train(step, [make_batch(step, sample_group(1, 30))])[1]
    assert (outcome["_mf_fitted"], outcome["status"], outcome["format"]) == (True, "trained", "pickle")
    assert outcome["model_bytes"] == len(outcome["model"])
    assert outcome["sha256"] == hashlib.sha256(outcome["model"]).hexdigest()


def test_a_stamp_is_not_made_where_the_numbers_cannot_be_found() -> None:
    class Holder:
        pass

    holder = Holder()
    holder.number = 1.5
    assert make_stamp(holder, {"number": (holder, "number")}) is None  # a Python float has another form


@settings(deadline=None, max_examples=15)
@given(points=st.lists(st.integers(0, 300), max_size=10), order=st.permutations(range(6)))
@pytest.mark.parametrize("estimator", [ESTIMATORS[0], ESTIMATORS[5]], ids=["linear", "scaled ridge"])
def test_a_group_does_not_depend_on_its_neighbours(estimator: Any, points: list[int], order: list[int]) -> None:
    # Three lengths, so that groups lie in one stack, and as many folds as NumPy adds up in another order.
    step = step_of(estimator, evaluation=in_folds(10), has_weight=True)
    groups = [sample_group(index, 20 + 40 * (index % 3)) for index in range(6)]
    wanted = {}
    for group in groups:
        wanted |= train(step, [make_batch(step, group)])
    found = train(step, cut(make_batch(step, *(groups[i] for i in order)), points))
    for index, outcome in found.items():
        for name in ("model", "metrics", "baseline", "n_train", "n_test", "data_digest"):
            assert outcome[name] == wanted[index][name], name


def test_the_seconds_of_solved_groups_add_up() -> None:
    step = step_of(call(LINEAR), evaluation=holdout(0.3))
    batch = make_batch(step, *(sample_group(i, 40 + i) for i in range(2_000)))
    began = time.process_time()
    found = train(step, [batch])
    took = time.process_time() - began
    assert 0.02 * took < sum(o["cpu_seconds"] for o in found.values()) < took
    assert found[1_999]["cpu_seconds"] > 1.5 * found[0]["cpu_seconds"]


# Which estimators -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [*ESTIMATORS, call(LINEAR, n_jobs=2, copy_X=False), call(RIDGE, max_iter=5)])
def test_these_are_solved_at_once(estimator: EstimatorCall) -> None:
    assert linear_solve(estimator, 2) is not None


@pytest.mark.parametrize(
    "estimator",
    [
        call(LINEAR, positive=True),
        call(LINEAR, unheard_of=1),
        call(RIDGE, solver="saga"),
        call(RIDGE, positive=True),
        call(RIDGE, alpha=0),
        call(RIDGE, alpha=[1.0, 2.0]),
        call("sklearn.linear_model.Lasso"),
        call("somebody.LinearRegression"),
        pipeline(call("sklearn.preprocessing.StandardScaler", with_mean=False), call(LINEAR)),
        pipeline(call("sklearn.preprocessing.MinMaxScaler"), call(LINEAR)),
        pipeline(SCALER, SCALER, call(LINEAR)),
        pipeline(SCALER, call("sklearn.tree.DecisionTreeRegressor")),
    ],
    ids=lambda e: e.text(),
)
def test_these_are_not(estimator: EstimatorCall) -> None:
    assert linear_solve(estimator, 2) is None


def test_a_tolerance_of_the_user_is_kept() -> None:
    solve = linear_solve(call(LINEAR, tol=1e-3), 2)
    assert solve is not None
    assert solve.least_ratio == pytest.approx(1e-2)
