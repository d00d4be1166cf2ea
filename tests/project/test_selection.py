"""What selectors choose: dbt's cases on two small projects, what is added to them, and laws."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import PROJECTS, load, write_project

from modelfactory.diagnostics import InputError
from modelfactory.project.graph import Graph, source_id
from modelfactory.project.matching import Selectable
from modelfactory.project.selection import Selected, Told, select_nodes, selectables
from modelfactory.project.selectors import (
    AllOf,
    AnyOf,
    Around,
    Criterion,
    Expression,
    Not,
    Walk,
    parse_options,
)


class Project:
    """Nodes with their edges."""

    def __init__(
        self,
        nodes: Sequence[Selectable],
        parents: Mapping[str, tuple[str, ...]],
        *,
        named: Mapping[str, str] | None = None,
        states: Told | None = None,
        results: Told | None = None,
    ) -> None:
        self.nodes = nodes
        self.graph = Graph(tuple(node.id for node in nodes), parents)
        self.named = {name: parse_options([text], option=name) for name, text in (named or {}).items()}
        self.states = states
        self.results = results

    def select(self, select: Sequence[str], exclude: Sequence[str] = ()) -> Selected:
        return select_nodes(
            self.nodes,
            parse_options(select, option="--select") if select else None,
            parse_options(exclude, option="--exclude") if exclude else None,
            named=self.named,
            graph=lambda: self.graph,
            states=self.states,
            results=self.results,
        )

    def chosen(self, select: str, exclude: str = "") -> set[str]:
        """Return the nodes that a selection chooses; of an empty text nothing is chosen or excluded."""
        found = self.select([select], [exclude] if exclude else [])
        return {*found.families, *map(source_id, found.sources)}


def family(path: str, *tags: str, owner: str | None = None, project: str = "retail", **config: Any) -> Selectable:
    """Return a family by its path below `families`, with its name as the last part and the file's ending."""
    *folders, name, ending = path.replace(".", "/").split("/")
    return Selectable(
        id=name,
        kind="family",
        name=name,
        fqn=(project, *folders, name),
        paths=(f"families/{'/'.join([*folders, name])}.{ending}",),
        tags=tags,
        owner=owner,
        estimators=(config["estimator"],) if "estimator" in config else (),
        config=lambda: (config,),
    )


def source(name: str, file: str) -> Selectable:
    return Selectable(
        id=source_id(name), kind="source", name=name, fqn=("retail", name), paths=(f"sources/{file}.yml",)
    )


# The cases that the field notes have gathered from dbt's own -------------------------------------------------------

PII = {"meta": {"pii": True}}
RETAIL = Project(
    (
        source("raw_sales", "raw"),
        source("raw_prices", "raw"),
        source("raw_customers", "raw"),
        source("crm_events", "crm"),
        family("demand/store/store_demand.yml", "nightly", estimator="Ridge", group_by=["store_id"]),
        family("demand/sku/sku_demand.yml", "nightly", "heavy", estimator="Lasso", group_by=["store_id", "sku_id"]),
        family("demand/sku/sku_promo_lift.yml", "weekly", estimator="Ridge", group_by=["sku_id"]),
        family("demand/blend/demand_blend.yml", "nightly", owner="ops", estimator="some.package.Blend", seed=7),
        family("customer/churn_v1.yml", "weekly", "pii", owner="crm", **PII),
        family("customer/churn_v2.yml", "weekly", "pii", owner="crm", **PII),
        family("customer/churn_v3.yml", "weekly", "pii", owner="crm", **PII),
        family("customer/ltv.yml", owner="crm", **PII),
        family("pricing/elasticity.toml", "weekly", group_by=["sku_id"], min_rows=30, share=0.5),
        family("seasonal_naive.yml", project="mf_ext"),
    ),
    {
        "store_demand": ("source:raw_sales",),
        "sku_demand": ("source:raw_sales",),
        "seasonal_naive": ("source:raw_sales",),
        "elasticity": ("source:raw_prices",),
        "sku_promo_lift": ("sku_demand", "elasticity"),
        "demand_blend": ("store_demand", "sku_demand", "seasonal_naive"),
        "churn_v1": ("source:raw_customers",),
        "churn_v2": ("source:raw_customers", "source:crm_events"),
        "churn_v3": ("source:raw_customers", "source:crm_events"),
        "ltv": ("churn_v2",),
    },
    named={
        "nightly_light": "tag:nightly,!tag:heavy",
        "nested": "selector:nightly_light elasticity",
        "crm_all": "source:crm_events+",
    },
    states=lambda: {
        "store_demand": frozenset({"modified", "modified.body"}),
        "demand_blend": frozenset({"modified", "modified.configs"}),
        "churn_v3": frozenset({"new"}),
    },
    results=lambda: {
        "elasticity": frozenset({"error"}),
        "store_demand": frozenset({"success", "trained", "failed"}),
        "sku_demand": frozenset({"success", "trained"}),
    },
)
NIGHTLY = "store_demand sku_demand demand_blend"
DEMAND = "store_demand sku_demand sku_promo_lift demand_blend"
CHURN = "churn_v1 churn_v2 churn_v3"


