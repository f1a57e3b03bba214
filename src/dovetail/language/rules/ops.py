"""The ops of ``group_by`` and ``aggregate_all``: their forms, and what each is in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from dovetail.catalog.catalogs import near_names
from dovetail.language.rules.diagnostics import RulesError, Span, fail
from dovetail.language.rules.terms import Compound, ListTerm, Number, Term, Text, Var, shown
from dovetail.language.rules.visibility import WINDOW_OPS

# name → the forms with their value arguments (the result comes last)
AGGREGATES: dict[str, tuple[str, ...]] = {
    "count": ("", "Value"),
    "sum": ("Value",),
    "avg": ("Value",),
    "min": ("Value",),
    "max": ("Value",),
    "stddev": ("Value",),
    "stddev_pop": ("Value",),
    "variance": ("Value",),
    "var_pop": ("Value",),
    "median": ("Value",),
    "percentile": ("Value, Percent",),
    "mode": ("Value",),
    "corr": ("X, Y",),
    "collect_list": ("Value", "Value, Order"),
    "collect_set": ("Value",),
    "count_distinct": ("Value",),
    "count_if": ("Test",),
    "string_agg": ("Value, Separator",),
    "arg_max": ("Value, By",),
    "arg_min": ("Value, By",),
    "filter": ("Op, Test",),
}
WINDOWS: dict[str, tuple[str, ...]] = {
    "row_number": ("Order",),
    "rank": ("Order",),
    "dense_rank": ("Order",),
    "percent_rank": ("Order",),
    "cume_dist": ("Order",),
    "ntile": ("N, Order",),
    "lag": ("Order, Value", "Order, Value, K", "Order, Value, K, Default"),
    "lead": ("Order, Value", "Order, Value, K", "Order, Value, K, Default"),
    "first_value": ("Order, Value",),
    "last_value": ("Order, Value",),
    "nth_value": ("Order, Value, N",),
    "running_sum": ("Order, Value",),
    "running_avg": ("Order, Value",),
    "running_min": ("Order, Value",),
    "running_max": ("Order, Value",),
    "running_count": ("Order",),
    "moving_sum": ("Order, Value, Frame",),
    "moving_avg": ("Order, Value, Frame",),
    "moving_min": ("Order, Value, Frame",),
    "moving_max": ("Order, Value, Frame",),
    "moving_count": ("Order, Value, Frame", "Order, Frame"),
}
HOLISTIC = frozenset(
    ["median", "percentile", "mode", "collect_list", "collect_set", "count_distinct", "string_agg"]
)
NUMERIC = frozenset(
    [
        "sum",
        "avg",
        "stddev",
        "stddev_pop",
        "variance",
        "var_pop",
        "median",
        "percentile",
        "corr",
        "running_sum",
        "running_avg",
        "moving_sum",
        "moving_avg",
    ]
)


@dataclass(frozen=True)
class Op:
    """One op: its value arguments and where its result goes.

    ``test`` is that of ``filter(Op, Test)``; ``counted`` says of a row whether it counts, once
    that is known (see :func:`~dovetail.language.rules.aggregates.prepared`).
    """

    name: str
    args: tuple[Term, ...]
    result: Term
    span: Span
    test: Term | None = None
    counted: exp.Expression | None = None

    @property
    def is_window(self) -> bool:
        """Whether it keeps one row per record."""
        return self.name in WINDOW_OPS


def forms(name: str, result: bool = True) -> str:
    """How an op may be written."""
    found = {**AGGREGATES, **WINDOWS}[name]
    tail = "R" if result and name != "filter" else ""
    parts = [", ".join(p for p in (form, tail) if p) for form in found]
    return " or ".join(f"{name}({part})" if part else name for part in parts)


def _values(form: str) -> int:
    return len(form.split(", ")) if form else 0


def read_ops(goal: Compound) -> list[Op]:
    """The ops of a ``group_by/3`` or ``group_by/4``.

    Raises:
        RulesError: R007 for an unknown op, a wrong number of arguments, a missing or repeated
            result.
    """
    written = goal.args[2]
    if len(goal.args) == 4:
        if isinstance(written, ListTerm):
            raise fail(
                "R007",
                "group_by/4 takes one op; a list of ops carries its own results",
                written.span,
                "group_by(Keys, Goal, [Op, ...])",
            )
        result = goal.args[3]
        if not isinstance(result, Var):
            raise fail("R007", "the result of an op is a variable", result.span)
        ops = [without_result(written, result)]
    else:
        listed = written.items if isinstance(written, ListTerm) else (written,)
        ops = [with_result(item) for item in listed]
    if not ops:
        raise fail("R007", "group_by needs at least one op", written.span, forms("count"))
    seen: dict[str, Op] = {}
    from dovetail.language.rules.terms import variables

    inside = variables(goal.args[1])
    for op in ops:
        if not isinstance(op.result, Var) or op.result.is_wildcard:
            continue
        name = op.result.name
        if name in seen:
            raise fail(
                "R007",
                f"{name} is the result of both {seen[name].name} and {op.name}",
                op.span,
                "each op needs a result variable of its own",
            )
        if name in inside:
            raise fail(
                "R007",
                f"{name}, the result of {op.name}, is already bound by the grouped goal",
                op.span,
                f"use a new variable: {op.name}(…, {name}1)",
            )
        seen[name] = op
    return ops


def _unknown(name: str, span: Span) -> RulesError:
    near = near_names(name, [*AGGREGATES, *WINDOWS])
    tail = f"; nearest: {', '.join(near)}" if near else ""
    return fail(
        "R007",
        f"no aggregate or window op {name}{tail}",
        span,
        f"the ops are {', '.join([*AGGREGATES, *WINDOWS])}",
        near,
    )


def with_result(term: Term) -> Op:
    """An op with its result as last argument."""
    if isinstance(term, Text):
        if term.value not in AGGREGATES and term.value not in WINDOWS:
            raise _unknown(term.value, term.span)
        raise fail(
            "R007",
            f"{term.value} needs a result variable here: {forms(term.value)}",
            term.span,
            f"write {term.value}(R)" if term.value == "count" else "",
        )
    if not isinstance(term, Compound):
        raise fail("R007", f"{shown(term)} is no op", term.span, "for example count(N)")
    if term.called("filter", 2):
        inner = with_result(term.args[0])
        return Op(inner.name, inner.args, inner.result, term.span, term.args[1])
    _check_arity(term, 1)
    if not isinstance(term.args[-1], Var):
        raise fail(
            "R007",
            f"the last argument of {term.name} is its result variable: {forms(term.name)}",
            term.args[-1].span,
        )
    return Op(term.name, term.args[:-1], term.args[-1], term.span)


def without_result(term: Term, result: Term) -> Op:
    """An op whose result stands elsewhere."""
    if isinstance(term, Text):
        term = Compound(term.value, (), term.span, term.span)
    if not isinstance(term, Compound):
        raise fail("R007", f"{shown(term)} is no op", term.span, "for example count or sum(X)")
    if term.called("filter", 2):
        inner = without_result(term.args[0], result)
        return Op(inner.name, inner.args, result, term.span, term.args[1])
    _check_arity(term, 0)
    return Op(term.name, term.args, result, term.span)


def _check_arity(term: Compound, extra: int) -> None:
    known = {**AGGREGATES, **WINDOWS}.get(term.name)
    if known is None:
        raise _unknown(term.name, term.span)
    expected = [_values(form) + extra for form in known]
    if len(term.args) not in expected:
        listed = " or ".join(str(n) for n in expected)
        raise fail(
            "R007",
            f"{term.name} takes {listed} argument{'' if expected == [1] else 's'} here, "
            f"{len(term.args)} given: {forms(term.name, bool(extra))}",
            term.span,
        )


def percent(term: Term) -> str:
    """The constant P of ``percentile`` as a fraction. Raises R017 outside 0 to 100."""
    if isinstance(term, Number):
        from decimal import Decimal

        value = Decimal(term.text)
        if 0 <= value <= 100:
            return str(value / 100)
    raise fail("R017", f"percentile takes a constant from 0 to 100, not {shown(term)}", term.span)


_TEMPLATES = {
    "sum": "sum(_0)",
    "avg": "avg(_0)",
    "min": "min(_0)",
    "max": "max(_0)",
    "stddev": "stddev_samp(_0)",
    "stddev_pop": "stddev_pop(_0)",
    "variance": "var_samp(_0)",
    "var_pop": "var_pop(_0)",
    "median": "quantile_cont(_0, 0.5)",
    "mode": "mode(_0 ORDER BY _0)",
    "corr": "nullif(corr(_0, _1), 'nan'::DOUBLE)",
    "collect_set": "list_sort(list_distinct(list(_0) FILTER (WHERE NOT _0 IS NULL)))",
    "string_agg": "string_agg(_0, _1 ORDER BY _0)",
    "arg_max": "arg_max(_0, _1 ORDER BY _0)",
    "arg_min": "arg_min(_0, _1 ORDER BY _0)",
}


def template_of(name: str, count: int, order: Sequence[tuple[int, bool]] = ()) -> str:
    """The SQL of an op over ``count`` values; ``order`` lists value numbers and directions."""
    if name == "count":
        return "count(*)" if count == 0 else "count(_0)"
    if name == "count_distinct":
        if count == 1:
            return "count(DISTINCT _0)"
        return f"count(DISTINCT row({', '.join(f'_{i}' for i in range(count))}))"
    if name == "collect_list":
        keys = [f"_{n}{' DESC' if desc else ''} NULLS LAST" for n, desc in order]
        return f"list(_0 ORDER BY {', '.join([*keys, '_0'])}) FILTER (WHERE NOT _0 IS NULL)"
    return _TEMPLATES[name]


def filter_by(aggregate: exp.Expression, test: exp.Expression) -> exp.Expression:
    """The aggregate over the rows for which ``test`` is true."""
    if isinstance(aggregate, exp.Filter):
        both = exp.And(this=aggregate.expression.this.copy(), expression=exp.Paren(this=test))
        return exp.Filter(this=aggregate.this.copy(), expression=exp.Where(this=both))
    if isinstance(aggregate, exp.AggFunc | exp.Anonymous | exp.AnonymousAggFunc) and _is_call(
        aggregate
    ):
        return exp.Filter(this=aggregate.copy(), expression=exp.Where(this=test.copy()))
    copied = aggregate.copy()
    for child in list(copied.iter_expressions()):
        inner = filter_by(child, test)
        if inner is not child:
            child.replace(inner)
            return copied
    return aggregate


def _is_call(node: exp.Expression) -> bool:
    from dovetail.language.sql.aggregates import AGGREGATES as KNOWN
    from dovetail.plan.expressions import function_name

    return isinstance(node, exp.AggFunc) or function_name(node) in KNOWN
