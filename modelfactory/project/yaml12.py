"""YAML by the rules of YAML 1.2's core schema, read with the C parser where PyYAML has it.

`no`, `on` and `off` are text, `010` is ten, a date is text, and a key that stands twice is an error.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _FastLoader
except ImportError:  # a PyYAML built without libyaml
    from yaml import SafeLoader as _FastLoader  # type: ignore[assignment]


MERGE = "tag:yaml.org,2002:merge"
"""Tag of the key `<<`."""


VERSION: str = yaml.__version__
"""Version of the library that reads."""


class DuplicateKey(yaml.MarkedYAMLError):
    """A mapping holds the same key twice."""

    length = 1


class YamlLoader(_FastLoader):
    """The C loader with YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; a key is text, as in TOML, and may stand once."""
        seen: dict[str, yaml.Mark] = {}
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
            if key_node.value in seen:
                error = DuplicateKey("", seen[key_node.value], key_node.value, key_node.start_mark)
                error.length = len(key_node.value)
                raise error
            seen[key_node.value] = key_node.start_mark
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


def _number(_loader: Any, node: yaml.ScalarNode) -> int | float:
    text = node.value.lower()
    try:
        if node.tag.endswith("float"):
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    except ValueError:
        shown = text if len(text) < 40 else f"{text[:37]}…"
        raise yaml.constructor.ConstructorError(None, None, f"`{shown}` is not a number", node.start_mark) from None


_CORE = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("merge", r"<<", "<"),
)
for _tag, _pattern, _first in _CORE:
    YamlLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        ["" if c == "\0" else c for c in _first],
    )
YamlLoader.add_constructor("tag:yaml.org,2002:int", _number)
YamlLoader.add_constructor("tag:yaml.org,2002:float", _number)
YamlLoader.add_constructor("tag:yaml.org,2002:bool", lambda _loader, node: node.value.lower() == "true")