@pytest.mark.parametrize(
    ("select", "exclude", "names"),
    [
        ("store_demand", "", "store_demand"),
        ("retail.demand.store.store_demand", "", "store_demand"),
        ("demand.store.store_demand", "", "store_demand"),
        ("demand", "", DEMAND),
        ("retail.demand", "", DEMAND),
        ("demand.sku", "", "sku_demand sku_promo_lift"),
        ("sku", "", ""),
        ("store.store_demand", "", ""),
        ("demand.store.store_demand.more", "", ""),
        ("dem", "", ""),
        ("DEMAND", "", ""),
        ("retail", "", f"{DEMAND} {CHURN} ltv elasticity"),
        ("mf_ext", "", "seasonal_naive"),
        ("*.sku_*", "", "sku_demand sku_promo_lift"),
        ("*sku_demand", "", "sku_demand"),
        ("*.?ku_demand", "", "sku_demand"),
        ("demand.*.sku_*", "", "sku_demand sku_promo_lift"),
        ("demand.s*", "", "store_demand sku_demand sku_promo_lift"),
        ("retail.[cp]*", "", f"{CHURN} ltv elasticity"),
        ("*", "", f"{DEMAND} {CHURN} ltv elasticity seasonal_naive"),
        ("tag:night*", "", NIGHTLY),
        ("tag:NIGHTLY", "", ""),
        ("tag:nightly tag:weekly", "", f"{DEMAND} {CHURN} elasticity"),
        ("tag:nightly,tag:heavy", "", "sku_demand"),
        ("tag:nightly,tag:pii", "", ""),
        ("tag:nightly", "tag:heavy", "store_demand demand_blend"),
        ("tag:nightly tag:weekly", "tag:pii elasticity", DEMAND),
        ("tag:weekly", "tag:weekly,tag:pii", "elasticity sku_promo_lift"),
        ("tag:weekly", "@ltv", "churn_v1 churn_v3 elasticity sku_promo_lift"),
        ("+demand_blend", "", f"{NIGHTLY} seasonal_naive source:raw_sales"),
        ("1+demand_blend", "", f"{NIGHTLY} seasonal_naive"),
        ("0+demand_blend", "", "demand_blend"),
        ("sku_demand+1", "", "sku_demand sku_promo_lift demand_blend"),
        ("sku_demand+", "", "sku_demand sku_promo_lift demand_blend"),
        ("1+sku_promo_lift+1", "", "sku_promo_lift sku_demand elasticity"),
        ("@sku_demand", "", f"{DEMAND} elasticity seasonal_naive source:raw_sales source:raw_prices"),
        ("@ltv", "", "ltv churn_v2 source:raw_customers source:crm_events"),
        (
            "@source:raw_prices",
            "",
            "source:raw_prices elasticity sku_promo_lift sku_demand source:raw_sales",
        ),
        ("source:raw_sales+1", "", "source:raw_sales store_demand sku_demand seasonal_naive"),
        ("1@source:raw_sales", "", "source:raw_sales store_demand sku_demand seasonal_naive"),
        ("0@sku_promo_lift", "", "sku_promo_lift sku_demand elasticity source:raw_sales source:raw_prices"),
        ("source:raw_*", "", "source:raw_sales source:raw_prices source:raw_customers"),
        ("source:retail.raw_sales", "", "source:raw_sales"),
        ("source:mf_ext.*", "", ""),
        ("source:crm_events+", "", "source:crm_events churn_v2 churn_v3 ltv"),
        ("+demand_blend,tag:nightly", "", NIGHTLY),
        ("+demand_blend,+sku_promo_lift", "", "sku_demand source:raw_sales"),
        ("sku_demand+,store_demand+", "", "demand_blend"),
        ("path:families/demand", "", DEMAND),
        ("families/demand", "", DEMAND),
        ("families/demand/*/sku_*.yml", "", "sku_demand sku_promo_lift"),
        ("families/**/*.toml", "", "elasticity"),
        ("elasticity.toml", "", "elasticity"),
        ("file:churn_v1", "", "churn_v1"),
        ("churn_*.yml", "", CHURN),
        ("package:mf_*", "", "seasonal_naive"),
        ("owner:c?m", "", f"{CHURN} ltv"),
        ("config.estimator:Ridge", "", "store_demand sku_promo_lift"),
        ("config.group_by:sku_id", "", "sku_demand sku_promo_lift elasticity"),
        ("config.meta.pii:TRUE", "", f"{CHURN} ltv"),
        ("config.meta.pii:false", "", ""),
        ("config.no_such.key:1", "", ""),
        ("state:modified", "", "store_demand demand_blend churn_v3"),
        ("state:modified+", "", "store_demand demand_blend churn_v3"),
        ("state:modified.body", "", "store_demand churn_v3"),
        ("state:modified.configs", "", "demand_blend churn_v3"),
        ("state:modified.params", "", "churn_v3"),
        ("state:new", "", "churn_v3"),
        ("state:old", "state:unmodified", "store_demand demand_blend"),
        ("state:unmodified", "state:old", ""),
        ("result:error", "", "elasticity"),
        ("result:error+", "", "elasticity sku_promo_lift"),
        ("1+result:error", "", "elasticity source:raw_prices"),
        ("result:failed", "", "store_demand"),
        ("result:success", "result:failed", "sku_demand"),
        ("selector:nested", "selector:crm_all", "store_demand demand_blend elasticity"),
        ("selector:n*", "", "store_demand demand_blend elasticity"),
        ("+selector:nested,source:*", "", "source:raw_sales source:raw_prices"),
        ("resource_type:source", "", "source:raw_sales source:raw_prices source:raw_customers source:crm_events"),
        ("resource_type:family", "*", ""),
        ("path:sources/crm.yml+1", "", "source:crm_events churn_v2 churn_v3"),
        ("path:sources/raw.yml,resource_type:source", "source:raw_s*", "source:raw_prices source:raw_customers"),
    ],
)
def test_what_dbt_chooses_is_chosen(select: str, exclude: str, names: str) -> None:
    assert RETAIL.chosen(select, exclude) == set(names.split())


