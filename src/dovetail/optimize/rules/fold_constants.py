"""Replace constant expressions by their value, computed by DuckDB itself.

``date '1994-01-01' + interval '1' year`` becomes one literal that a source can compare with an
index. Safe because DuckDB, the reference, computes the value, with its type. What fails to
evaluate stays and fails at run time, where a filter may still keep it from being reached. A text
constant compared with a column of another type is converted as DuckDB converts it:
``d >= '1994-01-01'`` compares dates; at a source it might compare text.

A looser rule that also folded ``now()`` or ``random()`` would freeze them in cached plans.
"""

from __future__ import annotations

from datetime import date
from typing import cast

from sqlglot import exp, parse_one

from dovetail.optimize.context import Context
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    contains,
    function_name,
    is_volatile,
    map_expressions,
    node_expressions,
    transform_plan,
    unparenthesized,
)
from dovetail.types import Type

_PER_QUERY = frozenset(
    [
        "now",
        "current_date",
        "current_time",
        "current_timestamp",
        "today",
        "get_current_time",
        "get_current_timestamp",
        "transaction_timestamp",
        "current_localtime",
        "current_localtimestamp",
        "current_schema",
        "current_user",
        "current_database",
        "current_catalog",
    ]
)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_CONVERTED = ("date", "timestamp", "timestamptz", "integer", "decimal")


def fold_constants(plan: nodes.Plan, context: Context) -> nodes.Plan:
    """Apply the rule everywhere in ``plan``."""
    columns = _all_columns(plan)
    wanted: dict[str, None] = {}

    def collect(node: nodes.Plan) -> nodes.Plan:
        for expression in node_expressions(node):
            for constant in _constants(expression):
                wanted[constant.sql(dialect="duckdb")] = None
            for literal, type_ in _untyped(expression, columns):
                wanted[_conversion(literal, type_)] = None
        return node

    transform_plan(plan, collect)
    if not wanted:
        values: dict[str, exp.Expression] = {}
    else:
        found = context.reference.evaluate(list(wanted))
        values = {
            text: cast(exp.Expression, parse_one(value[1], dialect="duckdb"))
            for text, value in zip(wanted, found, strict=True)
            if value is not None and value[0].family in _FOLDED
        }

    def fold(expression: exp.Expression) -> exp.Expression:
        return _midnights(_replace(expression, values, columns), columns)

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Values):
            return node
        return map_expressions(node, fold)

    return transform_plan(plan, visit)


_FOLDED = ("boolean", "integer", "decimal", "float", "text", "date", "timestamp", "timestamptz")


def _all_columns(plan: nodes.Plan) -> dict[str, nodes.Column]:
    columns: dict[str, nodes.Column] = {}

    def visit(node: nodes.Plan) -> nodes.Plan:
        columns.update({c.name: c for c in node.columns})
        return node

    transform_plan(plan, visit)
    return columns


def _is_constant(node: exp.Expression) -> bool:
    if isinstance(
        node, exp.Literal | exp.Boolean | exp.Null | exp.Interval | exp.DataType | exp.Var
    ):
        return False
    if isinstance(node, exp.Tuple | exp.Ordered | exp.Order | exp.If | exp.Paren | exp.Star):
        return False
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return False
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal | exp.Null):
        # Already a typed constant, unless the text is not in its canonical form.
        return False
    if not isinstance(node, exp.Func | exp.Binary | exp.Unary | exp.Cast | exp.Between | exp.In):
        return False
    if isinstance(node, exp.AggFunc | exp.Window):
        return False
    if is_volatile(node):
        return False
    for part in node.walk():
        if isinstance(
            part,
            exp.Column
            | PlanSubquery
            | exp.Placeholder
            | exp.Parameter
            | exp.AggFunc
            | exp.Window
            | exp.Star,
        ):
            return False
        if str(function_name(part)) in _PER_QUERY or isinstance(
            part, exp.CurrentDate | exp.CurrentTimestamp | exp.CurrentTime
        ):
            return False
    return True


