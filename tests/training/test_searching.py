"""The candidate that a group keeps is the one that scikit-learn's own search on the same folds would keep."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from training_samples import (
    MARK,
    Group,
    by_time,
    call,
    cut,
    fit,
    holdout,
    in_folds,
    loaded,
    make_batch,
    make_step,
    pipeline,
    rows_of,
    sample_group,
    splits_of,
    train,
)

from modelfactory.plan.costs import fit_seconds
from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import Candidate, EstimatorCall, Evaluation, Feature, FitStep, Search
from modelfactory.training.contenders import make_contenders
from modelfactory.training.estimators import make_template
from modelfactory.training.fitting import WARNINGS_KEPT, FitOutcome
from modelfactory.training.worker import train_batches

RIDGES = [call("sklearn.linear_model.Ridge", alpha=alpha) for alpha in (0.01, 1.0, 100.0)]
TREES = [call("sklearn.tree.DecisionTreeRegressor", max_depth=depth) for depth in (1, 2, 4)]
FOREST = call("sklearn.ensemble.RandomForestRegressor", n_estimators=5)
LOGISTIC = call("sklearn.linear_model.LogisticRegression")
BAYES = call("sklearn.naive_bayes.GaussianNB")
SVC = call("sklearn.svm.LinearSVC")


def searching(
    *candidates: EstimatorCall, metric: str = "rmse", folds: int = 3, weight: str = "sample_weight", **changes: Any
) -> FitStep:
    """Make a step that chooses between estimators."""
    known = tuple(Candidate(name=c.text(), estimator=c, weight_parameter=weight) for c in candidates)
    search = Search(folds=folds, metric=metric, candidates=known)
    return make_step(candidates[0], search=search, linear_solve=None, **changes)


def folds_of(step: FitStep, group: Group, chosen: Any = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the folds of the rows of a group as a user writes them: fitted on, measured on."""
    rows = rows_of(step, group)
    chosen = np.arange(len(rows)) if chosen is None else chosen
    assert step.search is not None
    part = Group(1, [chosen], row_hash=rows.row_hash[chosen])
    named = rows_of(make_step("Mean", task="unsupervised", features=("i",)), part)
    return splits_of(in_folds(step.search.folds), named)


def seeded(step: FitStep, candidate: EstimatorCall, group: Group) -> Any:
    return make_template(candidate, step.seed).for_group(group.group)


def by_hand(
    step: FitStep, group: Group, chosen: Any = None, *, scoring: str = "neg_root_mean_squared_error"
) -> dict[str, float]:
    """Return the score of each candidate, as `cross_val_score` tells it."""
    frame, label = group.frame(step), np.asarray(group.label)
    chosen = np.arange(len(group)) if chosen is None else chosen
    found = {}
    for candidate in step.candidates:
        scores = cross_val_score(
            seeded(step, candidate.estimator, group),
            frame.iloc[chosen],
            label[chosen],
            cv=folds_of(step, group, chosen),
            scoring=scoring,
        )
        found[candidate.name] = float(np.mean(scores))
    return found


def same_model(step: FitStep, outcome: FitOutcome, group: Group, chosen: Any = None) -> bool:
    """Tell whether the model predicts, to the bit, what the chosen candidate does that is fitted by hand."""
    frame, label = group.frame(step), np.asarray(group.label)
    chosen = np.arange(len(group)) if chosen is None else chosen
    winner = next(c.estimator for c in step.candidates if c.name == outcome.chosen)
    model = seeded(step, winner, group).fit(frame.iloc[chosen], label[chosen])
    return bool((loaded(outcome.model).predict(frame) == model.predict(frame)).all())


def zeros(n: int) -> Group:
    """Return a group whose label is nothing but zeros."""
    return Group(1, ([0.0] * n,) * 3, [0.0] * n)