@pytest.mark.parametrize(
    ("select", "exclude", "names"),
    [
        ("sku_*", "", "sku_demand sku_promo_lift"),
        ("churn_v[12]", "", "churn_v1 churn_v2"),
        ("!demand*", "", f"{CHURN} ltv elasticity seasonal_naive"),
        ("not demand", "", f"{CHURN} ltv elasticity seasonal_naive"),
        ("tag:weekly,!tag:pii", "", "elasticity sku_promo_lift"),
        ("tag:weekly,not tag:pii,not elasticity", "", "sku_promo_lift"),
        ("!tag:weekly,!tag:nightly", "", "ltv seasonal_naive"),
        ("not (tag:weekly tag:nightly)", "", "ltv seasonal_naive"),
        ("not not ltv", "", "ltv"),
        ("(tag:weekly tag:nightly),owner:*", "", f"demand_blend {CHURN}"),
        ("1+(state:modified,tag:nightly)+", "", f"{NIGHTLY} seasonal_naive source:raw_sales"),
        ("(sku_demand elasticity)+1", "", "sku_demand elasticity sku_promo_lift demand_blend"),
        ("@(ltv,owner:crm)", "", "ltv churn_v2 source:raw_customers source:crm_events"),
        ("(source:*,!source:raw_*)+", "", "source:crm_events churn_v2 churn_v3 ltv"),
        ("(not resource_type:source),mf_ext", "", "seasonal_naive"),
        ("estimator:Ri*", "", "store_demand sku_promo_lift"),
        ("estimator:Blend", "", "demand_blend"),
        ("estimator:some.package.*", "", "demand_blend"),
        ("config.estimator:R?dge", "", "store_demand sku_promo_lift"),
        ("config.min_rows:30.0", "", "elasticity"),
        ("config.min_rows:>29", "", "elasticity"),
        ("config.min_rows:>=30", "", "elasticity"),
        ("config.min_rows:>30", "", ""),
        ("config.min_rows:<31", "", "elasticity"),
        ("config.min_rows:<=29", "", ""),
        ("config.share:0.50", "", "elasticity"),
        ("config.seed:007", "", "demand_blend"),
        ("config.seed:seven", "", ""),
        ("config.seed:>six", "", ""),
        ("path:.", "", "all"),
        ("path:families/d*", "", DEMAND),
        ("path:families/*.yml", "", "seasonal_naive"),
        ("path:families/**", "", "families"),
        ("path:**/store", "", "store_demand"),
        ("path:./families//pricing/", "", "elasticity"),
        ("path:", "", ""),
        ("path:/families", "", ""),
        ("path:families/demand/store/store_demand.yml/x", "", ""),
        ("package:this", "", "all"),
        ("package:*", "", "all"),
    ],
)
def test_what_dbt_does_not_understand_has_a_meaning(select: str, exclude: str, names: str) -> None:
    families = {node.id for node in RETAIL.nodes if node.kind == "family"}
    expected = {"all": {node.id for node in RETAIL.nodes}, "families": families}.get(names, set(names.split()))
    assert RETAIL.chosen(select, exclude) == expected


