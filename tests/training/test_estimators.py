"""Estimators out of calls, and their random states."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_samples import call, fit, loaded, make_batch, make_step, pipeline, sample_group, train

from modelfactory.training.estimators import construct, group_seed, make_template

FOREST = call("sklearn.ensemble.RandomForestRegressor", n_estimators=3, max_depth=3)


# construct --------------------------------------------------------------------------------------------------------


def test_calls_become_estimators_inside_lists_tuples_and_mappings() -> None:
    made = construct(
        call(
            "sklearn.compose.ColumnTransformer",
            transformers=[
                ("numbers", call("sklearn.preprocessing.StandardScaler", with_mean=False), ["a"]),
                ("rest", "passthrough", ["b"]),
            ],
        )
    )
    assert type(made).__name__ == "ColumnTransformer"
    assert made.transformers[0][1].get_params()["with_mean"] is False
    assert made.transformers[1] == ("rest", "passthrough", ["b"])
    assert type(construct({"k": [(call("sklearn.linear_model.Ridge", alpha=2.0),)]})["k"][0][0]).__name__ == "Ridge"


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", [1, 2], (1, 2), {"a": 1}])
def test_plain_values_stay(value: object) -> None:
    made = construct(call("Dice", other=value)).other
    assert made == value
    assert type(made) is type(value)


def test_no_estimator_shares_a_mutable_parameter_with_the_plan() -> None:
    listed = [[1.0], [2.0]]
    step = call("Dice", other=listed)
    made = make_template(step, 0).for_group(1)
    made.other[0][0] = 99.0
    assert listed == [[1.0], [2.0]]
    assert make_template(step, 0).for_group(1).other == [[1.0], [2.0]]


def test_groups_share_no_estimator() -> None:
    template = make_template(pipeline(call("sklearn.preprocessing.StandardScaler"), FOREST), 0)
    one, other = template.for_group(1), template.for_group(1)
    assert one is not other
    assert one.steps[0][1] is not other.steps[0][1]
    assert one.steps[1][1] is not template.estimator.steps[1][1]


# Random states ----------------------------------------------------------------------------------------------------


def test_the_seed_of_a_group_comes_from_its_key_and_the_family() -> None:
    template = make_template(FOREST, 5)
    assert template.random_states == ("random_state",)
    assert template.for_group(7).random_state == template.for_group(7).random_state
    assert template.for_group(7).random_state == make_template(FOREST, 5).for_group(7).random_state
    assert template.for_group(7).random_state != template.for_group(8).random_state
    assert template.for_group(7).random_state != make_template(FOREST, 6).for_group(7).random_state


@settings(deadline=None)
@given(seed=st.integers(0, 2**70), group=st.integers(-(2**63), 2**63 - 1), name=st.text(max_size=20))
def test_a_seed_is_one_that_scikit_learn_takes(seed: int, group: int, name: str) -> None:
    found = group_seed(seed, group, name)
    assert 0 <= found < 2**31
    np.random.RandomState(found)


def test_seeds_of_many_groups_hardly_ever_meet() -> None:
    seeds = {group_seed(0, group, "random_state") for group in range(10_000)}
    assert len(seeds) >= 9_998  # 10,000 draws out of 2**31 meet 0.02 times on average


def test_an_explicit_random_state_is_respected() -> None:
    step = make_step(call("Dice", random_state=42))
    groups = [sample_group(g, 5) for g in (1, 2)]
    found = {g: pickle.loads(o["model"]) for g, o in train(step, [make_batch(step, *groups)]).items()}
    assert {m.random_state for m in found.values()} == {42}
    assert {m.draw_ for m in found.values()} == {np.random.RandomState(42).random_sample()}


def test_an_explicit_zero_is_not_an_open_random_state() -> None:
    assert make_template(call("Dice", random_state=0), 3).random_states == ()


def test_an_open_random_state_differs_between_groups_and_not_between_runs() -> None:
    step = make_step("Dice", seed=1)
    groups = [sample_group(g, 5) for g in range(20)]
    batch = make_batch(step, *groups)
    first, second = train(step, [batch]), train(step, [batch])
    assert {g: o["model"] for g, o in first.items()} == {g: o["model"] for g, o in second.items()}
    assert len({pickle.loads(o["model"]).draw_ for o in first.values()}) == 20
    other = train(make_step("Dice", seed=2), [batch])
    assert all(other[g]["model"] != o["model"] for g, o in first.items())


def test_random_states_inside_pipelines_and_ensembles_are_set() -> None:
    nested = call(
        "sklearn.ensemble.BaggingRegressor", estimator=call("sklearn.tree.ExtraTreeRegressor"), n_estimators=2
    )
    template = make_template(pipeline(call("sklearn.decomposition.PCA", n_components=2), nested), 0)
    assert template.random_states == (
        "baggingregressor__estimator__random_state",
        "baggingregressor__random_state",
        "pca__random_state",
    )
    made = template.for_group(1)
    states = [made.get_params()[name] for name in template.random_states]
    assert None not in states
    assert len(set(states)) == 3


def test_a_part_with_an_explicit_random_state_keeps_it_beside_open_ones() -> None:
    inner = call("sklearn.tree.ExtraTreeRegressor", random_state=3)
    made = make_template(call("sklearn.ensemble.BaggingRegressor", estimator=inner), 0).for_group(1)
    assert made.estimator.random_state == 3
    assert made.random_state not in (None, 3)


def test_members_of_voting_get_seeds() -> None:
    voting = call("sklearn.ensemble.VotingRegressor", estimators=[("one", FOREST), ("two", FOREST)])
    made = make_template(voting, 0).for_group(1)
    states = [member.random_state for _, member in made.estimators]
    assert None not in states
    assert states[0] != states[1]


def test_the_order_of_groups_does_not_change_any_model() -> None:
    step = make_step(FOREST)
    groups = [sample_group(g, 15) for g in range(6)]
    forwards = train(step, [make_batch(step, *groups)])
    backwards = train(step, [make_batch(step, *reversed(groups))])
    alone = {g.group: train(step, [make_batch(step, g)])[g.group] for g in groups}
    assert {g: o["sha256"] for g, o in forwards.items()} == {g: o["sha256"] for g, o in backwards.items()}
    assert {g: o["sha256"] for g, o in forwards.items()} == {g: o["sha256"] for g, o in alone.items()}


def test_the_global_random_state_does_not_matter() -> None:
    step = make_step(pipeline(call("sklearn.preprocessing.StandardScaler"), FOREST))
    found = set()
    before = np.random.get_state()
    try:
        for seed in (1, 2):
            np.random.seed(seed)
            found.add(fit(step, sample_group(1, 20)).model.sha256)
    finally:
        np.random.set_state(before)
    assert len(found) == 1


# Duck-typed estimators --------------------------------------------------------------------------------------------


def test_a_class_with_nothing_but_fit_and_predict_is_trained() -> None:
    """The contract asks for the `fit`/`predict` protocol, not for `get_params`."""
    found = fit(make_step(call("PlainMean", shift=2.0)), sample_group(1, 10))
    assert (found.status, found.error) == ("trained", None)
    assert loaded(found.model).shift == 2.0


def test_models_of_such_a_class_are_apart() -> None:
    step = make_step("PlainMean")
    groups = [sample_group(g, 10) for g in (1, 2)]
    found = train(step, [make_batch(step, *groups)])
    assert [o["error"] for o in found.values()] == [None, None]
    means = [pickle.loads(o["model"]).mean for o in found.values()]
    assert means == [float(np.mean(g.label)) for g in groups]


def test_a_foreign_step_of_a_pipeline_draws_the_same_whatever_came_before() -> None:
    """It draws from NumPy's global random state, which other groups of the bin move."""
    step = make_step(pipeline(call("sklearn.preprocessing.StandardScaler"), call("GlobalDice")))
    alone = train(step, [make_batch(step, sample_group(5, 10))])[5]
    behind = train(step, [make_batch(step, sample_group(4, 10), sample_group(5, 10))])[5]
    assert behind["sha256"] == alone["sha256"]