# As scikit-learn's own search -------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [sample_group(g, n) for g, n in ((1, 40), (2, 41), (3, 7))], ids=len)
def test_the_choice_is_that_of_grid_search_on_the_same_folds(group: Group) -> None:
    step = searching(*TREES)
    outcome = fit(step, group)
    search = GridSearchCV(
        seeded(step, TREES[0], group),
        {"max_depth": [1, 2, 4]},
        cv=folds_of(step, group),
        scoring="neg_root_mean_squared_error",
    ).fit(group.frame(step), np.asarray(group.label))
    assert outcome.chosen == f"DecisionTreeRegressor(max_depth={search.best_params_['max_depth']})"
    assert list(outcome.candidates.values()) == pytest.approx((-search.cv_results_["mean_test_score"]).tolist())
    frame = group.frame(step)
    assert (loaded(outcome.model).predict(frame) == search.best_estimator_.predict(frame)).all()


@pytest.mark.parametrize("metric", ["mae", "r2", "max_error"])
def test_candidates_of_several_classes_are_measured_as_cross_val_score_does(metric: str) -> None:
    scoring = {"mae": "neg_mean_absolute_error", "r2": "r2", "max_error": "neg_max_error"}[metric]
    sign = 1 if metric == "r2" else -1
    scaled = pipeline(call("sklearn.preprocessing.StandardScaler"), call("sklearn.neighbors.KNeighborsRegressor"))
    step = searching(*RIDGES, FOREST, scaled, metric=metric, folds=4)
    group = sample_group(7, 50)
    outcome = fit(step, group)
    scores = by_hand(step, group, scoring=scoring)
    assert outcome.candidates == pytest.approx({name: sign * score for name, score in scores.items()})
    assert outcome.chosen == max(scores, key=lambda name: scores[name])
    assert same_model(step, outcome, group)
    assert outcome.warnings == ()


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "f1"])
def test_classifiers(metric: str) -> None:
    step = searching(LOGISTIC, BAYES, task="classification", metric=metric)
    group = sample_group(3, 60, classes=["no", "yes"])
    scorer = get_scorer("neg_log_loss" if metric == "log_loss" else metric)
    if metric == "f1":
        from sklearn.metrics import f1_score

        scorer = make_scorer(f1_score, pos_label="yes")
    outcome = fit(step, group)
    scores = by_hand(step, group, scoring=scorer)
    assert outcome.candidates == pytest.approx({k: -v if metric == "log_loss" else v for k, v in scores.items()})
    assert outcome.chosen == max(scores, key=lambda name: scores[name])
    assert outcome.classes == ("no", "yes")


def test_weights_and_frames() -> None:
    features = (Feature("a", "numeric"), Feature("shade", "categorical"))
    encode = call(
        "sklearn.compose.ColumnTransformer",
        transformers=[
            ("numeric", "passthrough", ["a"]),
            ("categorical", call("sklearn.preprocessing.OneHotEncoder", handle_unknown="ignore"), ["shade"]),
        ],
    )
    candidates = [
        call("sklearn.pipeline.Pipeline", steps=[("encode", encode), ("last", e)]) for e in (RIDGES[2], FOREST)
    ]
    step = searching(
        *candidates, features=features, container="frame", has_weight=True, weight="last__sample_weight", metric="mse"
    )
    group = sample_group(4, 60)
    group = Group(4, (group.columns[0], ["red", "blue", "green"] * 20), group.label, weight=group.weight)
    outcome = fit(step, group)
    frame, label, weight = group.frame(step), np.asarray(group.label), np.asarray(group.weight)
    for candidate in step.candidates:
        found = cross_validate(
            seeded(step, candidate.estimator, group),
            frame,
            label,
            cv=folds_of(step, group),
            scoring="neg_mean_squared_error",
            params={"last__sample_weight": weight},
        )
        assert outcome.candidates[candidate.name] == pytest.approx(-found["test_score"].mean())
    assert outcome.chosen == min(outcome.candidates, key=lambda name: outcome.candidates[name])


# Beside evaluation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", [holdout(0.3), by_time(0.3), holdout(0.3, refit=True)], ids=lambda e: e.method)
def test_held_out_rows_have_no_say_in_the_choice(evaluation: Evaluation) -> None:
    step = searching(*RIDGES, *TREES, evaluation=evaluation, has_time=True)
    group = sample_group(11, 60)
    ((inside, outside),) = splits_of(evaluation, rows_of(step, group))
    outcome = fit(step, group)
    scores = by_hand(step, group, inside)
    assert outcome.candidates == pytest.approx({name: -score for name, score in scores.items()})
    assert outcome.chosen == max(scores, key=lambda name: scores[name])
    assert same_model(step, outcome, group, None if evaluation.refit else inside)
    assert outcome.n_train == (len(group) if evaluation.refit else len(inside))
    worse = np.asarray(group.label).copy()
    worse[outside] += 1000.0
    again = fit(step, Group(11, group.columns, worse, time=group.time))
    assert (again.chosen, again.candidates) == (outcome.chosen, outcome.candidates)