# A tree in two folders: a has the children b and c, b has d and e, c has f and g.

TREE = Project(
    [
        family("X/a.yml", "abc", project="m"),
        family("Y/b.yml", "abc", "bcef", project="m"),
        family("X/c.yml", "abc", "bcef", project="m"),
        family("Y/d.yml", project="m"),
        family("X/e.yml", "efg", "bcef", project="m"),
        family("Y/f.yml", "efg", "bcef", project="m"),
        family("X/g.yml", "efg", project="m"),
    ],
    {"b": ("a",), "c": ("a",), "d": ("b",), "e": ("b",), "f": ("c",), "g": ("c",)},
)


@pytest.mark.parametrize(
    ("select", "exclude", "names"),
    [
        ("X.a", "", "a"),
        ("tag:abc", "", "abc"),
        ("*", "tag:abc", "defg"),
        ("tag:abc a", "", "abc"),
        ("tag:abc d", "", "abcd"),
        ("X.a b", "", "ab"),
        ("X.a+", "b", "acdefg"),
        ("X.c+", "", "cfg"),
        ("X.a+1", "", "abc"),
        ("X.a+", "tag:efg", "abcd"),
        ("+Y.f", "", "acf"),
        ("1+Y.f", "", "cf"),
        ("@X.c", "", "acfg"),
        ("1@X.c", "", "acfg"),
        ("tag:abc tag:bcef", "", "abcef"),
        ("tag:abc tag:bcef", "tag:efg", "abc"),
        ("tag:abc tag:bcef", "tag:efg a", "bc"),
        ("a,a", "", "a"),
        ("+c,c+", "", "c"),
        ("a,b", "", ""),
        ("tag:abc,tag:bcef", "", "bc"),
        ("*,tag:abc,a", "", "a"),
        ("a,tag:abc,*", "", "a"),
        ("tag:abc,tag:bcef", "c", "b"),
        ("tag:bcef,tag:efg", "tag:bcef,@b", "f"),
        ("tag:bcef,tag:efg", "tag:bcef,@a", ""),
        ("*,@a,+b", "*,tag:abc,tag:bcef", "a"),
        ("tag:bcef,tag:efg *,tag:abc", "", "abcef"),
        ("tag:bcef,tag:efg *,tag:abc", "e", "abcf"),
        ("tag:bcef,tag:efg *,tag:abc", "e f", "abc"),
        ("tag:bcef,tag:efg *,tag:abc", "tag:abc,tag:bcef", "aef"),
        ("tag:bcef,tag:efg *,tag:abc", "tag:abc,tag:bcef tag:abc,a", "ef"),
    ],
)
def test_sets_and_operators_go_together_as_in_dbt(select: str, exclude: str, names: str) -> None:
    assert TREE.chosen(select, exclude) == set(names)
    terms = select.split(), exclude.split()
    assert set(TREE.select(*terms).families) == set(names)


