"""The walker: however a sorted stream is cut into batches, the same groups come out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training_samples import Group, call, cut, holdout, make_batch, make_step, rows_of, sample_group, train

from modelfactory.plan.steps import Feature, FitStep
from modelfactory.training.batches import GroupRows, read_chunk, whole_groups

MIXED = (Feature("a", "numeric"), Feature("town", "categorical"), Feature("b", "numeric"))
LINEAR = make_step(call("sklearn.linear_model.LinearRegression"), features=("a", "b"), evaluation=holdout(0.3))
FULL = make_step("Mean", features=MIXED, container="frame", has_weight=True, has_time=True)

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def cut_streams(draw: st.DrawFn, longest: int = 12) -> tuple[list[int], list[int]]:
    """Sizes of groups, and rows at which the stream is cut; equal ones make empty batches."""
    sizes = draw(st.lists(st.integers(1, longest), min_size=1, max_size=8))
    points = draw(st.lists(st.integers(0, sum(sizes)), max_size=12))
    return sizes, points


def _mixed_groups(sizes: list[int]) -> list[Group]:
    rng = np.random.default_rng(len(sizes))
    groups = []
    for index, n in enumerate(sizes):
        numbers = [None if rng.random() < 0.2 else float(rng.normal()) for _ in range(n)]
        towns = [None if rng.random() < 0.2 else f"town {rng.integers(3)} é" for _ in range(n)]
        groups.append(
            Group(
                # Identities are hashes: of either sign, in no order that means anything, and extreme at times.
                (-(2**63), 2**63 - 1, 0, -1, 7, 5, 3, 2)[index],
                (numbers, towns, rng.normal(size=n)),
                rng.normal(size=n),
                weight=rng.uniform(size=n),
                time=[None if rng.random() < 0.2 else float(t) for t in range(n)],
            )
        )
    return groups


def _assert_same(found: GroupRows, wanted: GroupRows) -> None:
    assert found.group == wanted.group
    assert found.digest == wanted.digest
    for name in ("row_hash", "label", "weight", "time"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    features, wanted_features = found.features(), wanted.features()
    assert type(features) is type(wanted_features)
    if isinstance(features, np.ndarray):
        np.testing.assert_array_equal(features, wanted_features)
    else:
        assert features.equals(wanted_features)
        assert list(features.dtypes) == list(wanted_features.dtypes)
        assert list(features.index) == list(range(len(found)))


def _groups_of(step: FitStep, batches: list[pa.RecordBatch]) -> list[GroupRows]:
    chunks = [read_chunk(step, table) for table in whole_groups(batches)]
    return [chunk.group(index) for chunk in chunks for index in range(len(chunk))]


# Any cutting gives the same groups --------------------------------------------------------------------------------


@quick
@given(stream=cut_streams())
def test_whole_groups_never_cuts_a_group_nor_loses_a_row(stream: tuple[list[int], list[int]]) -> None:
    sizes, points = stream
    batch = make_batch(FULL, *_mixed_groups(sizes))
    chunks = list(whole_groups(cut(batch, points)))
    assert all(chunk.num_rows for chunk in chunks)
    assert pa.concat_tables(chunks).combine_chunks().equals(pa.Table.from_batches([batch]).combine_chunks())
    seen: set[int] = set()
    for chunk in chunks:
        here = set(chunk.column(0).to_pylist())
        assert not here & seen
        seen |= here


@quick
@given(stream=cut_streams())
@pytest.mark.parametrize("container", ["matrix", "frame"])
def test_any_cutting_gives_the_same_groups(container: str, stream: tuple[list[int], list[int]]) -> None:
    sizes, points = stream
    features = MIXED if container == "frame" else ("a", "b")
    step = make_step("Mean", features=features, container=container, has_weight=True, has_time=True)
    groups = _mixed_groups(sizes)
    if container == "matrix":
        groups = [Group(g.group, (g.columns[0], g.columns[2]), g.label, g.weight, g.time) for g in groups]
    wanted = [rows_of(step, group) for group in groups]
    found = _groups_of(step, cut(make_batch(step, *groups), points))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        _assert_same(one, other)


@settings(deadline=None, max_examples=20)
@given(stream=cut_streams(longest=25))
def test_any_cutting_gives_the_same_models_to_the_byte(stream: tuple[list[int], list[int]]) -> None:
    sizes, points = stream
    groups = [sample_group(100 - index, n, 2) for index, n in enumerate(sizes)]
    batch = make_batch(LINEAR, *groups)
    wanted, found = train(LINEAR, [batch]), train(LINEAR, cut(batch, points))
    assert found.keys() == wanted.keys() == {g.group for g in groups}
    for group, outcome in found.items():
        for name in ("status", "data_digest", "n_train", "n_test", "metrics", "baseline", "model", "sha256", "error"):
            assert outcome[name] == wanted[group][name], name


@pytest.mark.parametrize(
    "path",
    [
        "sklearn.tree.DecisionTreeClassifier",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.naive_bayes.GaussianNB",
    ],
)
def test_cutting_does_not_change_classifiers_of_text_labels(path: str) -> None:
    step = make_step(call(path), task="classification", evaluation=holdout(0.3, "accuracy"))
    groups = [sample_group(group, 30, classes=["no", "yes", "été"]) for group in range(4)]
    batch = make_batch(step, *groups)
    wanted = train(step, [batch])
    assert {o["status"] for o in wanted.values()} == {"trained"}
    for points in ([1, 2, 3, 29, 30, 31, 60, 60, 61, 119], list(range(120))):
        found = train(step, cut(batch, points))
        assert {g: o["sha256"] for g, o in found.items()} == {g: o["sha256"] for g, o in wanted.items()}


@quick
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), seed=st.integers(0, 99), few=st.booleans())
def test_rows_are_sorted_by_hash_inside_their_group(sizes: list[int], seed: int, few: bool) -> None:
    """Also where hashes differ in their last bits only, or not at all."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    hashes = rng.integers(0, 4, n) - 2 if few else rng.integers(-(2**63), 2**63 - 1, n)
    step = make_step("Mean", features=("a",))
    ids = np.repeat(rng.permutation(len(sizes)), sizes)
    table = pa.table({"g": ids, "h": hashes, "a": hashes.astype(float), "y": hashes.astype(float)})
    chunk = read_chunk(step, table)
    start = 0
    for index, size in enumerate(sizes):
        group = chunk.group(index)
        assert group.row_hash.tolist() == sorted(hashes[start : start + size].tolist())
        assert group.features()[:, 0].tolist() == group.label.tolist() == group.row_hash.astype(float).tolist()
        start += size


