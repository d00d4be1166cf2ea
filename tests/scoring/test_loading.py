"""Bytes become models, and nothing else: what a hostile pickle would do is refused before any of it is done."""

from __future__ import annotations

import contextlib
import copyreg
import hashlib
import inspect
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import cache, partial
from importlib import metadata
from operator import attrgetter, methodcaller
from pathlib import Path
from types import ModuleType
from typing import Any

import fitted_estimators as fitted
import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from modelfactory.scoring import loading
from modelfactory.scoring.loading import BrokenModel, UnsafeModel, VersionMismatch, check_versions, load_model
from modelfactory.testing.models import is_finite
from modelfactory.training.encoding import encode_model


def load(data: bytes, *, format: str = "pickle", packages: tuple[str, ...] = ()) -> Any:
    return load_model(data, format=format, sha256=hashlib.sha256(data).hexdigest(), packages=packages)


def line() -> LinearRegression:
    return LinearRegression().fit(fitted.X, fitted.Y)


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def program(*instructions: bytes) -> bytes:
    return b"\x80\x05" + b"".join(instructions) + b"."


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is there when something was executed."""
    return tmp_path / "executed"


# Whole pickles ------------------------------------------------------------------------------------------------------


def test_the_hash_comes_first_and_nothing_is_read_of_other_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "check_pickle", lambda *_: pytest.fail("read"))
    encoded = encode_model(line())
    with pytest.raises(UnsafeModel, match="SHA-256"):
        load_model(encoded.data + b"x", format=encoded.format, sha256=encoded.sha256)


def test_small_and_large_models_load_as_they_are_encoded() -> None:
    forest = RandomForestRegressor(30).fit(fitted.X, fitted.Y)
    for model, format in ((line(), "pickle"), (forest, "pickle+zstd")):
        encoded = encode_model(model)
        assert encoded.format == format
        found = load_model(encoded.data, format=encoded.format, sha256=encoded.sha256)
        assert found.predict(fitted.X).tolist() == model.predict(fitted.X).tolist()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_system_command_is_refused_in_every_protocol(protocol: int, canary: Path) -> None:
    with pytest.raises(UnsafeModel):
        load(pickle.dumps(Calls(os.system, f"touch {canary}"), protocol=protocol))
    assert not canary.exists()


def hostile(canary: Path) -> dict[str, Any]:
    """Objects whose plain unpickling makes the canary, by the name that is to blame."""
    touch = f"touch {canary}"
    code = f"open({str(canary)!r}, 'w')"
    return {
        "posix.system": Calls(os.system, touch),
        "subprocess.call": Calls(subprocess.call, ["touch", str(canary)]),
        "subprocess.Popen": Calls(subprocess.Popen, ["touch", str(canary)]),
        "builtins.eval": Calls(eval, code),
        "builtins.exec": Calls(exec, code),
        "io.open": Calls(open, str(canary), "w"),
        "builtins.getattr": Calls(Calls(getattr, os, "system"), touch)
        if False
        else Calls(getattr, Calls(Path, str(canary)), "touch"),
        "builtins.__import__": Calls(__import__, "antigravity_of_nobody"),
        "operator.attrgetter": Calls(attrgetter("touch"), Path(canary)),
        "operator.methodcaller": Calls(methodcaller("touch"), Path(canary)),
        "pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(os.system, touch))),
        "codecs.encode": Calls(__import__("codecs").encode, "text", "rot13"),
        "numpy.load": Calls(np.load, str(canary)),
    }


@pytest.mark.parametrize("name", sorted(hostile(Path("x"))))
@pytest.mark.parametrize("inside", ["alone", "list", "array", "attribute", "partial", "chain"])
def test_hostile_objects_are_refused_wherever_they_are(name: str, inside: str, canary: Path) -> None:
    evil = hostile(canary)[name]
    model = line()
    model.extra_ = evil
    wholes: dict[str, Any] = {
        "alone": evil,
        "list": [1, (2, {"a": evil})],
        "array": np.array([1, evil], dtype=object),
        "attribute": model,
        "partial": Calls(partial, evil),
        "chain": Calls(partial, evil, state=(evil, (), {}, {})),
    }
    with pytest.raises(UnsafeModel, match=name.split(".")[1]):
        load(pickle.dumps(wholes[inside], protocol=5))
    assert not canary.exists()


def test_a_partial_cannot_be_called_by_the_pickle(canary: Path) -> None:
    made = named("functools", "partial") + named("numpy", "log") + b"\x85R"
    with pytest.raises(UnsafeModel, match="no name"):
        load(program(made, b")R"))


def test_a_pickle_inside_of_a_model_stays_bytes(canary: Path) -> None:
    model = line()
    model.extra_ = pickle.dumps(Calls(os.system, f"touch {canary}"))
    assert load(pickle.dumps(model, protocol=5)).extra_ == model.extra_
    assert not canary.exists()


def test_distributions_of_scipy_execute_their_state_and_are_refused() -> None:
    import scipy.stats

    with pytest.raises(UnsafeModel, match=r"`scipy\.stats\._"):
        load(pickle.dumps(scipy.stats.uniform(), protocol=5))


# Single instructions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.linear_model._base", "LinearRegression.__init__.__globals__"),
        ("sklearn.linear_model._base", "np"),
        ("sklearn.linear_model._base", "np.load"),
        ("sklearn.linear_model", "LinearRegression"),
        ("numpy", "ndarray.__new__"),
        ("__builtin__", "eval"),
        ("os", "system"),
    ],
)
def test_names_match_whole_and_exactly(module: str, name: str) -> None:
    for packages in ((), ("sklearn", "numpy", "os")):
        with pytest.raises(UnsafeModel, match=name.replace(".", r"\.")):
            load(program(named(module, name)), packages=packages)


def test_names_of_old_protocols_are_not_read() -> None:
    for data in (b"cposix\nsystem\n.", b"(S'touch x'\niposix\nsystem\n.", b"\x80\x02cposix\nsystem\n."):
        with pytest.raises(UnsafeModel, match="instruction"):
            load(data)


def test_registered_extensions_are_refused(canary: Path) -> None:
    copyreg.add_extension("posix", "system", 240)
    try:
        pickle.loads(program(b"\x82\xf0"))  # now it is in the cache, which no unpickler asks about
        with pytest.raises(UnsafeModel, match="0x82"):
            load(program(b"\x82\xf0", text(f"touch {canary}"), b"\x85R"))
    finally:
        copyreg.remove_extension("posix", "system", 240)
    assert not canary.exists()


def test_persistent_ids_are_refused() -> None:
    for instruction in (text("id") + b"Q", b"Pid\n"):
        with pytest.raises(UnsafeModel, match="instruction"):
            load(program(instruction))


def test_a_memo_as_large_as_all_memory_is_refused() -> None:
    with pytest.raises(UnsafeModel, match="instruction"):
        load(program(b"N", b"r\xff\xff\xff\xff"))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.linear_model._base", "LinearRegression"),
        ("sklearn._loss.link", "Interval"),
        ("sklearn.feature_selection._univariate_selection", "f_classif"),
    ],
)
def test_classes_and_functions_are_not_changed(module: str, name: str) -> None:
    found = getattr(sys.modules.get(module) or __import__(module, fromlist=[name]), name)
    before = dict(vars(found))
    for state in (
        b"}" + text("extra") + b"K\x01s",
        b"N}" + text("extra") + b"K\x01s\x86",
        b"N}" + text("__defaults__") + b")s\x86",
    ):
        with pytest.raises(UnsafeModel, match=f"{name}|__defaults__"):
            load(program(named(module, name), state, b"b"))
    assert dict(vars(found)) == before


def test_a_score_function_is_a_value_and_is_not_called() -> None:
    with pytest.raises(UnsafeModel, match=r"calls `.*f_classif`"):
        load(program(named("sklearn.feature_selection._univariate_selection", "f_classif"), b")R"))


def test_the_classes_of_numpy_are_not_left_to_who_could_call_them_later() -> None:
    found = load(program(named("numpy", "ndarray") + named("numpy.ma", "MaskedArray") + b"\x86"))
    assert not any(callable(item) for item in found)


def test_an_object_cannot_claim_to_be_memory() -> None:
    model = line()
    model.__dict__["__array_interface__"] = {"shape": (1,), "typestr": "<i8", "data": (8, False), "version": 3}
    with pytest.raises(UnsafeModel, match="__array_interface__"):
        load(pickle.dumps(model, protocol=5))
    model = line()
    model.__dict__["__class__"] = "x"
    with pytest.raises(UnsafeModel, match="__class__"):
        load(pickle.dumps(model, protocol=5))


def test_a_name_cannot_hide_in_a_text_of_numpy() -> None:
    model = line()
    memory = {"shape": (1,), "typestr": "<i8", "data": (8, False), "version": 3}
    model.__dict__[np.str_("__array_interface__")] = memory
    with pytest.raises(UnsafeModel, match="text of NumPy"):
        load(pickle.dumps(model, protocol=5))
    counts = {np.str_("__a"): 1, np.str_("b"): 2.0, np.str_("c"): np.int64(3)}
    assert load(pickle.dumps(counts, protocol=5)) == counts


def test_no_instruction_goes_on_behind_its_frame() -> None:
    inside, behind = b"\x8c\x02a", b"bc."  # reads `ab`, then `c`; the unpickler drops `a` and reads `bc`
    with pytest.raises(UnsafeModel, match="behind its frame"):
        load(b"\x80\x05\x95" + struct.pack("<Q", len(inside)) + inside + behind)
    inner = b"\x95" + struct.pack("<Q", 1) + b"N"
    with pytest.raises(UnsafeModel, match="frame in a frame"):
        load(b"\x80\x05\x95" + struct.pack("<Q", len(inner)) + inner + b".")
    assert load(b"\x80\x05\x95" + struct.pack("<Q", 3) + b"\x8c\x01a" + b".") == "a"


def test_models_of_many_frames_load() -> None:
    names = {f"{i:060d}": i for i in range(3000)}
    data = pickle.dumps([names, b"x" * 100_000, names], protocol=5)
    assert data.count(b"\x95") > 3
    assert load(data) == [names, b"x" * 100_000, names]


DTYPE = named("numpy", "dtype")
ZERO = b"K\x00"
OBJECT = DTYPE + text("O8") + b"\x89\x88\x87R"
DOUBLE = DTYPE + text("f8") + b"\x89\x88\x87R"
FIELDS = (
    DTYPE + text("V8") + b"\x89\x88\x87R(K\x03" + text("|") + b"N" + text("a") + b"\x85}\x94" + text("a") + DOUBLE
    + b"K\x00\x86sK\x08K\x01K\x10tb"
)  # fmt: skip


def array(state: bytes) -> bytes:
    ndarray = named("numpy", "ndarray") + ZERO + b"\x85" + b"C\x01b" + b"\x87"
    return named("numpy._core.multiarray", "_reconstruct") + ndarray + b"R" + state + b"b"


@pytest.mark.parametrize(
    "instructions",
    [
        # An array of objects with less objects than it says: NumPy reads on behind the list.
        array(b"(K\x01" + b"M\xff\xff\x85" + OBJECT + b"\x89]K\x01at"),
        # Objects made of bytes.
        array(b"(K\x01" + b"K\x01\x85" + OBJECT + b"\x89C\x08AAAAAAAAt"),
        named("numpy._core.numeric", "_frombuffer") + b"(C\x08AAAAAAAA" + OBJECT + b"K\x01\x85" + text("C") + b"tR",
        named("numpy._core.multiarray", "scalar") + OBJECT + b"C\x08AAAAAAAA\x86R",
        # A number that says it has a field of objects.
        DOUBLE + b"(K\x03" + text("<") + b"N" + text("a") + b"\x85}" + text("a") + OBJECT + b"K\x00\x86s"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        # A number that says it is an object.
        DOUBLE + b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb",
        # A structure whose field lies behind its end.
        DTYPE + text("V8") + b"\x89\x88\x87R(K\x03" + text("|") + b"N" + text("a") + b"\x85}" + text("a") + DOUBLE
        + b"K\x04\x86sK\x08K\x01K\x10tb",
        # A structure whose field is exchanged once it was looked at.
        FIELDS + b"h\x00" + text("a") + OBJECT + b"K\x00\x86s",
        # An array whose memory goes when it is made anew, whoever has looked at it.
        array(b"(K\x01K\x01\x85" + DOUBLE + b"\x89C\x08AAAAAAAAt") + b"(K\x01K\x00\x85" + DOUBLE + b"\x89C\x00tb",
        # Memory that is taken for an array when NumPy's class itself is called.
        named("numpy", "ndarray") + b"K\x01\x85\x85R",
        named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"M\xff\xff\x85C\x01O\x87R",
        # Code of dtypes that NumPy would have to interpret.
        DTYPE + text("O,O") + b"\x85R",
    ],
)  # fmt: skip
def test_what_numpy_would_believe_is_not_told_to_it(instructions: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        input=program(instructions),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.decode().startswith("UnsafeModel: error[MF507]: the model is not loaded: it"), (
        done.stdout,
        done.stderr,
    )
    assert done.returncode == 0


IN_A_PROCESS = """
import hashlib, sys
from modelfactory.scoring.loading import load_model
data = sys.stdin.buffer.read()
try:
    print("loaded", load_model(data, format="pickle", sha256=hashlib.sha256(data).hexdigest()))
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_random_state_calls_its_own_generators_only() -> None:
    maker = named("numpy.random._pickle", "__bit_generator_ctor")
    with pytest.raises(UnsafeModel, match="__bit_generator_ctor"):
        load(program(maker, named("sklearn.linear_model._base", "LinearRegression"), b"\x85R"))