def test_the_order_is_that_of_the_project() -> None:
    assert TREE.select(["g b", "a"]).families == ("a", "b", "g")
    assert TREE.select([]).families == tuple("abcdefg")
    assert TREE.select([], ["a", "f g"]).families == tuple("bcde")


# What there is not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("select", "unmatched"),
    [
        ("store_demand tag:nope", [("tag:nope", "known: ")]),
        ("tag:nightlly", [("tag:nightlly", "did you mean `nightly`?")]),
        ("tag:nightly,tag:heavi", [("tag:nightly,tag:heavi", "did you mean `heavy`?")]),
        ("tag:nightly,tag:pii", [("tag:nightly,tag:pii", None)]),
        ("(store_demand nope)+", [("nope", "known: ")]),
        ("not tag:nope", [("tag:nope", "")]),
        ("ltv,not (tag:nope tag:pii)", [("tag:nope", "")]),
        ("store_demnad+", [("store_demnad+", "did you mean `store_demand`?")]),
        ("nightly", [("nightly", "did you mean `tag:nightly`?")]),
        ("raw_sales+", [("raw_sales+", "did you mean `source:raw_sales`?")]),
        ("pricng", [("pricng", "did you mean `pricing`?")]),
        ("crm", [("crm", "did you mean `owner:crm`?")]),
        ("families/demnd", [("families/demnd", "families/")]),
        ("file:elastcity.toml", [("elastcity.toml", "did you mean `elasticity.toml`?")]),
        ("source:raw_prics", [("source:raw_prics", "did you mean `raw_prices`?")]),
        ("estimator:Rigde", [("estimator:Rigde", "did you mean `Ridge`?")]),
        ("owner:op", [("owner:op", "did you mean `ops`?")]),
        ("package:retial", [("package:retial", "did you mean `retail`?")]),
        ("config.estimator:Rigde", [("config.estimator:Rigde", "did you mean `Ridge`?")]),
        ("config.estimater:Ridge", [("config.estimater:Ridge", "did you mean `estimator`?")]),
        ("config.meta.pi:true", [("config.meta.pi:true", "did you mean `pii`?")]),
        ("config.timeout:5", [("config.timeout:5", None)]),
        ("fqn:", [("fqn:", "known: ")]),
        ("state:new,tag:nightly", [("state:new,tag:nightly", None)]),
        ("source:raw_sales ltv", []),
        ("", []),
    ],
)
def test_parts_that_match_nothing_are_told_with_the_nearest_right_thing(
    select: str, unmatched: list[tuple[str, str | None]]
) -> None:
    found = RETAIL.select([select]).unmatched
    assert [part.text for part in found] == [text for text, _ in unmatched]
    for part, (_, help) in zip(found, unmatched, strict=True):
        assert part.help is None if help is None else help in (part.help or "")


