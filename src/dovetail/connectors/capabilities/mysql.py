"""MySQL and MariaDB: what they compute as DuckDB does.

Text is the trap: default collations ignore case, accents and trailing spaces (S1, S5). So text is
compared and grouped by the bytes of its UTF-8, which is how DuckDB does it; beside that stand
equality and LIKE as the collation has them, which keep every wanted row and may use an index.
Sorting by text stays local.

Zero and partial dates are read as NULL, so what decides about a date column looks at it through a
CASE that makes them NULL; beside it stands the bare predicate, for an index. Where zero dates shall
be an error instead, they must arrive to be seen: then predicates over dates are only looser ones.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

from sqlglot import exp, parse_one

from dovetail.connectors.capabilities import Capabilities, Costs, Entry, Keys

_NUMBERS = ("integer", "decimal")
_COMPARE = ("=", "<>", "<", "<=", ">", ">=")
_LOOSE = ("text loose", "char loose")


def _utf8(text: exp.Expression) -> exp.Expression:
    to = exp.DataType(this=exp.DType.CHARACTER_SET, kind=exp.Var(this="utf8mb4"))
    return exp.Cast(this=text.copy(), to=to)


def _bytes(text: exp.Expression) -> exp.Expression:
    return exp.Cast(this=_utf8(text), to=exp.DataType.build("BINARY"))


def _date_is_real(date: exp.Expression) -> exp.Expression:
    """Whether it has a month and a day: MySQL stores 0 for one that is missing."""
    parts = [
        exp.GT(
            this=exp.Anonymous(this=name, expressions=[date.copy()]),
            expression=exp.Literal.number(0),
        )
        for name in ("MONTH", "DAYOFMONTH")
    ]
    return exp.And(this=parts[0], expression=parts[1])


def _unordered(number: exp.Expression) -> exp.Expression:
    """The number, but no column: MariaDB likes to walk an index on what is grouped and to look up
    every row of the table (TPC-H's q15 at scale 0.1: 1.3 s, against 0.11 s with a sort).
    """
    return exp.Add(this=_group(number), expression=exp.Literal.number(0))


def _compare_bytes(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    return type(node)(this=_bytes(left), expression=_bytes(right))


def _null_safe_bytes(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    return _null_safe(_bytes(left), _bytes(right), node=node)


def _equal_constant(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    both = exp.And(
        this=exp.EQ(this=left.copy(), expression=right.copy()),
        expression=_compare_bytes(left, right, node=node),
    )
    return exp.Paren(this=both)


def _null_safe(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    equal = exp.NullSafeEQ(this=left, expression=right)
    return exp.Not(this=exp.Paren(this=equal)) if isinstance(node, exp.NullSafeNEQ) else equal


def _like(
    value: exp.Expression, pattern: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    binary = exp.Collate(this=_utf8(value), expression=exp.Var(this="utf8mb4_bin"))
    exact = exp.Like(this=binary, expression=pattern.copy())
    if pattern.name[:1] in ("", "%", "_"):
        return exact
    return exp.Paren(this=exp.And(this=exp.Like(this=value, expression=pattern), expression=exact))


def _average(
    value: exp.Expression, *, node: exp.Expression, condition: exp.Expression | None
) -> exp.Expression:
    # AVG of a decimal is a decimal with four more digits, not the nearest DOUBLE.
    total = exp.Add(this=exp.Sum(this=value.copy()), expression=exp.Literal.number("0e0"))
    return exp.Div(this=exp.Paren(this=total), expression=exp.Count(this=value))


def _extract(value: exp.Expression, *, node: exp.Expression) -> exp.Expression:
    return exp.Extract(this=exp.Var(this=node.name.upper()), expression=value)


def _group(expression: exp.Expression) -> exp.Expression:
    return exp.Paren(this=expression) if isinstance(expression, exp.Binary) else expression


def _arithmetic(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    return type(node)(this=_group(left), expression=_group(right))


def _entries() -> dict[tuple[str, tuple[str, ...]], Entry]:
    table: dict[tuple[str, tuple[str, ...]], Entry] = {}
    for left, right in product(_NUMBERS, _NUMBERS):
        for operator in _COMPARE:
            table[operator, (left, right)] = Entry("boolean")
        for operator in ("is distinct from", "is not distinct from"):
            table[operator, (left, right)] = Entry("boolean", _null_safe)
        # Integer arithmetic wraps to BIGINT UNSIGNED errors; decimals keep all digits up to 65.
        if "decimal" in (left, right):
            for operator in ("+", "-", "*"):
                table[operator, (left, right)] = Entry("decimal", _arithmetic)
    for operator in _COMPARE:
        for operand in ("date", "timestamp", "timestamptz", "double"):
            table[operator, (operand, operand)] = Entry("boolean")
        table[operator, ("double", "decimal")] = Entry("boolean")
        table[operator, ("double", "integer")] = Entry("boolean")
    for left, right in product((*_LOOSE, "text"), (*_LOOSE, "text")):
        if left == right == "text":
            continue  # constants
        for operator in _COMPARE:
            table[operator, (left, right)] = Entry("boolean", _compare_bytes)
        if "text" in (left, right):
            table["=", (left, right)] = Entry("boolean", _equal_constant)
        for operator in ("is distinct from", "is not distinct from"):
            table[operator, (left, right)] = Entry("boolean", _null_safe_bytes)
    table["like", ("text loose", "text")] = Entry("boolean", _like)
    for unit in ("year", "month", "day", "quarter"):
        for operand in ("date", "timestamp"):
            table[f"extract {unit}", (operand,)] = Entry("integer", _extract)
    return table


def _aggregates() -> dict[tuple[str, tuple[str, ...]], Entry]:
    table: dict[tuple[str, tuple[str, ...]], Entry] = {}
    for operand in ("integer", "decimal", "double"):
        table["count", (operand,)] = Entry("integer")
        for name in ("min", "max"):
            table[name, (operand,)] = Entry(operand)
    for operand in _NUMBERS:
        table["sum", (operand,)] = Entry(operand)
        table["avg", (operand,)] = Entry("double", _average, output_only=True)
    for operand in ("date", "timestamp", "timestamptz"):
        table["count", (operand,)] = Entry("integer")
        for name in ("min", "max"):
            table[name, (operand,)] = Entry(operand)
    for operand in _LOOSE:
        table["count", (operand,)] = Entry("integer")
    return table


def _literal(text: str, type_: str) -> exp.Expression | None:
    if type_ == "VARCHAR":
        if "\0" in text:
            return None
        return exp.Literal.string(text)
    if type_ in ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT") or type_.startswith(
        "DECIMAL"
    ):
        if not re.fullmatch(r"-?\d+(\.\d+)?", text) or len(text) > 60:
            return None
        number = exp.Literal.number(text.lstrip("-"))
        return exp.Neg(this=number) if text.startswith("-") else number
    if type_ == "DOUBLE" and re.fullmatch(r"-?[\d.]+([eE][+-]?\d+)?", text):
        exponent = text if "e" in text.lower() else f"{text}e0"
        return exp.Literal.number(exponent) if not text.startswith("-") else None
    if type_ == "DATE" and re.fullmatch(r"\d{4}-\d\d-\d\d", text) and text >= "1000":
        return exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build("date"))
    if type_ in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE") and text >= "1000":
        match = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)(\+00)?", text)
        if match is None or (match[2] is None) == (type_ != "TIMESTAMP"):
            return None
        # The session's time zone is UTC, so both kinds of timestamp are written alike.
        to = exp.DataType.build("datetime(6)", dialect="mysql")
        return exp.Cast(this=exp.Literal.string(match[1]), to=to)
    return None


def _mixes(text: str, collation: str | None) -> bool:
    # A latin1 column meeting a constant that latin1 cannot hold is error 1267.
    return text.isascii() or (collation or "").startswith("utf8")


_FEW_KEYS = 20
_JSON_KEYS = (
    "SELECT k FROM JSON_TABLE('[]', '$[*]' COLUMNS (k {type} PATH '$')) AS keys_ GROUP BY k"
)


def _keys(value: exp.Expression, operand: str, keys: Keys) -> exp.Expression | None:
    """The range, and the keys as a grouped JSON table.

    Joined as it is, a JSON table is read anew for every row (over 60 s for 30,142 keys on TPC-H's
    orders); grouped it becomes a table with an index, and the keys are looked up in the big one.
    """
    low, high = (_literal(text, keys.type) for text in (keys.low, keys.high))
    if low is None or high is None:
        return None
    between = exp.Between(this=value.copy(), low=low, high=high)
    if operand == "text loose":
        return None if keys.values is None else _key_list(value, keys)
    if keys.values is None:
        return between
    if len(keys.values) <= _FEW_KEYS or operand != "integer":
        return _key_list(value, keys) or between
    query = parse_one(
        _JSON_KEYS.format(type="DECIMAL(39)" if "HUGE" in keys.type else "BIGINT"), dialect="mysql"
    )
    table = query.find(exp.JSONTable)
    assert table is not None
    table.set("this", exp.Literal.string("[" + ",".join(keys.values) + "]"))
    among = exp.In(this=value, query=exp.Subquery(this=query))
    return exp.And(this=between, expression=among)


def _key_list(value: exp.Expression, keys: Keys) -> exp.Expression | None:
    literals = [_literal(text, keys.type) for text in keys.values or ()]
    if any(literal is None for literal in literals):
        return None
    return exp.In(this=value, expressions=literals)


CAPABILITIES = Capabilities(
    kind="mysql",
    dialect="mysql",
    nodes=frozenset(["Scan", "Filter", "Project", "Join", "Aggregate", "Sort", "Limit"]),
    joins=frozenset({"inner", "left", "right", "cross", "semi", "anti"}),
    entries=_entries(),
    aggregates=_aggregates(),
    literal=_literal,
    text_bytes=_bytes,
    unordered=_unordered,
    text_mixes=_mixes,
    closed_derived_tables=True,
    dates_are_exact=False,
    date_is_real=_date_is_real,
    keys=_keys,
    # other engines know no snapshots
    keeps_state=lambda table: table.details.get("engine") == "InnoDB",
    costs=Costs(
        scan=0.17e-6,
        join=0.5e-6,
        lookup=3e-6,
        group=0.6e-6,
        aggregate=0.1e-6,
        send_row=0.15e-6,
        send_value=0.1e-6,
        key=2e-6,
        seek=3.5e-6,
        probe=0.5e-6,
    ),
)
SEEING_ZERO_DATES = replace(CAPABILITIES, date_is_real=None)
"""Where zero dates shall be errors."""