def test_folds_that_measure_choose_by_themselves() -> None:
    """What `evaluate: folds` tells is what `cross_val_score` tells of a whole `GridSearchCV`: no row that is measured
    has had a say in the choice."""
    step = searching(*TREES, evaluation=in_folds(3, "rmse"), folds=4)
    group = sample_group(12, 45)
    frame, label = group.frame(step), np.asarray(group.label)
    outcome = fit(step, group)
    found = []
    for inside, outside in splits_of(in_folds(3), rows_of(step, group)):
        search = GridSearchCV(
            seeded(step, TREES[0], group),
            {"max_depth": [1, 2, 4]},
            cv=folds_of(step, group, inside),
            scoring="neg_root_mean_squared_error",
        ).fit(frame.iloc[inside], label[inside])
        found.append(-search.score(frame.iloc[outside], label[outside]))
    assert outcome.metrics["rmse"] == pytest.approx(np.mean(found))
    scores = by_hand(step, group)
    assert outcome.candidates == pytest.approx({name: -score for name, score in scores.items()})
    assert same_model(step, outcome, group)
    assert (outcome.n_train, outcome.n_test) == (45, 45)


# Equals -----------------------------------------------------------------------------------------------------------


def test_of_equals_the_cheaper_one_wins() -> None:
    """A tree of depth 2 on two classes of rows is as good as any deeper forest of them."""
    dear = call("sklearn.ensemble.ExtraTreesRegressor", n_estimators=50, bootstrap=False, random_state=0)
    cheap = call("sklearn.tree.DecisionTreeRegressor", random_state=0)
    x = np.tile([0.0, 1.0], 15)
    group = Group(1, (x, x, x), 3 * x)
    for candidates in itertools.permutations([dear, cheap]):
        outcome = fit(searching(*candidates), group)
        assert outcome.candidates == dict.fromkeys((c.text() for c in candidates), 0.0)
        assert outcome.chosen == cheap.text()


def test_of_equals_of_one_cost_the_first_wins() -> None:
    first, second = (call("sklearn.tree.DecisionTreeRegressor", max_depth=depth) for depth in (7, 8))
    x = np.tile([0.0, 1.0], 15)
    group = Group(1, (x, x, x), 3 * x)
    assert fit(searching(first, second), group).chosen == first.text()
    assert fit(searching(second, first), group).chosen == second.text()


# Whatever the order -----------------------------------------------------------------------------------------------

CANDIDATES = [*RIDGES, TREES[1], FOREST]


@settings(deadline=None, max_examples=12)
@given(
    order=st.permutations(CANDIDATES),
    rows=st.permutations(range(24)),
    points=st.lists(st.integers(0, 72), max_size=3),
    seed=st.integers(0, 2),
)
def test_neither_the_order_of_candidates_nor_of_rows_nor_batches_has_a_say(
    order: Sequence[EstimatorCall], rows: Sequence[int], points: list[int], seed: int
) -> None:
    groups = [sample_group(g, 24) for g in (1, 2, 3)]
    usual = train(searching(*CANDIDATES, seed=seed), [make_batch(make_step("Mean"), *groups)])
    shuffled = [
        Group(
            g.group, [np.asarray(c)[list(rows)] for c in g.columns], g.label[list(rows)], row_hash=g.hashes[list(rows)]
        )
        for g in groups
    ]
    found = train(searching(*order, seed=seed), cut(make_batch(make_step("Mean"), *shuffled), points))
    for group, row in usual.items():
        again = found[group]
        assert (again["chosen"], again["sha256"]) == (row["chosen"], row["sha256"])
        assert dict(again["candidates"]) == dict(row["candidates"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=5), st.integers(1, 12))