def test_what_is_excluded_but_does_not_exist_is_told_too() -> None:
    assert [part.text for part in RETAIL.select(["ltv"], ["nope"]).unmatched] == ["nope"]


@pytest.mark.parametrize(
    ("select", "message", "help"),
    [
        ("state:new", "`state:new` compares with an earlier state, and there is none", None),
        ("state:modified.body", "`state:modified.body` compares", None),
        ("result:error", "`result:error` needs the results of a run, and there are none", None),
        ("selector:nopt", "there is no selector `nopt`", "did you mean `nope`?"),
        ("selector:x*", "there is no selector `x*`", "known: `nope`"),
    ],
)
@pytest.mark.parametrize("told", [None, lambda: None])
def test_what_a_selector_needs_and_there_is_not_is_a_mistake(
    select: str, message: str, help: str | None, told: Told | None
) -> None:
    project = Project(RETAIL.nodes, {}, named={"nope": "ltv"}, states=told, results=told)
    with pytest.raises(InputError) as caught:
        project.select([f"ltv {select}"])
    [found] = caught.value.diagnostics
    assert message in found.message
    assert found.help == help
    assert found.position is not None
    assert found.position.column == 5


def test_what_no_selector_needs_is_not_asked_for() -> None:
    def fail() -> Any:
        raise AssertionError("not needed")

    expression = parse_options(["demand,!tag:heavy config.seed:7 path:families/pricing source:*"], option="--select")
    found = select_nodes(RETAIL.nodes, expression, named={}, graph=fail, states=fail, results=fail)
    assert len(found.families) == 4


def test_what_is_asked_is_asked_once_and_the_graph_only_if_there_is_a_node_to_walk_from() -> None:
    asked: list[str] = []

    def states() -> Mapping[str, frozenset[str]]:
        asked.append("states")
        return {"ltv": frozenset({"new"})}

    def graph() -> Graph:
        asked.append("graph")
        return RETAIL.graph

    expression = parse_options(["tag:nope+ @state:modified,state:unmodified state:new", "state:old+1"], option="")
    select_nodes(RETAIL.nodes, parse_options(["tag:nope+ @tag:gone"], option=""), named={}, graph=graph)
    assert asked == []
    select_nodes(RETAIL.nodes, expression, named={}, graph=graph, states=states)
    assert sorted(asked) == ["graph", "states"]


# Nodes ------------------------------------------------------------------------------------------------------------


def test_a_family_has_its_folders_in_its_name() -> None:
    nodes = {node.id: node for node in selectables(load(PROJECTS / "flights"))}
    assert nodes["arr_delay_by_dest"].fqn == ("flights", "arrival", "arr_delay_by_dest")
    assert nodes["arr_delay_by_dest"].paths == ("families/arrival/routes.yml",)
    assert nodes["arr_delay_by_dest"].estimators == ("Ridge",)
    assert nodes["source:flights"].paths == ("sources/nyc.yml",)


