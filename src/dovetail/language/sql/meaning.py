"""Whether two SQL texts mean the same to DuckDB.

The planner reads SQL with another parser than the one that defines its meaning. After a round trip
through that parser, the text must still mean what it meant: both texts are parsed by DuckDB, both
trees are brought into a normal form, and the normal forms must be equal. Every step of the normal
form is an identity of DuckDB's language, with the reason beside it; what is not provably equal
counts as different, and the query then runs as it was written.

The names of output columns may differ (``len(x)`` against ``length(x)``); they are taken from the
text as written. Names inside the query, where other parts can refer to them, must agree.
"""

from __future__ import annotations

import re
from typing import Any, Final

from dovetail.errors import QueryError
from dovetail.language.sql.judge import parse_tree
from dovetail.language.sql.judge_functions import names

# DuckDB registers these under several names (duckdb_functions().alias_of, and the date functions
# that it documents as synonyms); a test compares the table with the live one. Left out: names
# whose parser swaps arguments (<@), and those that DuckDB lists with other signatures than their
# target (add, subtract, arbitrary).
_ALIAS_GROUPS: Final = """
    % mod | * multiply | ** ^ pow power | // divide | @ abs | ^@ starts_with
    arg_max argmax max_by | arg_min argmin min_by | array_inner_product array_dot_product
    array_negative_inner_product array_negative_dot_product | avg mean | bin to_binary
    ceil ceiling | count_if countif | format_bytes formatreadablesize
    get_current_timestamp now transaction_timestamp | greatest_common_divisor gcd
    hamming mismatches | hex to_hex | instr position strpos | kahan_sum fsum sumkahan
    least_common_multiple lcm | length char_length character_length len | levenshtein editdist3
    list array_agg | list_aggregate aggregate array_aggr array_aggregate list_aggr
    list_concat array_cat array_concat list_cat | list_contains array_contains array_has list_has
    list_cosine_distance <=> | list_distance <-> | list_distinct array_distinct
    list_extract list_element | list_filter array_filter filter
    list_grade_up array_grade_up grade_up | list_has_all array_has_all
    list_has_any array_has_any | list_inner_product list_dot_product
    list_intersect array_intersect | list_negative_inner_product list_negative_dot_product
    list_position array_indexof array_position list_indexof | list_reduce array_reduce reduce
    list_resize array_resize | list_reverse_sort array_reverse_sort | list_select array_select
    list_slice array_slice | list_sort array_sort
    list_transform apply array_apply array_transform list_apply | list_unique array_unique
    list_value list_pack | list_where array_where | list_zip array_zip | lower lcase
    map_extract element_at | quantile_disc quantile | st_astext st_aswkt | st_aswkb st_asbinary
    stddev_samp stddev | string_agg group_concat listagg
    string_split split str_split string_to_array
    string_split_regex regexp_split_to_array str_split_regex | struct_contains struct_has
    struct_position struct_indexof | substring substr | suffix ends_with | to_base64 base64
    unbin from_binary | unhex from_hex | unicode ord | upper ucase | uuid gen_random_uuid
    var_samp variance
"""
ALIASES: Final[dict[str, str]] = {
    name: group.split()[0]
    for line in _ALIAS_GROUPS.strip().splitlines()
    for group in line.split("|")
    for name in group.split()
}