def test_the_winner_is_the_least_by_metric_cost_and_order(errors: list[float], n: int) -> None:
    calls = [call("ExtraTreesRegressor", value=error, n_estimators=3 - i % 2) for i, error in enumerate(errors)]
    step = searching(*calls, metric="mae", folds=2)
    names = [c.name for c in step.candidates]
    assume(len(set(names)) == len(names))
    costs = [float(fit_seconds(c, np.array([2.0 * n]), 3)[0]) for c in calls]
    best = min(range(len(calls)), key=lambda i: (errors[i], costs[i], i))
    assert fit(step, zeros(2 * n)).chosen == names[best]


def test_a_child_process_chooses_the_same() -> None:
    step = searching(*CANDIDATES)
    batch = make_batch(step, *(sample_group(g, 30) for g in (1, 2)))

    usual, apart = (
        [
            (r["_mf_group"], r["chosen"], r["sha256"])
            for b in train_batches(step, [batch], isolated=i)
            for r in b.to_pylist()
        ]
        for i in (False, True)
    )
    assert usual == apart


# Candidates that fail ---------------------------------------------------------------------------------------------


def test_a_candidate_that_raises_loses_and_its_error_is_told() -> None:
    step = searching(call("Raises"), RIDGES[0], call("RaisesBaseException"))
    marked = sample_group(1, 30)
    marked.columns[0][:] = MARK
    outcome = fit(step, marked)
    assert (outcome.status, outcome.chosen) == (Status.TRAINED, "Ridge(alpha=0.01)")
    assert list(outcome.candidates) == ["Ridge(alpha=0.01)"]
    assert [text.partition(":")[0] for text in outcome.warnings] == ["Raises() failed", "RaisesBaseException() failed"]
    assert fit(step, sample_group(1, 30)).candidates.keys() == {c.name for c in step.candidates}


def test_where_all_fail_the_group_fails_by_the_first() -> None:
    step = searching(call("Raises"), call("RaisesBaseException"))
    marked = sample_group(1, 30)
    marked.columns[0][:] = MARK
    outcome = fit(step, marked)
    alone = fit(make_step("Raises"), marked)
    assert (outcome.status, outcome.chosen, outcome.candidates) == (Status.FAILED, None, {})
    assert (outcome.error_type, outcome.error) == (alone.error_type, alone.error)
    assert len(outcome.warnings) == 2


def test_a_winner_that_cannot_be_fitted_on_all_rows_leaves_the_group_to_the_next() -> None:
    step = searching(call("Told", most=25), call("Told", value=1.0), metric="mae")
    outcome = fit(step, zeros(30))
    assert outcome.candidates == {"Told(most=25)": 0.0, "Told(value=1.0)": 1.0}
    assert outcome.chosen == "Told(value=1.0)"
    assert outcome.warnings[0] == "Told(most=25) failed: ValueError: 30 rows are too many"
    outcome = fit(searching(call("Told", most=25), metric="mae"), zeros(30))
    assert (outcome.status, outcome.error, outcome.chosen) == (Status.FAILED, "30 rows are too many", None)


def test_a_combination_that_scikit_learn_refuses_is_refused_in_every_group() -> None:
    """A fit of one candidate that has gone well says nothing of the parameters of another."""
    refused = call("sklearn.linear_model.LogisticRegression", penalty="l1", solver="lbfgs")
    wrong = call("sklearn.linear_model.LogisticRegression", C=-1.0)
    step = searching(LOGISTIC, refused, wrong, task="classification", metric="accuracy")
    batch = make_batch(step, *(sample_group(g, 30, classes=[0, 1]) for g in range(4)))
    for row in train(step, [batch]).values():
        assert [name for name, _ in row["candidates"]] == ["LogisticRegression()"]
        assert len(row["warnings"]) == 2


def test_a_candidate_that_cannot_even_be_made_loses_everywhere() -> None:
    step = searching(call("NeedsMore"), RIDGES[0])
    outcome = fit(step, sample_group(1, 30))
    assert outcome.chosen == "Ridge(alpha=0.01)"
    assert outcome.warnings[0].startswith("NeedsMore() failed: TypeError: ")
    with pytest.raises(TypeError):
        make_contenders(searching(call("NeedsMore"), call("NeedsMore", x=1)))