def test_bytes_that_are_no_model_get_a_clear_error() -> None:
    whole = pickle.dumps(line(), protocol=5)
    for data in (b"", b"x", whole[:-1], whole[: len(whole) // 2], whole + b"N", b"\x80\x05", b"\x80\x05e."):
        with pytest.raises(UnsafeModel):
            load(data)
    with pytest.raises(BrokenModel, match="format"):
        load(whole, format="joblib")
    with pytest.raises(BrokenModel):
        load(b"not compressed", format="pickle+zstd")


@pytest.mark.parametrize("cut", range(2, 600, 7))
def test_a_pickle_that_is_cut_or_changed_anywhere_is_an_error_of_ours_or_a_model(cut: int) -> None:
    whole = pickle.dumps(line(), protocol=5)
    cut %= len(whole)
    with pytest.raises(UnsafeModel):
        load(whole[:cut])
    changed = whole[:cut] + bytes([whole[cut] ^ 0x15]) + whole[cut + 1 :]
    with contextlib.suppress(UnsafeModel):
        load(changed)


def test_the_code_that_is_shipped_to_workers_loads_models(tmp_path: Path) -> None:
    from modelfactory.spark.shipping import ship_code

    class Session:
        def addArtifacts(self, archive: str, *, pyfile: bool) -> None:
            self.archive = archive

    session: Any = Session()
    ship_code(session, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {session.archive!r})\n{IN_A_PROCESS}"],
        input=pickle.dumps(line(), protocol=5),
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.decode() == "loaded LinearRegression()\n", done


# Other packages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "a_foreign_package.py").write_text(
        "from os import system\nfrom subprocess import Popen\n"
        "class Model:\n    def __init__(self, slope=1):\n        self.slope = slope\n"
        "    class Inner: pass\n"
        "def run(): raise AssertionError('ran')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import a_foreign_package

    monkeypatch.setitem(sys.modules, "a_foreign_package", a_foreign_package)
    return a_foreign_package


def test_classes_of_an_allowed_package_load_and_the_error_says_how_to_allow_it(package: ModuleType) -> None:
    data = pickle.dumps(package.Model(3), protocol=5)
    with pytest.raises(UnsafeModel, match=r"`a_foreign_package\.Model`.*add `a_foreign_package` to `estimator_pack"):
        load(data)
    assert load(data, packages=("sklearn", "a_foreign_package")).slope == 3


@pytest.mark.parametrize("name", ["run", "system", "Popen", "Model.Inner", "Model.__init__", "__builtins__", "absent"])
def test_of_an_allowed_package_only_its_own_classes_load(package: ModuleType, name: str) -> None:
    with pytest.raises(UnsafeModel, match=name):
        load(program(named("a_foreign_package", name)), packages=("a_foreign_package",))


def test_classes_of_an_allowed_package_are_not_changed(package: ModuleType) -> None:
    state = b"N}" + text("slope") + b"K\x01s\x86b"
    with pytest.raises(UnsafeModel, match="change"):
        load(program(named("a_foreign_package", "Model"), state), packages=("a_foreign_package",))
    assert not hasattr(package.Model, "slope")


# Every estimator ----------------------------------------------------------------------------------------------------

REFUSED: dict[str, str] = {}
"""Classes of scikit-learn whose fitted estimators do not load, and why; there are none."""
EXPERIMENTAL = {"HalvingGridSearchCV", "HalvingRandomSearchCV", "IterativeImputer"}
"""Classes that are there only when somebody has asked for them; the imputer is among the parts."""


@cache
def everything() -> dict[str, Callable[[], Any]]:
    classes = {name: partial(fitted.fit_class, cls) for name, cls in fitted.classes().items()}
    return {**{name: make for name, make in classes.items() if name not in EXPERIMENTAL}, **dict(fitted.parts())}


@pytest.mark.parametrize("name", sorted(everything()))
def test_every_fitted_estimator_of_scikit_learn_loads_again_and_passes_for_sound(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = everything()[name]()
        data = pickle.dumps(model, protocol=5)
        if name in REFUSED:
            with pytest.raises(UnsafeModel):
                load(data)
            return
        found = load(data)
        assert type(found) is type(model)
        assert is_finite(found)
        # The restricted way gives what the plain way gives, to the byte.
        plain = pickle.loads(data)
        assert pickle.dumps(found, protocol=5) == pickle.dumps(plain, protocol=5)
        for method in ("predict", "transform", "predict_proba"):
            if hasattr(model, method) and hasattr(model, "n_features_in_"):
                assert answers(found, method) == answers(plain, method)


def answers(model: Any, method: str) -> Any:
    """What a model says of the rows; or how it refuses them, since some take others."""
    try:
        said = getattr(model, method)(fitted.X)
    except Exception as error:
        return type(error)
    said = said.toarray() if hasattr(said, "toarray") else np.asarray(said)
    return said.tobytes() if said.dtype != object else said.tolist()


def test_every_class_is_tried() -> None:
    assert set(REFUSED) <= set(everything())
    assert set(fitted.classes()) - set(EXPERIMENTAL) <= set(everything())
    assert len(fitted.classes()) > 190


def test_what_is_admitted_is_there_by_its_name_or_was_in_another_release() -> None:
    for (module, name), uses in loading._names().items():
        assert "." not in name
        assert module.partition(".")[0] in ("sklearn", "numpy", "scipy", "builtins", "functools"), module
        assert not inspect.ismodule(getattr(sys.modules.get(module), name, None)), (module, name)
        if "call" in uses and name not in ("slice", "partial"):
            assert module.startswith(("numpy", "sklearn.")), (module, name)


# Versions ------------------------------------------------------------------------------------------------------------


def test_another_scikit_learn_is_an_error_unless_it_is_allowed() -> None:
    here = metadata.version("scikit-learn")
    check_versions({"scikit-learn": here, "numpy": "0.1"}, allow_mismatch=False)
    for libraries in ({"scikit-learn": "0.19.2"}, {"scikit-learn": f"{here}.post1"}, {}):
        with pytest.raises(VersionMismatch, match="allow_version_mismatch") as caught:
            check_versions(libraries, allow_mismatch=False)
        assert here in str(caught.value)
        assert libraries.get("scikit-learn", "unknown") in str(caught.value)
        check_versions(libraries, allow_mismatch=True)


def test_the_warning_of_another_version_is_silenced_where_it_is_allowed() -> None:
    here = metadata.version("scikit-learn").encode()
    data = pickle.dumps(line(), protocol=5).replace(here, b"9" * len(here))
    with pytest.raises(UnsafeModel, match="InconsistentVersionWarning"), loading.silenced_mismatch(allowed=False):
        load(data)
    with loading.silenced_mismatch(allowed=True):
        assert load(data).coef_.shape == (4,)


def test_versions_are_compared_without_scikit_learn() -> None:
    code = (
        "import sys; from modelfactory.scoring.loading import check_versions, _names; "
        "check_versions({'scikit-learn': 'x'}, allow_mismatch=True); _names(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# skops ---------------------------------------------------------------------------------------------------------------


def test_models_written_by_skops_load() -> None:
    model = line()
    encoded = encode_model(model, "skops")
    assert encoded.format == "skops"
    found = load_model(encoded.data, format="skops", sha256=encoded.sha256)
    assert found.predict(fitted.X).tolist() == model.predict(fitted.X).tolist()


def test_types_that_are_not_admitted_are_refused_in_skops_too(package: ModuleType) -> None:
    model = line()
    model.extra_ = package.Model(3)
    encoded = encode_model(model, "skops")
    with pytest.raises(UnsafeModel, match=r"a_foreign_package\.Model.*estimator_packages"):
        load(encoded.data, format="skops")
    assert load(encoded.data, format="skops", packages=("a_foreign_package",)).extra_.slope == 3


def test_functions_of_an_allowed_package_are_refused_in_skops_too(package: ModuleType) -> None:
    model = line()
    model.extra_ = package.run
    with pytest.raises(UnsafeModel, match="run"):
        load(encode_model(model, "skops").data, format="skops", packages=("a_foreign_package",))


def rewritten(model: Any, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A model that skops has written, with other attributes."""
    before, after = zipfile.ZipFile(io.BytesIO(encode_model(model, "skops").data)), io.BytesIO()
    with zipfile.ZipFile(after, "w") as archive:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                change(schema["content"])
                content = json.dumps(schema).encode()
            archive.writestr(name, content)
    return after.getvalue()


def skops_number(content: str) -> dict[str, Any]:
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": content, "is_json": True}


def test_an_object_of_skops_cannot_claim_to_be_memory_either() -> None:
    model = line()
    model.__dict__["__array_interface__"] = {"shape": (1,), "typestr": "<i8", "data": (8, False), "version": 3}
    with pytest.raises(UnsafeModel, match="__array_interface__"):
        load(encode_model(model, "skops").data, format="skops")
    model = line()
    model.names_ = {"__a": 1, np.int64(3): 2.0, 2.5: None, np.str_("b"): "c", True: [1]}
    assert load(encode_model(model, "skops").data, format="skops").names_ == model.names_


def test_names_cannot_hide_in_what_skops_takes_for_others() -> None:
    def call(attributes: dict[str, Any]) -> None:
        """Make keys by a call of `slice`."""
        attributes["key_types"]["content"][0] |= {"__class__": "slice"}

    def other(attributes: dict[str, Any]) -> None:
        """Make keys by what has the number of `str` and is something else."""
        attributes["content"]["tol"]["__id__"] = attributes["key_types"]["content"][0]["__id__"]

    def others(attributes: dict[str, Any]) -> None:
        """Make keys by what has the number of a list of types and is a list of others."""
        types = attributes["key_types"]
        attributes["content"]["tol"] = types | {"content": [types["content"][0] | {"__class__": "slice", "__id__": 1}]}

    def hidden(attributes: dict[str, Any]) -> None:
        attributes["content"]["tol"] = skops_number('{"__class__": 1}')

    for change, said in (
        (call, "keys are made"),
        (other, "under one number"),
        (others, "under one number"),
        (hidden, "a dict or a list"),
    ):
        with pytest.raises(UnsafeModel, match=said):
            load(rewritten(line(), change), format="skops")


def test_methods_are_refused_in_skops_too() -> None:
    model = line()
    model.extra_ = np.arange(3).tofile
    with pytest.raises(UnsafeModel, match="tofile"):
        load(encode_model(model, "skops").data, format="skops")


def test_without_skops_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_model(line(), "skops").data
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(BrokenModel, match=r"pip install 'modelfactory-spark\[skops\]'"):
        load(data, format="skops")


def test_what_skops_does_not_know_is_an_error() -> None:
    with pytest.raises(BrokenModel):
        load(io.BytesIO(b"no archive").getvalue(), format="skops")