_BOOLEAN_NODES: Final = frozenset(("COMPARISON", "CONJUNCTION", "BETWEEN"))
_BOOLEAN_OPERATORS: Final = frozenset(
    ("OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN")
)
_DATE_PART_FIRST: Final = names("date_part date_trunc date_diff date_sub")
_DATE_PARTS: Final = {
    "dayofweek": "dow",
    "weekday": "dow",
    "dayofyear": "doy",
    "weekofyear": "week",
}
_LAMBDA_TAKERS: Final = frozenset(("list_transform", "list_filter", "list_reduce"))
_NEGATED: Final = {
    "!~~": "~~",
    "!~~*": "~~*",
    "not_like_escape": "like_escape",
    "not_ilike_escape": "ilike_escape",
}
_UNIT: Final = re.compile(
    r"\s*(-?\d{1,6})\s*"
    r"(second|minute|hour|day|week|month|quarter|year|decade|century|centurie|millisecond|microsecond)"
    r"s?\s*",
    re.IGNORECASE,
)
_UNIT_FUNCTIONS: Final = {
    "to_seconds": "second",
    "to_minutes": "minute",
    "to_hours": "hour",
    "to_days": "day",
    "to_weeks": "week",
    "to_months": "month",
    "to_quarters": "quarter",
    "to_years": "year",
    "to_decades": "decade",
    "to_centuries": "century",
    "to_milliseconds": "millisecond",
    "to_microseconds": "microsecond",
}
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SMALL_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})")


def same_meaning(sql_a: str, sql_b: str, connection: Any) -> bool:
    """Whether DuckDB would answer both texts alike, as far as that can be proved.

    Texts that do not parse, or are not SELECT-shaped, never mean the same. ``connection`` is used
    for parsing only, as in :func:`dovetail.language.sql.judge.judge`.
    """
    if sql_a == sql_b:
        return True
    first = _parsed(sql_a, connection)
    return first is not None and first == _parsed(sql_b, connection)


def tree_means(statement: dict[str, Any], sql: str, connection: Any) -> bool:
    """The same of a statement whose tree is there (``Judged.ast``), and a text."""
    first = _normal([statement])
    return first is not None and first == _parsed(sql, connection)


def _parsed(sql: str, connection: Any) -> Any:
    try:
        return _normal(parse_tree(sql, connection))
    except QueryError:
        return None


def _normal(tree: list[dict[str, Any]] | None) -> Any:
    try:
        return [_value(statement, True) for statement in tree] if tree else None
    except RecursionError:
        return None


def _value(value: Any, root: bool, parent: str = "") -> Any:
    """The normal form of any part of the tree. ``root``: its column names are not visible."""
    if isinstance(value, list):
        return [_value(item, root, parent) for item in value]
    if not isinstance(value, dict):
        return value
    if "class" in value:
        return _expression(value, parent)
    kind = value.get("type")
    if "cte_map" in value:
        return _query(value, root)
    if "null_order" in value:
        # The engine's defaults are ASC and NULLS LAST for both directions.
        order = {k: _value(v, False) for k, v in value.items()}
        if kind == "ORDER_DEFAULT":
            order["type"] = "ASCENDING"
        if value["null_order"] == "ORDER_DEFAULT":
            order["null_order"] = "NULLS LAST"
        return order
    if kind == "UNBOUND_TYPE_INFO":
        return {k: v.lower() if isinstance(v, str) else v for k, v in value.items()}
    return {k: _value(v, root, parent) for k, v in value.items() if k != "query_location"}


def _query(node: dict[str, Any], root: bool) -> Any:
    source = _plain_source(node)
    if source is not None and source["type"] == "SUBQUERY" and not source["column_name_alias"]:
        # SELECT * FROM (VALUES …) AS x is VALUES …, since nothing can refer to x.
        inner = source["subquery"]["node"]
        values = _plain_source(inner)
        if values is not None and values["type"] == "EXPRESSION_LIST" and not source["sample"]:
            return _query(inner, root)
    result = {}
    for key, item in node.items():
        if key == "select_list" and not root:
            # A name that comes from the text of an expression may be used further out, so an
            # expression without an alias must stand as it is.
            result[key] = [
                _value(part, False) if part.get("alias") else _without_places(part) for part in item
            ]
        elif key == "cte_map":
            result[key] = _value(item, False)
        else:
            result[key] = _value(item, root and key == "select_list")
    return result