def test_many_failures_are_few_texts() -> None:
    alike = [call("Told", error="no luck", value=float(i)) for i in range(9)]
    (text, _) = fit(searching(*alike, call("Told")), zeros(9)).warnings
    named = ", ".join(c.text() for c in alike[:3])
    assert text == f"{named} and 6 more failed: ValueError: no luck"
    others = [call("Told", error=f"no luck {i}") for i in range(9)]
    told = fit(searching(*others, call("Told")), zeros(9)).warnings
    assert [text.endswith(f"no luck {i}") for i, text in enumerate(told)] == [True] * WARNINGS_KEPT + [False]


def test_a_timeout_is_the_groups() -> None:
    step = searching(call("Slow"), RIDGES[0], timeout=0.1)
    marked = sample_group(1, 30)
    marked.columns[0][0] = MARK
    outcome = fit(step, marked)
    assert (outcome.status, outcome.chosen) == (Status.TIMED_OUT, None)


def test_what_losers_warn_of_is_not_told() -> None:
    outcome = fit(searching(call("Told", value=1.0), call("Told", value=2.0), metric="mae"), zeros(12))
    assert outcome.chosen == "Told(value=1.0)"
    assert outcome.warnings == ("UserWarning: told 1.0",)


# Few rows ---------------------------------------------------------------------------------------------------------


def test_fewer_rows_than_folds_are_as_many_folds() -> None:
    step = searching(*RIDGES, folds=10, metric="mae")
    outcome = fit(step, sample_group(1, 4))
    assert len(folds_of(step, sample_group(1, 4))) == 4
    assert len(outcome.candidates) == 3
    assert outcome.warnings == ()


def test_of_one_row_the_first_candidate_stands() -> None:
    outcome = fit(searching(*TREES), sample_group(1, 1))
    assert (outcome.status, outcome.chosen, outcome.candidates) == ("trained", "DecisionTreeRegressor(max_depth=1)", {})
    assert outcome.warnings == (
        "DecisionTreeRegressor(max_depth=1) stands as the first candidate: one row to fit on makes no folds",
    )


def test_folds_that_leave_one_class_are_not_measured_on() -> None:
    group = sample_group(2, 30, classes=[0, 1])
    label = [1 if i == 0 else 0 for i in range(30)]
    step = searching(LOGISTIC, BAYES, task="classification", metric="log_loss", folds=3)
    outcome = fit(step, Group(2, group.columns, label))
    kept = [(a, b) for a, b in folds_of(step, group) if len(set(np.asarray(label)[a])) > 1]
    assert len(kept) == 2
    assert len(outcome.candidates) == 2
    two = fit(
        searching(LOGISTIC, BAYES, task="classification", metric="log_loss"),
        Group(2, [c[:2] for c in group.columns], [0, 1]),
    )
    assert (two.status, two.chosen, two.candidates) == ("trained", "LogisticRegression()", {})
    assert two.warnings == ("LogisticRegression() stands as the first candidate: no fold leaves two classes to fit on",)


def test_a_group_of_one_class_has_no_choice() -> None:
    group = sample_group(2, 30)
    step = searching(LOGISTIC, BAYES, task="classification", metric="accuracy")
    outcome = fit(step, Group(2, group.columns, [1] * 30))
    assert (outcome.status, outcome.chosen, outcome.candidates) == (Status.ONE_CLASS, None, {})


def test_a_metric_that_is_defined_on_no_fold_leaves_the_first() -> None:
    outcome = fit(searching(*RIDGES, metric="r2", folds=5), sample_group(1, 5))
    assert (outcome.chosen, outcome.candidates) == ("Ridge(alpha=0.01)", {})
    assert outcome.warnings == ("Ridge(alpha=0.01) stands as the first candidate: r2 is defined on no fold",)


def test_a_candidate_that_cannot_be_measured_loses() -> None:
    step = searching(SVC, LOGISTIC, task="classification", metric="log_loss")
    outcome = fit(step, sample_group(3, 40, classes=[0, 1]))
    assert outcome.chosen == "LogisticRegression()"
    assert list(outcome.candidates) == ["LogisticRegression()"]
    assert outcome.warnings == ("LinearSVC(): log_loss is not defined on the same folds as of the others",)
