"""Window ops of ``group_by``: one row per record, keys are the partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.language.rules.diagnostics import fail
from dovetail.language.rules.ops import NUMERIC, Op
from dovetail.language.rules.sequences import sort_keys, ties
from dovetail.language.rules.state import State, Table, snake_case
from dovetail.language.rules.terms import Compound, Number, Term, Text, Var, shown, variables
from dovetail.language.rules.values import Value, of_column, sql, stored
from dovetail.plan import nodes

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver

_RANKS = {
    "row_number": "row_number()",
    "rank": "rank()",
    "dense_rank": "dense_rank()",
    "percent_rank": "percent_rank()",
    "cume_dist": "cume_dist()",
}
# These look at peers, so that breaking ties would change their meaning.
_BY_PEERS = frozenset(["rank", "dense_rank", "percent_rank", "cume_dist"])
_WHOLE = exp.WindowSpec(
    kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="UNBOUNDED", end_side="FOLLOWING"
)
_RUNNING = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")


def window_items(
    solver: Solver, goal: Compound, keys: Sequence[Var], ops: Sequence[Op], inner: State
) -> tuple[Table, tuple[Term, ...]]:
    """The records of the goal with one more column per op."""
    from dovetail.language.rules.aggregates import aggregate, prepared

    ops, inner = prepared(solver, ops, inner)
    partition = [stored(inner.bound[key.name]) for key in keys]
    items = []
    for op in ops:
        if op.is_window:
            expression = _window(solver, goal, op, inner, keys, partition)
        else:
            expression = _over(aggregate(solver, op, inner), partition)
        type_ = solver.scalars.typing.of(expression, op.span)
        base = snake_case(op.result.name) if isinstance(op.result, Var) else op.name
        items.append(nodes.Item(solver.names.column(base or op.name, type_), expression))
    plan = nodes.Window(inner.rows, tuple(items))
    names = list(inner.bound)
    values = [inner.bound[n] for n in names]
    values += [
        of_column(item.column, f"result of {op.name}, line {op.span.line}")
        for op, item in zip(ops, items, strict=True)
    ]
    patterns: list[Term] = [Var(n, goal.span) for n in names]
    return Table(plan, tuple(values)), (*patterns, *(op.result for op in ops))


def _over(
    call: exp.Expression,
    partition: Sequence[exp.Expression],
    order: Sequence[nodes.SortKey] = (),
    spec: exp.Expression | None = None,
) -> exp.Expression:
    if (
        not isinstance(call, exp.Func | exp.Filter | exp.Anonymous)
        or isinstance(call, exp.Nullif)
        or _wraps(call)
    ):
        copied = call.copy()
        inner = _call_in(copied)
        inner.replace(_over(inner.copy(), partition, order, spec))
        return copied
    window = exp.Window(this=call.copy(), partition_by=[p.copy() for p in partition])
    if order:
        ordered = [
            exp.Ordered(this=k.expression.copy(), desc=k.descending, nulls_first=k.nulls_first)
            for k in order
        ]
        window.set("order", exp.Order(expressions=ordered))
    if spec is not None:
        window.set("spec", spec.copy())
    return window


def _wraps(call: exp.Expression) -> bool:
    """Whether a scalar function stands around the aggregate."""
    return not _is_aggregate(call) and any(_is_aggregate(n) for n in call.walk() if n is not call)


def _is_aggregate(node: exp.Expr) -> bool:
    from dovetail.language.sql.grouping import Grouping

    return isinstance(node, exp.Expression) and Grouping.is_aggregate(node)


def _call_in(expression: exp.Expression) -> exp.Expression:
    for node in expression.bfs():
        if node is not expression and _is_aggregate(node):
            assert isinstance(node, exp.Expression)
            return node
    raise AssertionError("no aggregate inside")


def _window(
    solver: Solver,
    goal: Compound,
    op: Op,
    inner: State,
    keys: Sequence[Var],
    partition: Sequence[exp.Expression],
) -> exp.Expression:
    name = op.name
    written = op.args[1] if name == "ntile" else op.args[0]
    order = sort_keys(solver, written, inner.bound, f"sort key of {name}")
    ranged = name.startswith("moving") and _frame_kind(op) == "RANGE"
    if name not in _BY_PEERS and not ranged:
        used = {*variables(written), *(key.name for key in keys)}
        order = [*order, *ties(goal.args[1], inner.bound, used)]
    if name in _RANKS:
        return _over(sql(_RANKS[name]), partition, order)
    if name == "ntile":
        return _over(sql("ntile(_0)", _whole(op, op.args[0], 1)), partition, order)
    if name in ("lag", "lead"):
        return _over(_offset(solver, op, inner), partition, order)
    if name in ("first_value", "last_value", "nth_value"):
        value = _value(solver, op, op.args[1], inner)
        if name == "nth_value":
            call = sql("nth_value(_0, _1)", value.expression, _whole(op, op.args[2], 1))
        else:
            call = sql(f"{name}(_0)", value.expression)
        return _over(call, partition, order, _WHOLE)
    kind, _, function = name.partition("_")
    if kind == "running":
        if function == "count":
            return _over(sql("count(*)"), partition, order, _RUNNING)
        value = _value(solver, op, op.args[1], inner)
        return _over(sql(f"{function}(_0)", value.expression), partition, order, _RUNNING)
    frame = _frame(op.args[-1], op)
    if len(op.args) == 2:
        return _over(sql("count(*)"), partition, order, frame)
    value = _value(solver, op, op.args[1], inner)
    return _over(sql(f"{function}(_0)", value.expression), partition, order, frame)


def _value(solver: Solver, op: Op, term: Term, inner: State) -> Value:
    value = solver.scalars.evaluated(term, inner.bound, f"argument of {op.name}")
    if op.name in NUMERIC:
        solver.scalars.require(value, term, "number", op.name)
    return value


def _offset(solver: Solver, op: Op, inner: State) -> exp.Expression:
    value = _value(solver, op, op.args[1], inner)
    parts = [value.expression]
    if len(op.args) > 2:
        parts.append(_whole(op, op.args[2], 0))
    if len(op.args) > 3:
        default = solver.scalars.plain(op.args[3], inner.bound, f"argument of {op.name}")
        solver.scalars.matched(value, default, op.args[3], shown(op.args[3]))
        parts.append(default.expression)
    marks = ", ".join(f"_{i}" for i in range(len(parts)))
    return sql(f"{op.name}({marks})", *parts)


def _whole(op: Op, term: Term, least: int) -> exp.Expression:
    if isinstance(term, Number) and term.is_integer and int(term.text) >= least:
        return exp.Literal.number(term.text)
    raise fail("R017", f"{op.name} takes a whole number from {least}, not {shown(term)}", term.span)


def _frame_kind(op: Op) -> str:
    frame = op.args[-1]
    kind = frame.args[0] if isinstance(frame, Compound) and frame.args else None
    return "RANGE" if isinstance(kind, Text) and kind.value == "range" else "ROWS"


def _frame(term: Term, op: Op) -> exp.Expression:
    if not isinstance(term, Compound) or not term.called("frame", 3):
        raise fail(
            "R017",
            f"{op.name} takes a frame, not {shown(term)}",
            term.span,
            "frame(rows, preceding(1), current_row)",
        )
    kind, first, last = term.args
    if not isinstance(kind, Text) or kind.value not in ("rows", "range"):
        raise fail("R017", f"a frame is rows or range, not {shown(kind)}", kind.span)
    start, start_side = _bound(first)
    end, end_side = _bound(last)
    return exp.WindowSpec(
        kind=kind.value.upper(), start=start, start_side=start_side, end=end, end_side=end_side
    )


def _bound(term: Term) -> tuple[str | exp.Expression, str | None]:
    match term:
        case Text(value="current_row"):
            return "CURRENT ROW", None
        case Text(value="unbounded_preceding"):
            return "UNBOUNDED", "PRECEDING"
        case Text(value="unbounded_following"):
            return "UNBOUNDED", "FOLLOWING"
        case Compound(name="preceding" | "following", args=(Number() as count,)):
            return exp.Literal.number(count.text), term.name.upper()
    raise fail(
        "R017",
        f"{shown(term)} is no bound of a frame",
        term.span,
        "the bounds are unbounded_preceding, preceding(K), current_row, following(K), "
        "unbounded_following",
    )