def _plain_source(node: dict[str, Any]) -> Any:
    """X of a query that is ``SELECT * FROM X`` and nothing else, or None."""
    items = node.get("select_list") or []
    rest = {k: v for k, v in node.items() if k not in ("select_list", "from_table", "type")}
    plain: tuple[Any, ...] = ("STANDARD_HANDLING", {"map": []})
    if node["type"] != "SELECT_NODE" or len(items) != 1 or items[0].get("class") != "STAR":
        return None
    star = {k: v for k, v in items[0].items() if k not in ("class", "type", "query_location")}
    if any(star.values()) or any(value and value not in plain for value in rest.values()):
        return None
    return node["from_table"]


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items() if k != "query_location"}
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    return value


def _expression(node: dict[str, Any], parent: str) -> Any:
    kind = node["class"]
    name = ""
    if kind in ("FUNCTION", "WINDOW"):
        name = node["function_name"].lower()
        name = ALIASES.get(name, name)
    inner = name or kind
    result: dict[str, Any] = {}
    for key, item in node.items():
        if key == "query_location":
            continue
        # What a subquery in an expression calls its columns is not visible.
        result[key] = _value(item, kind == "SUBQUERY", inner)
    if name:
        result["function_name"] = name
        return _function(result, parent)
    if kind == "COLUMN_REF":
        # Names are found whatever their case.
        result["column_names"] = [part.lower() for part in node["column_names"]]
    if kind == "LAMBDA" and parent not in _LAMBDA_TAKERS:
        _plain_path(result["expr"])  # outside of a list function the arrow reads JSON
    if kind == "CONJUNCTION":
        return _conjunction(result)
    if kind == "OPERATOR":
        return _operator(result)
    if kind == "CAST":
        return _cast(result)
    return result


def _function(node: dict[str, Any], parent: str) -> Any:
    name = node["function_name"]
    # Syntax such as [1, 2] names its function in schema main, where no other can stand.
    if node.get("schema") == "main":
        node["schema"] = ""
    node.pop("is_operator", None)  # how it is printed
    children = node["children"]
    if name in ("bool_and", "bool_or"):
        # They take nothing but BOOLEAN, and DuckDB casts nothing to it by itself: where both texts
        # are accepted, the cast is to the type that is there.
        node["children"] = children = [_without_boolean_cast(child) for child in children]
    if node["class"] != "FUNCTION":
        return node
    if name in _DATE_PART_FIRST and children and _is_text(children[0]):
        # DuckDB folds the case of date part names, and has several for some.
        part = _text_of(children[0]).lower()
        children[0]["value"]["value"] = _DATE_PARTS.get(part, part)
    elif name in _UNIT_FUNCTIONS and len(children) == 1:
        count = _whole_number(children[0])
        if count is not None:
            return _interval(count, _UNIT_FUNCTIONS[name], node["alias"])
    elif name in _NEGATED:
        # NOT LIKE is NOT (LIKE), also for NULL.
        positive = {**node, "function_name": _NEGATED[name], "alias": ""}
        return _not(positive, node["alias"])
    elif name in ("range", "generate_series") and len(children) == 1:
        # One argument is the end; the start is 0.
        children.insert(0, _integer(0))
    elif name == "string_agg" and len(children) == 1:
        children.append(_text(","))  # the default separator
    elif name in ("json_extract_string", "->>") and len(children) == 2:
        node["function_name"] = "->>"
        _plain_path(children[1])
    elif name == "json_extract" and len(children) == 2 and parent not in _LAMBDA_TAKERS:
        # x -> path is parsed as a lambda and bound as json_extract where no lambda can stand.
        _plain_path(children[1])
        return _arrow(children[0], children[1], node["alias"])
    return node


def _arrow(left: Any, right: Any, alias: str) -> dict[str, Any]:
    return {"class": "LAMBDA", "type": "LAMBDA", "alias": alias, "lhs": left, "expr": right}


def _plain_path(node: Any) -> None:
    """A JSON path ``$.name`` is the key ``name``."""
    if _is_text(node):
        path = _text_of(node)
        if path.startswith("$.") and _PLAIN_KEY.fullmatch(path[2:]):
            node["value"]["value"] = path[2:]