FAMILY = "{group_by: k, features: [x, {name: z, kind: categorical}], label: y, "
FILES = {
    "mf_project.yml": "name: p\nfamily_paths: [families, more/./families/]\nvars: {n: 30}\ndefaults: {owner: ann}\n",
    "sources/s.yml": "sources: [{name: s, path: x.csv, format: csv}]",
    "more/families/v1.2/_defaults.yml": "min_rows: ${var:n}\nmeta: {team: {name: x}}",
    "more/families/v1.2/f.yml": f"families: [{FAMILY} name: f, source: s, timeout: 10m, estimator: Ridge}}]",
    "families/g.yml": f"families: [{FAMILY} name: g, sql_file: ./sql/g.sql, owner: '${{env:WHO}}',"
    "pipeline: [{name: scale, class: StandardScaler}, {name: fit, class: Lasso, params: {alpha: 2, 'a b': 1}}]}]",
    "sql/g.sql": "select 1",
}


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("p.v1.2.f", "f"),
        ("v1", "f"),
        ("v1.2", "f"),
        ("p.g", "g"),
        ("path:more", "f"),
        ("path:sql", "g"),
        ("g.sql", "g"),
        ("estimator:Lasso", "g"),
        ("config.min_rows:30", "f"),
        ("config.min_rows:1", "g"),
        ("config.timeout:10m", "f"),
        ("config.timeout:600", "f"),
        ("config.timeout:>599", "f"),
        ("config.group_by:k", "f g"),
        ("config.estimator:Ridge", "f"),
        ("config.estimator.class:Ridge", "f"),
        ("config.pipeline:StandardScaler", "g"),
        ("config.pipeline.params.alpha:2.0", "g"),
        ("config.features:z", "f g"),
        ("config.features.kind:numeric", "f g"),
        ("config.seed:0", "f g"),
        ("config.null_keys:skip", "f g"),
        ("config.owner:ann", "f"),
        ("config.owner:bob", "g"),
        ("config.owner:*env*", ""),
        ("owner:bob", "g"),
        ("config.format:csv", "source:s"),
        ("config.meta.team.name:x", "f"),
        ("resource_type:source,package:p", "source:s"),
    ],
)
def test_families_are_seen_as_they_are_written_and_as_they_are_understood(
    tmp_path: Path, select: str, names: str
) -> None:
    nodes = selectables(load(write_project(tmp_path, FILES), environ={"WHO": "bob"}))
    assert Project(nodes, {}).chosen(select) == set(names.split())


# Laws -------------------------------------------------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "ab", "ba", "aab"])


@st.composite
def projects(draw: st.DrawFn) -> Project:
    names = draw(st.lists(st.sampled_from([f"{x}{y}" for x, y in itertools.product("abc", repeat=2)]), unique=True))
    folders = draw(st.lists(st.lists(_names, max_size=2), min_size=len(names), max_size=len(names)))
    tags = draw(st.lists(st.lists(_names, max_size=2), min_size=len(names), max_size=len(names)))
    sources = draw(st.lists(st.sampled_from("xyz"), unique=True))
    nodes = [source(name, "s") for name in sources]
    parents: dict[str, tuple[str, ...]] = {}
    for name, where, own in zip(names, folders, tags, strict=True):
        nodes.append(family("/".join([*where, f"{name}.yml"]), *own))
        above = [node.id for node in nodes[:-1]]
        parents[name] = tuple(draw(st.lists(st.sampled_from(above), max_size=2))) if above else ()
    return Project(nodes, parents)


_values = st.text("ab*?", min_size=1, max_size=3)


@st.composite
def criteria(draw: st.DrawFn) -> Criterion:
    method = draw(st.sampled_from(["fqn", "tag", "file", "source"]))
    return Criterion(method, (), draw(st.sampled_from("xy*") if method == "source" else _values))


