"""Column names of a query that calls macros: the call as written, not the macro's whole body."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any


def written_names(
    statement: dict[str, Any],
    names: Sequence[str],
    macros: Collection[str],
    run: Callable[[str, str], str],
) -> list[str]:
    """``names`` as DuckDB gives them, with those of macro calls as they are written.

    ``statement`` is DuckDB's tree of the query, ``macros`` the names of macros. ``run(sql,
    argument)`` gives the one text that a statement with one parameter answers. Columns that stand
    between two stars keep their names.
    """

    def is_macro(node: dict[str, Any]) -> bool:
        called = str(node.get("function_name")).lower()
        return node.get("class") == "FUNCTION" and called in macros

    node = statement["node"]
    while node.get("type") == "SET_OPERATION_NODE":
        node = node["left"]
    items = node.get("select_list") or []
    stars = [index for index, item in enumerate(items) if _holds(item, _is_star)]
    found = list(names)
    first, last = (stars[0], stars[-1]) if stars else (len(items), -1)
    for index, item in enumerate(items):
        if item.get("alias") or not _holds(item, is_macro):
            continue
        if index < first:
            found[index] = _text(item, run)
        elif index > last:
            found[index - len(items)] = _text(item, run)
    return found


def _holds(value: Any, test: Callable[[dict[str, Any]], bool]) -> bool:
    if isinstance(value, dict):
        return test(value) or any(_holds(inner, test) for inner in value.values())
    return isinstance(value, list) and any(_holds(inner, test) for inner in value)


def _is_star(node: dict[str, Any]) -> bool:
    return node.get("class") == "STAR"


def _text(item: dict[str, Any], run: Callable[[str, str], str]) -> str:
    """DuckDB's own text of an expression, which is what it names a column by."""
    tree = json.loads(run("SELECT json_serialize_sql(?::VARCHAR)", "SELECT 1"))
    tree["statements"][0]["node"]["select_list"] = [item]
    return run("SELECT json_deserialize_sql(?::JSON)", json.dumps(tree)).removeprefix("SELECT ")