def _constants(expression: exp.Expression) -> list[exp.Expression]:
    """Maximal constant parts of an expression."""
    if _is_constant(expression):
        return [expression]
    if isinstance(expression, exp.Window | PlanSubquery) or (
        isinstance(expression, exp.AggFunc | exp.Filter | exp.WithinGroup)
        and not isinstance(expression, exp.Sum | exp.Avg | exp.Min | exp.Max | exp.Count)
    ):
        return []  # arguments that must be constants of a given form
    return [c for child in expression.iter_expressions() for c in _constants(child)]


def _untyped(
    expression: exp.Expression, columns: dict[str, nodes.Column]
) -> list[tuple[exp.Literal, Type]]:
    """Text constants compared with a column of another type."""
    found = []
    for node in expression.walk(prune=lambda n: isinstance(n, PlanSubquery)):
        for operand, others in _compared(node):
            bare = unparenthesized(operand)
            column = columns.get(bare.name) if isinstance(bare, exp.Column) else None
            if column is not None and column.type.family in _CONVERTED:
                found += [
                    (o, column.type) for o in others if isinstance(o, exp.Literal) and o.is_string
                ]
    return found


def _compared(node: exp.Expr) -> list[tuple[exp.Expression, list[exp.Expression]]]:
    if isinstance(node, _COMPARISONS):
        return [(node.this, [node.expression]), (node.expression, [node.this])]
    if isinstance(node, exp.Between):
        return [(node.this, [node.args["low"], node.args["high"]])]
    if isinstance(node, exp.In) and node.args.get("query") is None:
        return [(node.this, node.expressions)]
    return []


def _conversion(literal: exp.Literal, type_: Type) -> str:
    return f"CAST({literal.sql(dialect='duckdb')} AS {type_.text})"


def _replace(
    expression: exp.Expression,
    values: dict[str, exp.Expression],
    columns: dict[str, nodes.Column],
) -> exp.Expression:
    constants = {id(c): c for c in _constants(expression)}
    untyped = {id(lit): type_ for lit, type_ in _untyped(expression, columns)}
    if not constants and not untyped:
        return expression
    changed = False

    def visit(node: exp.Expression) -> exp.Expression:
        nonlocal changed
        text = None
        if id(node) in constants:
            text = node.sql(dialect="duckdb")
        elif id(node) in untyped and isinstance(node, exp.Literal):
            text = _conversion(node, untyped[id(node)])
        if text is not None and text in values:
            changed = True
            return values[text].copy()
        copied = node.copy() if not any(True for _ in node.iter_expressions()) else None
        if copied is not None:
            return copied
        clone = type(node)()
        for key, value in node.args.items():
            if isinstance(value, exp.Expression):
                clone.set(key, visit(value))
            elif isinstance(value, list):
                clone.set(key, [visit(v) if isinstance(v, exp.Expression) else v for v in value])
            else:
                clone.set(key, value)
        return clone

    result = visit(expression)
    return result if changed else expression


def _midnights(expression: exp.Expression, columns: dict[str, nodes.Column]) -> exp.Expression:
    """A DATE column compared with a timestamp at midnight is compared with that day."""
    if not contains(expression, *_COMPARISONS, exp.Between):
        return expression
    changed = False

    def day(literal: exp.Expression) -> exp.Expression | None:
        if not isinstance(literal, exp.Cast) or not isinstance(literal.this, exp.Literal):
            return None
        text = literal.this.name
        if literal.to.this not in (exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ):
            return None
        if not text.endswith(" 00:00:00"):
            return None
        try:
            date.fromisoformat(text[:-9])
        except ValueError:
            return None
        return exp.Cast(this=exp.Literal.string(text[:-9]), to=exp.DataType.build("DATE"))

    def visit(node: exp.Expression) -> exp.Expression:
        nonlocal changed
        if not isinstance(node, (*_COMPARISONS, exp.Between)):
            return node
        for operand, others in _compared(node):
            bare = unparenthesized(operand)
            column = columns.get(bare.name) if isinstance(bare, exp.Column) else None
            if column is None or column.type.family != "date":
                continue
            days = [day(o) for o in others]
            if all(d is not None for d in days):
                for old, new in zip(others, days, strict=True):
                    assert new is not None
                    old.replace(new)
                changed = True
        return node

    result = expression.copy().transform(visit, copy=False)
    return result if changed else expression
