"""PostgreSQL: what it computes as DuckDB does."""

from __future__ import annotations

import re
from itertools import product

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities, Costs, Entry, Keys
from dovetail.plan.expressions import data_type

_NUMBERS = ("integer", "decimal")
_ORDERED = ("<", "<=", ">", ">=")
_EQUAL = ("=", "<>", "is distinct from", "is not distinct from")


def _cast(expression: exp.Expression, type_: str) -> exp.Expression:
    return exp.Cast(this=expression, to=data_type(type_, "postgres"))


def _bytewise(expression: exp.Expression) -> exp.Expression:
    """Order and equality by bytes, as DuckDB compares (semantics S2)."""
    return exp.Collate(
        this=exp.Paren(this=expression) if isinstance(expression, exp.Binary) else expression,
        expression=exp.Identifier(this="C", quoted=True),
    )


def _compare_bytewise(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    return type(node)(this=_bytewise(left), expression=right)


def _unpadded(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    # char(n) is shown without its padding, so it is compared so; text of bpchar drops the padding.
    return type(node)(this=_bytewise(_cast(left, "text")), expression=right)


def _padded(left: exp.Expression, right: exp.Expression, *, node: exp.Expression) -> exp.Expression:
    # char(n) compares without regard to the padding: for a constant that does not end in a space
    # that is what the shown text does, and PostgreSQL keeps its statistics and indexes.
    constant = right.this if isinstance(right, exp.Cast) else None
    is_text = isinstance(constant, exp.Literal) and constant.is_string
    if constant is None or not is_text or constant.this.endswith(" "):
        return _unpadded(left, right, node=node)
    return type(node)(this=left, expression=_cast(constant.copy(), "bpchar"))


def _unpadded_right(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    return type(node)(this=left, expression=_bytewise(_cast(right, "text")))


def _like(
    value: exp.Expression, pattern: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    # LIKE under a non-C collation compares characters, which is what DuckDB does; the collation
    # is named so that a nondeterministic default cannot make it fail.
    return exp.Like(this=_bytewise(value), expression=pattern)


def _numeric(
    left: exp.Expression, right: exp.Expression, *, node: exp.Expression
) -> exp.Expression:
    # Integers are widened so that PostgreSQL cannot overflow where DuckDB would not (A3).
    return type(node)(
        this=_cast(_group(left), "numeric"), expression=_cast(_group(right), "numeric")
    )


def _exact(left: exp.Expression, right: exp.Expression, *, node: exp.Expression) -> exp.Expression:
    return type(node)(this=_group(left), expression=_group(right))


def _group(expression: exp.Expression) -> exp.Expression:
    return exp.Paren(this=expression) if isinstance(expression, exp.Binary) else expression


def _extract(value: exp.Expression, *, node: exp.Expression) -> exp.Expression:
    return _part(node.name, value)


def _part(unit: str, value: exp.Expression) -> exp.Expression:
    # Of ±infinity PostgreSQL's parts are infinite, or an error as an integer; DuckDB's are NULL.
    part = _cast(exp.Extract(this=exp.Var(this=unit.upper()), expression=value), "bigint")
    finite = exp.Anonymous(this="isfinite", expressions=[value.copy()])
    return exp.Case(ifs=[exp.If(this=finite, true=part)])


def _as_numeric(value: exp.Expression, *, node: exp.Expression, **_: object) -> exp.Expression:
    inner = value
    if isinstance(value, exp.Distinct):
        inner = exp.Distinct(expressions=[_cast(value.expressions[0], "numeric")])
    else:
        inner = _cast(value, "numeric")
    return type(node)(this=inner)


def _average(value: exp.Expression, *, node: exp.Expression, **_: object) -> exp.Expression:
    return exp.Avg(this=value)


def _extreme(value: exp.Expression, *, node: exp.Expression, **_: object) -> exp.Expression:
    return type(node)(this=_bytewise(value))


def _substring(
    value: exp.Expression,
    start: exp.Expression,
    length: exp.Expression | None = None,
    *,
    node: exp.Expression,
) -> exp.Expression:
    # Only constant positions from 1 on: zero and negative offsets differ (S6).
    for part in (start, length):
        if part is not None and not (
            isinstance(part, exp.Literal) and part.this.isdigit() and int(part.this) >= 1
        ):
            from dovetail.connectors.capabilities.translate import Untranslatable

            raise Untranslatable("substring with an offset that is no positive constant")
    return exp.Substring(this=value, start=start, length=length)


def _entries() -> dict[tuple[str, tuple[str, ...]], Entry]:
    table: dict[tuple[str, tuple[str, ...]], Entry] = {}
    for left, right in product(_NUMBERS, _NUMBERS):
        for operator in (*_EQUAL, *_ORDERED):
            table[operator, (left, right)] = Entry("boolean")
        for operator in ("+", "-", "*"):
            both_integer = left == right == "integer"
            result = "integer" if both_integer else "decimal"
            table[operator, (left, right)] = Entry(result, _numeric if both_integer else _exact)
    for operator in (*_EQUAL, *_ORDERED):
        for operand in ("date", "timestamp", "timestamptz", "double", "boolean"):
            table[operator, (operand, operand)] = Entry("boolean")
        for pair in (("double", "decimal"), ("double", "integer")):
            table[operator, pair] = Entry("boolean")
    for operator in _EQUAL:
        table[operator, ("text", "text")] = Entry("boolean")
        table[operator, ("char", "text")] = Entry("boolean", _padded)
    for operator in _ORDERED:
        table[operator, ("text", "text")] = Entry("boolean", _compare_bytewise)
        table[operator, ("char", "text")] = Entry("boolean", _unpadded)
    for operator in (*_EQUAL, *_ORDERED):
        table[operator, ("text loose", "text")] = Entry("boolean", _compare_bytewise)
        table[operator, ("char loose", "text")] = Entry("boolean", _unpadded)
        table[operator, ("text", "char")] = Entry("boolean", _unpadded_right)
    table["like", ("text", "text")] = Entry("boolean", _like)
    table["like", ("text loose", "text")] = Entry("boolean", _like)
    table["||", ("text", "text")] = Entry("text", _exact)
    for unit in ("year", "month", "day", "quarter"):
        for operand in ("date", "timestamp"):
            table[f"extract {unit}", (operand,)] = Entry("integer", _extract)
            table[unit, (operand,)] = Entry(
                "integer",
                lambda value, *, node, unit=unit: _part(unit, value),
            )
    for name in ("substring", "substr"):
        table[name, ("text", "integer", "integer")] = Entry("text", _substring)
        table[name, ("text", "integer")] = Entry("text", _substring)
    return table


def _aggregates() -> dict[tuple[str, tuple[str, ...]], Entry]:
    table: dict[tuple[str, tuple[str, ...]], Entry] = {}
    for operand in ("integer", "decimal", "double", "boolean", "date", "timestamp", "timestamptz"):
        table["count", (operand,)] = Entry("integer")
        if operand != "boolean":
            for name in ("min", "max"):
                table[name, (operand,)] = Entry(operand)
    for name in ("bool_and", "bool_or"):
        table[name, ("boolean",)] = Entry("boolean")
    table["count", ("text",)] = Entry("integer")
    for name in ("min", "max"):
        table[name, ("text",)] = Entry("text", _extreme)
    for operand in _NUMBERS:
        # Of a decimal as it is: a sum and an average of the same value are then added up once.
        table["sum", (operand,)] = (
            Entry(operand) if operand == "decimal" else Entry(operand, _as_numeric)
        )
        table["avg", (operand,)] = Entry("double", _average, output_only=True)
    # No sum of DOUBLE: where it overflows PostgreSQL fails and DuckDB answers infinity.
    return table


def _literal(text: str, type_: str) -> exp.Expression | None:
    """A constant, typed so that PostgreSQL cannot read it as anything else."""
    if type_ == "VARCHAR":
        if "\0" in text:
            return None  # PostgreSQL has no such text: no row can be equal, but let DuckDB say so
        return _cast(exp.Literal.string(text), "text")
    if type_ in ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT") or type_.startswith(
        "DECIMAL"
    ):
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            return None
        number = exp.Literal.number(text.lstrip("-"))
        return exp.Neg(this=number) if text.startswith("-") else number
    if type_ == "DOUBLE":
        if not re.fullmatch(r"-?[\d.]+([eE][+-]?\d+)?", text):
            return None
        return _cast(exp.Literal.string(text), "double precision")
    if type_ == "DATE" and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return _cast(exp.Literal.string(text), "date")
    if type_ == "TIMESTAMP" and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", text):
        return _cast(exp.Literal.string(text), "timestamp")
    if type_ == "TIMESTAMP WITH TIME ZONE" and re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00", text
    ):
        return _cast(exp.Literal.string(text), "timestamptz")
    if type_ == "BOOLEAN" and text in ("true", "false", "t", "f"):
        return exp.Boolean(this=text.startswith("t"))
    return None


def _keys(value: exp.Expression, operand: str, keys: Keys) -> exp.Expression | None:
    """The range, and the keys in the form that PostgreSQL's planner does best with.

    A subquery over an array is taken for 200 different values: it looks each up by an index, or
    hashes them. Many keys of a column's different values are a VALUES list, whose length it knows:
    it hashes them, and its workers share the scan. Figures (PostgreSQL 15, 6 M rows of lineitem
    joined with orders filtered by 30,142 of 100,000 customers): 1.7 s with the array, 0.95 s with
    the list; 10,000 orders by primary key, in contrast, 0.03 s and 0.2 s. ``= ANY (array)`` would
    be tested row by row for want of an index: 5,000 keys against 800,000 rows 5.1 s, not 0.23 s.
    """
    low, high = (_literal(text, keys.type) for text in (keys.low, keys.high))
    if low is None or high is None:
        return None
    column = _bytewise(value) if operand == "text loose" else value
    between = exp.Between(this=column.copy(), low=low, high=high)
    if operand.startswith("text"):
        between = exp.Between(this=_bytewise(value), low=low, high=high)
    if keys.values is None:
        return between
    whole = "".join(keys.values).replace("-", "").isdigit()  # a node each takes 5 µs a key
    if not whole or len(keys.values) <= _FEW_KEYS:
        literals = [_literal(text, keys.type) for text in keys.values]
        if any(literal is None for literal in literals):
            return between
        if len(literals) <= _FEW_KEYS:
            return exp.In(this=column, expressions=literals)
    type_ = {"integer": "bigint", "decimal": "numeric", "text": "text", "text loose": "text"}.get(
        operand, operand
    )
    if operand == "integer" and keys.type in ("HUGEINT", "UBIGINT", "UHUGEINT"):
        type_ = "numeric"
    if whole and operand == "integer" and _many(keys):
        first, *rest = keys.values
        rows = "".join(f", ({text})" for text in rest)
        listed = exp.Var(this=f"VALUES (CAST({first} AS {type_})){rows}")
        return exp.And(this=between, expression=exp.In(this=column, expressions=[listed]))
    array = exp.Literal.string("{" + ",".join(map(_array_item, keys.values)) + "}")
    unnest = exp.Anonymous(
        this="unnest",
        expressions=[exp.Cast(this=array, to=data_type(f"{type_}[]", "postgres"))],
    )
    among = exp.In(this=column, query=exp.Subquery(this=exp.select(unnest)))
    return exp.And(this=between, expression=among)


def _many(keys: Keys) -> bool:
    """Whether most of a table is read anyway, and the numbers make no text too long to plan."""
    few_enough = len(keys.values or ()) <= _MOST_LISTED
    return few_enough and keys.share is not None and keys.share > _LARGE_SHARE


def _array_item(text: str) -> str:
    return (
        '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if not text.lstrip("-").isdigit()
        else text
    )


CAPABILITIES = Capabilities(
    kind="postgres",
    dialect="postgres",
    nodes=frozenset(
        [
            "Scan",
            "Filter",
            "Project",
            "Join",
            "Aggregate",
            "Distinct",
            "SetOperation",
            "Sort",
            "Limit",
            "With",
            "WithScan",
            "grouping_sets",
            "filter",
        ]
    ),
    joins=frozenset({"inner", "left", "right", "cross", "semi", "anti"}),
    entries=_entries(),
    aggregates=_aggregates(),
    order_text=_bytewise,
    # Every deterministic collation compares equal exactly the same bytes.
    text_is_exact=lambda collation: (
        collation is None or not collation.startswith("nondeterministic")
    ),
    literal=_literal,
    keys=_keys,
    keeps_state=lambda table: True,
    costs=Costs(
        scan=0.35e-6,
        join=0.35e-6,
        group=0.2e-6,
        group_parts=30e-6,
        aggregate=0.12e-6,
        send_row=0.1e-6,
        send_value=0.11e-6,
        key=1.5e-6,
        seek=2e-6,
        probe=0.15e-6,
        many_groups=2.0,
    ),
    sorts_by_index=True,
)

_FEW_KEYS = 20
_LARGE_SHARE = 0.1  # of different values: by then a whole scan is about as good as an index
_MOST_LISTED = 60_000  # a list of as many takes PostgreSQL 0.1 s to plan
