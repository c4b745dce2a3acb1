"""YAML that strangers wrote: parsed in bounded time and memory."""

import re
from collections.abc import Hashable
from math import inf
from typing import Any

import yaml

from srtod.support.errors import InputError, first_line

_MOST_VALUES = 1_000_000
"""Of a document with its aliases written out; ten short lines of aliases can stand for billions."""


def parse_yaml(text: str, what: str, *, plain: bool = False) -> Any:
    """Parse YAML.

    Args:
        text: the document.
        what: how errors begin.
        plain: leave every value a text as it is written.

    Raises:
        InputError: it is no YAML, its aliases stand for too much, or it holds an impossible value.
    """
    try:
        loader = yaml.BaseLoader(text) if plain else _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _unfolded(node, {}) > _MOST_VALUES:
            raise InputError(f"{what} its aliases (*) stand for more than a million values; write them out")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise InputError(f"{what} not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InputError(f"{what} not usable YAML: nested too deeply") from error
    except InputError:
        raise
    except ValueError as error:  # such as the 99th of a month
        raise InputError(f"{what} not usable YAML: {first_line(error)}") from error


def _unfolded(node: yaml.Node, sizes: dict[int, float]) -> float:
    """How many values a node stands for with all aliases in it; infinitely many where one is in itself."""
    if id(node) not in sizes:
        sizes[id(node)] = inf
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        within = [part for item in parts for part in (item if isinstance(item, tuple) else (item,))]
        sizes[id(node)] = 1 + sum(_unfolded(part, sizes) for part in within)
    return sizes[id(node)]


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-4`` is a number and a key may not stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):  # others are refused below
                name = self.construct_object(key, deep=True)
                if name in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {name!r} stands twice", problem_mark=node.start_mark
                    )
                seen.add(name)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
