"""Jinja in `sql`: what it knows, how it fails, and that it keeps secrets."""

from __future__ import annotations

import re

import pytest

from modelfactory.plan.rendering import SqlTemplateError, render_sql

SECRET = "hunter2 sEcret"


def render(template: str, **variables: object) -> str:
    return render_sql(
        template,
        relations={"flights": "flights", "odd": "`a b`.c"},
        families=("weak", "strong"),
        variables={"n": 30, "names": ["a", "b"], "empty": "", "nothing": None, **variables},
        environ={"TOKEN": SECRET},
        target="local",
    ).text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("select 1", "select 1"),
        ("  select 1\n", "select 1"),
        ("select * from {{ source('flights') }}", "select * from flights"),
        ('from {{ source("odd") }}', "from `a b`.c"),
        ("from {{ ref('weak') }}", "from mf_groups_weak"),
        ("n > {{ var('n') }}", "n > 30"),
        ("n > {{ var('m', 5) }}", "n > 5"),
        ("'{{ var('m', '') }}'", "''"),
        ("'{{ var('empty') }}'", "''"),
        ("{% for n in var('names') %}{{ n }},{% endfor %}", "a,b,"),
        ("{% if target == 'local' %}limit 10{% endif %}", "limit 10"),
        ("{{ env_var('HOST', 'localhost') }}", "localhost"),
        ("{# nothing #}x", "x"),
        ("{{ 'a & b < c' }}", "a & b < c"),
        ("a{{ '%' }}\n-- é 日", "a%\n-- é 日"),
    ],
)
def test_templates_are_rendered(template: str, text: str) -> None:
    assert render(template) == text


def test_the_sources_that_are_read_are_told_once_and_in_order() -> None:
    made = render_sql(
        "{{ source('b') }} {{ ref('f') }} {{ source('a') }} {{ source('b') }} {{ ref('g') }}",
        relations={"a": "a", "b": "b", "c": "c"},
        families=("f", "g"),
        variables={},
        environ={},
        target="t",
    )
    assert made.sources == ("b", "a")
    assert made.refs == ("f", "g")


@pytest.mark.parametrize(
    ("template", "words", "line"),
    [
        ("{{ source('flight') }}", "unknown source `flight`", 1),
        ("{{ ref('week') }}", "unknown family `week`", 1),
        ("{{ ref }}", "`ref` must be called", 1),
        ("\n{{ var('m') }}", "unknown variable `m`", 2),
        ("\n\n{{ env_var('NOPE') }}", "unknown environment variable `NOPE`", 3),
        ("{{ nope }}", "`nope` is not known", 1),
        ("{{ var('n') }} {{ ", "unexpected", 1),
        ("x\n{% for %}", "", 2),
        ("{{ 'a' | nofilter }}", "nofilter", 1),
        ("{% include 'other.sql' %}", "", 1),
        ("{{ 1 / 0 }}", "division by zero", 1),
        ("{{ ''.__class__.__mro__ }}", "unsafe", 1),
        ("{{ source(['flights']) }}", "", 1),
        ("{{ '{} {}'.format(1) }}", "", 1),
        ("{{ 'a'.encode('nope') }}", "", 1),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "", None),
        ("{{ range(10 ** 9) | list }}", "ange", 1),
    ],
)
def test_a_bad_template_is_told_with_its_line(template: str, words: str, line: int | None) -> None:
    with pytest.raises(SqlTemplateError, match=re.escape(words) if words else None) as caught:
        render(template)
    assert line is None or caught.value.line == line


@pytest.mark.parametrize("template", ["{{ source() }}", "{{ source('a', 'b') }}", "{{ var() }}", "{{ env_var() }}"])
def test_a_wrong_call_is_told_in_the_words_of_the_user(template: str) -> None:
    with pytest.raises(SqlTemplateError) as caught:
        render(template)
    assert "locals" not in str(caught.value)
    assert "render_sql" not in str(caught.value)


@pytest.mark.parametrize("template", ["{{ source }}", "{{ var }}", "select {{ env_var }}"])
def test_a_function_that_is_not_called_is_a_mistake(template: str) -> None:
    with pytest.raises(SqlTemplateError):
        render(template)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ env_var('TOKEN') }}",
        "{{ 'x' ~ env_var('TOKEN') }}",
        "{{ 'x' + env_var('TOKEN') }}",
        "{{ env_var('TOKEN') + 'x' }}",
        "{{ env_var('TOKEN') * 2 }}",
        "{{ env_var('TOKEN') | upper }}",
        "{{ env_var('TOKEN') | replace('h', 'h') }}",
        "{{ env_var('TOKEN') | trim }}",
        "{{ env_var('TOKEN').strip() }}",
        "{{ env_var('TOKEN')[:7] }}",
        "{{ env_var('TOKEN') | e }}",
        "{{ env_var('TOKEN') | tojson }}",
        "{{ env_var('TOKEN') | string }}",
        "{{ env_var('TOKEN') | pprint }}",
        "{{ [env_var('TOKEN')] }}",
        "{{ {'a': env_var('TOKEN')} }}",
        "{{ [env_var('TOKEN')] | join(',') }}",
        "{{ ['a', 'b'] | join(env_var('TOKEN')) }}",
        "{{ '%s' | format(env_var('TOKEN')) }}",
        "{{ '%s' % env_var('TOKEN') }}",
        "{{ '{}'.format(env_var('TOKEN')) }}",
        "{% set x = env_var('TOKEN') %}{{ x }}",
        "{% for c in env_var('TOKEN') %}{{ c }}{% endfor %}",
        "{{ env_var('TOKEN') | list | join }}",
        "{% filter upper %}{{ env_var('TOKEN') }}{% endfilter %}",
        "{{ {}[env_var('TOKEN')] }}",
        "{{ var(env_var('TOKEN')) }}",
        "{{ source(env_var('TOKEN')) }}",
        "{{ env_var(env_var('TOKEN')) }}",
        "{{ env_var('TOKEN').nope }}",
        "{{ env_var('TOKEN')() }}",
        "{{ env_var('TOKEN') | attr('nope') + 'x' }}",
        "{{ '%d' % env_var('TOKEN') }}",
    ],
)
def test_no_way_through_jinja_shows_a_value_of_the_environment(expression: str) -> None:
    try:
        shown = render(expression)
    except SqlTemplateError as error:
        shown = str(error)
    assert "hunter2" not in shown.lower()


def test_a_value_of_the_environment_may_decide() -> None:
    template = "{% if env_var('TOKEN') == '" + SECRET + "' %}yes{% else %}no{% endif %}"
    assert render(template) == "yes"