_steps = st.none() | st.integers(0, 3)
_expressions: st.SearchStrategy[Expression] = st.recursive(
    criteria(),
    lambda inner: st.one_of(
        st.builds(Walk, inner, _steps, _steps),
        st.builds(Around, inner, _steps),
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def chosen_by(project: Project, include: Expression, exclude: Expression | None = None) -> set[str]:
    found = select_nodes(project.nodes, include, exclude, named={}, graph=lambda: project.graph)
    return {*found.families, *map(source_id, found.sources)}


def naive(project: Project, expression: Expression) -> set[str]:
    """Evaluate an expression node by node and edge by edge."""
    everything = {node.id for node in project.nodes}
    families = {node.id for node in project.nodes if node.kind == "family"}

    def up(start: set[str], steps: int | None) -> set[str]:
        for _ in range(len(everything) if steps is None else steps):
            start = start | {parent for node in start for parent in project.graph.parents.get(node, ())}
        return start

    def down(start: set[str], steps: int | None) -> set[str]:
        return {node for node in everything if up({node}, steps) & start}

    match expression:
        case Criterion("fqn", _, value):
            return {n.id for n in project.nodes if n.kind == "family" and naive_name(n.fqn, value)}
        case Criterion("tag", _, value):
            return {n.id for n in project.nodes if any(fnmatchcase(tag, value) for tag in n.tags)}
        case Criterion("file", _, value):
            names = {n.id: n.paths[0].split("/")[-1] for n in project.nodes}
            return {i for i, n in names.items() if fnmatchcase(n, value) or fnmatchcase(n.split(".")[0], value)}
        case Criterion("source", _, value):
            return {n.id for n in project.nodes if n.kind == "source" and fnmatchcase(n.name, value)}
        case Walk(inner, parents, children):
            start = naive(project, inner)
            return up(start, parents) | down(start, children)
        case Around(inner, depth):
            return up(down(naive(project, inner), depth), None)
        case Not(inner):
            return families - naive(project, inner)
        case AllOf(parts):
            found = everything if any(not isinstance(part, Not) for part in parts) else families
            for part in parts:
                found = found - naive(project, part.inner) if isinstance(part, Not) else found & naive(project, part)
            return found
        case AnyOf(parts):
            return {node for part in parts for node in naive(project, part)}
        case _:
            raise AssertionError(expression)


def naive_name(fqn: Sequence[str], value: str) -> bool:
    """Match a value without dots."""
    if fnmatchcase(fqn[-1], value):
        return True
    if any(sign in value for sign in "*?"):
        return fnmatchcase(".".join(fqn), value) or fnmatchcase(".".join(fqn[1:]), value)
    return value in fqn[:2]


@settings(deadline=None)
@given(projects(), _expressions)
def test_an_expression_chooses_what_its_parts_say(project: Project, expression: Expression) -> None:
    assert chosen_by(project, expression) == naive(project, expression)


@settings(deadline=None)
@given(projects(), _expressions, _expressions)
def test_sets_obey_the_laws_of_sets(project: Project, one: Expression, other: Expression) -> None:
    first, second = chosen_by(project, one), chosen_by(project, other)
    families = {node.id for node in project.nodes if node.kind == "family"}
    assert chosen_by(project, AnyOf((one, other))) == first | second
    assert chosen_by(project, one, other) == first - second
    assert chosen_by(project, Not(one)) == families - first
    if not isinstance(one, Not) and not isinstance(other, Not):
        assert chosen_by(project, AllOf((one, other))) == first & second
        assert chosen_by(project, AllOf((one, Not(other)))) == first - second
    assert chosen_by(project, Not(AnyOf((one, other)))) == chosen_by(project, AllOf((Not(one), Not(other))))


@settings(deadline=None)
@given(projects(), _expressions)
def test_walking_only_adds_and_goes_no_further_the_second_time(project: Project, inner: Expression) -> None:
    start, down = chosen_by(project, inner), chosen_by(project, Walk(inner, 0, None))
    assert start <= down <= chosen_by(project, Around(inner))
    assert chosen_by(project, Walk(Walk(inner, 0, None), 0, None)) == down


@settings(deadline=None)
@given(projects(), st.text("ab+@(),!:. *[]012tagsourcenot/", max_size=16))
def test_any_text_chooses_or_is_a_mistake(project: Project, text: str) -> None:
    try:
        found = project.select([text])
    except InputError:
        return
    assert set(found.families) <= {node.name for node in project.nodes}