def _conjunction(node: dict[str, Any]) -> Any:
    """AND and OR are associative, also for NULL."""
    children = []
    for child in node["children"]:
        if child.get("class") == "CONJUNCTION" and child["type"] == node["type"]:
            children.extend(child["children"])
        else:
            children.append(child)
    return {**node, "children": children}


def _operator(node: dict[str, Any]) -> Any:
    if node["type"] == "COMPARE_NOT_IN":
        return _not({**node, "type": "COMPARE_IN", "alias": ""}, node["alias"])
    if node["type"] == "OPERATOR_IS_NOT_NULL":
        return _not({**node, "type": "OPERATOR_IS_NULL", "alias": ""}, node["alias"])
    if node["type"] == "OPERATOR_NOT":
        return _not(node["children"][0], node["alias"])
    return node


def _not(child: Any, alias: str) -> dict[str, Any]:
    return {"class": "OPERATOR", "type": "OPERATOR_NOT", "alias": alias, "children": [child]}


def _cast(node: dict[str, Any]) -> Any:
    child = node["child"]
    target = node["cast_type"].get("id")
    if node["try_cast"]:
        return node
    if target == "BOOLEAN" and _is_boolean(child):
        return {**child, "alias": node["alias"]}  # a cast to the type it has
    if target == "INTERVAL" and _is_text(child):
        match = _UNIT.fullmatch(_text_of(child))
        if match:
            unit = match[2].lower().replace("centurie", "century")
            return _interval(int(match[1]), unit, node["alias"])
    if target == "DOUBLE" and _is_text(child) and _SMALL_INTEGER.fullmatch(_text_of(child)):
        # '3' and 3 are the same DOUBLE; so INTERVAL '3' DAY is INTERVAL 3 DAY.
        return {**node, "child": _integer(int(_text_of(child)))}
    return node


def _without_boolean_cast(node: Any) -> Any:
    if node.get("class") == "CAST" and node["cast_type"].get("id") == "BOOLEAN":
        return node if node["try_cast"] else {**node["child"], "alias": node["alias"]}
    return node


def _is_boolean(node: Any) -> bool:
    return isinstance(node, dict) and (
        node.get("class") in _BOOLEAN_NODES or node.get("type") in _BOOLEAN_OPERATORS
    )


def _is_text(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and node.get("class") == "CONSTANT"
        and node["value"]["type"]["id"] == "VARCHAR"
        and not node["value"]["is_null"]
    )


def _text_of(node: dict[str, Any]) -> str:
    return str(node["value"]["value"])


def _whole_number(node: Any) -> int | None:
    """The number in ``CAST(trunc(CAST(3 AS DOUBLE)) AS INTEGER)`` and its simpler forms."""
    while isinstance(node, dict):
        if node.get("class") == "CAST" and not node["try_cast"]:
            node = node["child"]
        elif node.get("class") == "FUNCTION" and node["function_name"] == "trunc":
            node = node["children"][0]
        else:
            break
    if isinstance(node, dict) and node.get("class") == "CONSTANT":
        value = node["value"].get("value")
        if isinstance(value, int) and node["value"]["type"]["id"] == "INTEGER":
            return value
        if isinstance(value, str) and _SMALL_INTEGER.fullmatch(value) and len(value) <= 7:
            return int(value)
    return None


def _interval(count: int, unit: str, alias: str) -> dict[str, Any]:
    return {"class": "INTERVAL", "count": count, "unit": unit, "alias": alias}


def _constant(type_: str, value: Any) -> dict[str, Any]:
    held = {"type": {"id": type_, "type_info": None}, "is_null": False, "value": value}
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "value": held}


def _integer(value: int) -> dict[str, Any]:
    return _constant("INTEGER", value)


def _text(value: str) -> dict[str, Any]:
    return _constant("VARCHAR", value)