def test_one_group_over_many_batches_of_a_row() -> None:
    step = make_step("Mean")
    batch = make_batch(step, sample_group(9, 50))
    (found,) = _groups_of(step, cut(batch, range(1, 50)))
    _assert_same(found, rows_of(step, sample_group(9, 50)))


def test_a_single_row() -> None:
    step = make_step("Mean")
    (found,) = _groups_of(step, [make_batch(step, sample_group(9, 1))])
    assert len(found) == 1
    assert found.features().shape == (1, 3)


@pytest.mark.parametrize("n_empty", [0, 1, 3])
def test_a_stream_without_rows_gives_nothing(n_empty: int) -> None:
    empty = make_batch(LINEAR, sample_group(1, 5, 2)).slice(0, 0)
    assert list(whole_groups([empty] * n_empty)) == []
    assert train(LINEAR, [empty] * n_empty) == {}


def test_chunks_come_before_the_stream_ends() -> None:
    """A bin of many groups is walked batch by batch, never gathered first."""
    step = make_step("Mean")
    pulled = []

    def stream():
        for index in range(6):
            pulled.append(index)
            yield make_batch(step, sample_group(2 * index, 3), sample_group(2 * index + 1, 3))

    chunks = whole_groups(stream())
    next(chunks)
    assert len(pulled) <= 2


# What a group looks like ------------------------------------------------------------------------------------------


def test_nulls_become_nan_in_a_matrix() -> None:
    step = make_step("Mean", features=("a", "b"))
    rows = rows_of(step, Group(1, ([1.0, None, float("nan")], [None, None, None]), [0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(rows.features(), [[1.0, np.nan], [np.nan, np.nan], [np.nan, np.nan]])
    assert rows.features().dtype == np.float64


def test_nulls_in_a_frame() -> None:
    step = make_step("Mean", features=MIXED, container="frame")
    rows = rows_of(step, Group(1, ([1.0, None], ["x", None], [None, None]), [0.0, 1.0]))
    frame = rows.features()
    assert list(frame.columns) == ["a", "town", "b"]
    assert [str(t) for t in frame.dtypes] == ["float64", "object", "float64"]
    assert frame["town"].tolist() == ["x", None]
    assert np.isnan(frame["a"][1])
    assert frame["b"].isna().all()


def test_a_category_that_is_null_in_every_row() -> None:
    step = make_step("Mean", features=MIXED, container="frame")
    frame = rows_of(step, Group(1, ([1.0, 2.0], [None, None], [3.0, 4.0]), [0.0, 1.0])).features()
    assert frame["town"].tolist() == [None, None]
    assert frame["town"].dtype == object


def test_nulls_in_weight_and_time_become_nan() -> None:
    step = make_step("Mean", features=("a",), has_weight=True, has_time=True)
    rows = rows_of(step, Group(1, ([1.0, 2.0],), [0.0, 1.0], weight=[None, 2.0], time=[3.0, None]))
    np.testing.assert_array_equal(rows.weight, [np.nan, 2.0])
    np.testing.assert_array_equal(rows.time, [3.0, np.nan])


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([1, 2, 2], "i"), ([True, False, True], "b"), ([1.5, 2.0, -0.0], "f"), (["b", "a", "b"], "O")],
)
def test_labels_keep_their_type(labels: list, kind: str) -> None:
    step = make_step("Mean", features=("a",), task="classification")
    rows = rows_of(step, Group(1, ([1.0, 2.0, 3.0],), labels))
    assert rows.label.dtype.kind == kind
    assert rows.label.tolist() == labels


def test_an_unsupervised_group_has_no_label() -> None:
    step = make_step("Mean", features=("a",), task="unsupervised")
    rows = rows_of(step, Group(1, ([1.0, 2.0],)))
    assert rows.label is None
    assert rows.weight is None
    assert rows.time is None


@pytest.mark.parametrize("container", ["matrix", "frame"])
def test_a_matrix_is_laid_out_as_scikit_learn_finds_it_in_a_frame(container: str) -> None:
    step = make_step("Mean", container=container)
    group = sample_group(3, 20)
    rows = rows_of(step, group)
    chosen = np.array([0, 3, 4, 11, 19])
    for found, wanted in (
        (rows.features(), group.frame(step)),
        (rows.features(chosen), group.frame(step).iloc[chosen]),
    ):
        found_values, wanted_values = np.asarray(found), wanted.to_numpy()
        np.testing.assert_array_equal(found_values, wanted_values)
        assert found_values.flags.f_contiguous == wanted_values.flags.f_contiguous
        assert found_values.flags.c_contiguous == wanted_values.flags.c_contiguous


def test_negative_zero_and_extreme_numbers_travel_to_the_bit() -> None:
    values = [-0.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"), 2.0**53 + 2]
    step = make_step("Mean", features=("a",))
    rows = rows_of(step, Group(1, (values,), values))
    assert rows.features()[:, 0].tobytes() == np.array(values).tobytes()
    assert rows.label.tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize("container", ["matrix", "frame"])
@pytest.mark.parametrize("evaluation", [None, holdout(0.3), holdout(0.3, refit=True)])
def test_a_group_that_writes_into_its_rows_spares_its_neighbours(container: str, evaluation: object) -> None:
    groups = [sample_group(group, 20) for group in range(3)]
    quiet = make_step("Mean", container=container, evaluation=evaluation)
    loud = make_step("Mutates", container=container, evaluation=evaluation)
    wanted = train(quiet, [make_batch(quiet, *groups)])
    found = train(loud, [make_batch(loud, *groups)])
    for group, outcome in found.items():
        assert outcome["status"] == "trained"
        assert outcome["metrics"] == wanted[group]["metrics"]
        assert outcome["baseline"] == wanted[group]["baseline"]
