"""``group_by`` and ``aggregate_all``: one Aggregate node for all ops over one goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.language.rules.choices import shared
from dovetail.language.rules.diagnostics import RulesError, fail
from dovetail.language.rules.ops import (
    AGGREGATES,
    NUMERIC,
    Op,
    filter_by,
    percent,
    read_ops,
    template_of,
    without_result,
)
from dovetail.language.rules.scalars import Unbound
from dovetail.language.rules.sequences import inner_state, sort_keys
from dovetail.language.rules.state import (
    State,
    Table,
    bound_to,
    computed,
    filtered,
    fresh_column,
    project,
    snake_case,
)
from dovetail.language.rules.terms import (
    Compound,
    ListTerm,
    Term,
    Var,
    shown,
    variables,
    walk,
)
from dovetail.language.rules.truth import truth
from dovetail.language.rules.unbound import not_bound, not_grouped
from dovetail.language.rules.values import Value, cast_to, of_column, sql, stored
from dovetail.language.rules.visibility import WINDOW_OPS
from dovetail.language.rules.windows import window_items
from dovetail.plan import nodes
from dovetail.plan.expressions import conjunction, has_subquery
from dovetail.types import BOOLEAN

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver

Bound = Mapping[str, Value]


def keys_and_results(goal: Compound) -> tuple[list[str], list[str]]:
    """Names of the keys and results of a ``group_by``, for messages."""
    keys = list(variables(goal.args[0]))
    try:
        ops = read_ops(goal)
    except RulesError:
        return keys, []
    return keys, [op.result.name for op in ops if isinstance(op.result, Var)]


def group_by(
    solver: Solver, goal: Compound, elsewhere: frozenset[str]
) -> tuple[Table, tuple[Term, ...]]:
    """The groups of a ``group_by``, or one row per record when an op is a window."""
    keys = _keys(goal)
    ops = read_ops(goal)
    used = variables(goal.args[0], *goal.args[2:]).keys()
    windows = any(op.is_window for op in ops)
    if not windows:
        _check_hidden(solver, goal, elsewhere)
    shown_ = frozenset(used) | (elsewhere if windows else frozenset())
    inner = inner_state(solver, goal.args[1], shown_)
    for key in keys:
        if key.name not in inner.bound:
            raise not_bound(solver, Unbound(key, "group key"), inner)
    try:
        if windows:
            return window_items(solver, goal, keys, ops, inner)
        return _groups(solver, keys, ops, inner)
    except Unbound as unbound:
        raise not_bound(solver, unbound, inner) from None


def _keys(goal: Compound) -> list[Var]:
    written = goal.args[0]
    listed = written.items if isinstance(written, ListTerm) else (written,)
    keys: dict[str, Var] = {}
    for term in listed:
        if not isinstance(term, Var) or term.is_wildcard:
            raise fail(
                "R017",
                f"a group key is a variable, not {shown(term)}",
                term.span,
                f"compute it in the goal: (…, K is {shown(term)})",
            )
        keys[term.name] = term
    return list(keys.values())


def _check_hidden(solver: Solver, goal: Compound, elsewhere: frozenset[str]) -> None:
    from dovetail.language.rules.terms import conjuncts, occurrences
    from dovetail.language.rules.visibility import visible

    hidden = variables(goal.args[1]).keys() - visible(goal)
    for name in variables(goal.args[1]):
        if name not in hidden or name not in elsewhere:
            continue
        terms = [solver.clause.head] if solver.clause.head is not None else []
        for other in conjuncts(solver.clause.body) if solver.clause.body is not None else []:
            scope = isinstance(other, Compound) and other.name in ("aggregate_all", "findall")
            if other is not goal and not scope and name in visible(other):
                terms.append(other)
        for term in terms:
            for variable in occurrences(term):
                if variable.name == name:
                    raise not_grouped(variable, goal)


def _groups(
    solver: Solver, keys: Sequence[Var], ops: Sequence[Op], inner: State
) -> tuple[Table, tuple[Term, ...]]:
    ops, inner = prepared(solver, ops, inner)
    key_items = []
    for key in keys:
        value = inner.bound[key.name]
        made = fresh_column(inner.rows, value, solver.names, snake_case(key.name))
        key_items.append(nodes.Item(made, stored(value)))
    items = [_item(solver, op, inner) for op in ops]
    plan = nodes.Aggregate(inner.rows, tuple(key_items), tuple(items))
    values = [
        of_column(item.column, inner.bound[key.name].origin)
        for key, item in zip(keys, key_items, strict=True)
    ]
    values += [
        of_column(item.column, f"result of {op.name}, line {op.span.line}")
        for op, item in zip(ops, items, strict=True)
    ]
    return Table(plan, tuple(values)), (*keys, *(op.result for op in ops))


def _item(solver: Solver, op: Op, inner: State) -> nodes.Item:
    expression = aggregate(solver, op, inner)
    type_ = solver.scalars.typing.of(expression, op.span, grouped=True)
    base = snake_case(op.result.name) if isinstance(op.result, Var) else op.name
    return nodes.Item(solver.names.column(base or op.name, type_), expression)


def prepared(solver: Solver, ops: Sequence[Op], inner: State) -> tuple[list[Op], State]:
    """The ops with their tests as expressions; those that look at other rows become columns."""
    result = []
    for number, op in enumerate(ops):
        tests = []
        if op.name == "count_if":
            tests.append(truth(solver, op.args[0], inner))
        if op.test is not None:
            tests.append(truth(solver, op.test, inner))
        test = conjunction(tests)
        if test is not None and has_subquery(test):
            name = f" test {number}"
            inner = computed(inner, solver.names, {name: Value(test, BOOLEAN, "a test")})
            test = inner.bound[name].expression
        result.append(replace(op, counted=test))
    return result, inner


def aggregate(solver: Solver, op: Op, inner: State) -> exp.Expression:
    """The SQL aggregate of a prepared op over the rows of ``inner``."""
    made = sql("count(*)") if op.name == "count_if" else _plain(solver, op, inner.bound)
    return made if op.counted is None else filter_by(made, op.counted)


def _plain(solver: Solver, op: Op, bound: Bound) -> exp.Expression:
    if op.name == "percentile":
        fraction = percent(op.args[1])
        value = op_value(solver, op, op.args[0], bound)
        return sql(f"quantile_cont(_0, {fraction})", _continuous(value))
    if op.name == "median":
        return sql("quantile_cont(_0, 0.5)", _continuous(op_value(solver, op, op.args[0], bound)))
    if op.name == "collect_list" and len(op.args) == 2:
        value = op_value(solver, op, op.args[0], bound)
        keys = sort_keys(solver, op.args[1], bound, "sort key of collect_list")
        order = [(i, key.descending) for i, key in enumerate(keys, start=1)]
        template = template_of(op.name, 1, order)
        return sql(template, value.expression, *(k.expression for k in keys))
    written: Sequence[Term] = op.args
    if op.name == "count_distinct" and isinstance(op.args[0], ListTerm):
        written = op.args[0].items
    values = [op_value(solver, op, term, bound) for term in written]
    if op.name == "string_agg":
        for value, term in zip(values, written, strict=True):
            solver.scalars.require(value, term, "text", op.name)
    return sql(template_of(op.name, len(values)), *(v.expression for v in values))


def _continuous(value: Value) -> exp.Expression:
    """Interpolation happens between doubles, not in the last digit of a decimal."""
    if value.type.family == "decimal":
        from dovetail.types import DOUBLE

        return cast_to(value.expression, DOUBLE)
    return value.expression


def op_value(solver: Solver, op: Op, term: Term, bound: Bound) -> Value:
    """An argument of an op; expressions are computed."""
    value = solver.scalars.evaluated(term, bound, f"argument of {op.name}")
    if op.name in NUMERIC or (
        op.name in ("min", "max", "arg_max", "arg_min") and value.kind in ("struct", "map")
    ):
        solver.scalars.require(value, term, "number", op.name)
    # A bare literal in ORDER BY would be a position.
    return value if value.constant is None else Value(stored(value), value.type, value.origin)


# -- aggregate_all --------------------------------------------------------------------------------

_EMPTY = {"count": "0", "sum": "0", "bag": "[]", "set": "[]", "count_if": "0"} | {
    "count_distinct": "0"
}
_NAMES = {"bag": "collect_list", "set": "collect_set"}


def aggregate_all(solver: Solver, goal: Compound, state: State, elsewhere: frozenset[str]) -> State:
    """One value over all solutions; variables bound outside make it one value per row."""
    template, body, result = _parts(goal)
    wanted = _shapes(template, result)
    named = variables(template, body, *(goal.args[1:2] if len(goal.args) == 4 else ()))
    around = {n: state.bound[n] for n in named if n in state.bound}
    fixed = {n: v for n, v in around.items() if v.constant is not None}
    keys = [n for n in around if n not in fixed]
    outside = frozenset(named)
    if not keys:
        inner = inner_state(solver, body, outside, State(None, fixed) if fixed else None)
        plan, values = _whole(solver, goal, wanted, inner, [])
        return _results(
            solver,
            _crossed(state, plan),
            wanted,
            [_or_empty(v, w) for v, w in zip(values, wanted, strict=True)],
            goal,
        )
    inner_alone = _alone(solver, body, fixed, keys, outside)
    if inner_alone is not None:
        plan, values = _whole(solver, goal, wanted, inner_alone, keys)
        return _per_row(solver, goal, wanted, state, plan, values, keys, "_0 = _1")
    starts, wrap = shared(solver, state, 2)
    pairs = [starts[0].bound[n] for n in keys]
    distinct = nodes.Distinct(
        project(starts[0].rows, pairs, solver.names, [snake_case(n) for n in keys])
    )
    base = State(
        distinct,
        {
            **fixed,
            **{
                n: of_column(c, around[n].origin)
                for n, c in zip(keys, distinct.columns, strict=True)
            },
        },
    )
    inner = solver.solve(_goals(body), base, outside)
    plan, values = _whole(solver, goal, wanted, inner, keys)
    outer = starts[1]
    made = _per_row(solver, goal, wanted, outer, plan, values, keys, "_0 IS NOT DISTINCT FROM _1")
    return State(wrap(made.rows), made.bound)


def _goals(body: Term) -> list[Term]:
    from dovetail.language.rules.terms import conjuncts

    return conjuncts(body)


def _alone(
    solver: Solver, body: Term, fixed: Bound, keys: Sequence[str], outside: frozenset[str]
) -> State | None:
    """The goal solved without the rows around it, if it binds all it shares with them."""
    try:
        inner = inner_state(solver, body, outside, State(None, fixed) if fixed else None)
    except RulesError as error:
        if error.code == "R002":
            return None
        raise
    except Unbound:
        return None
    return inner if all(n in inner.bound for n in keys) else None


_Wanted = list[tuple[Op, tuple[Term, ...]]]


def _parts(goal: Compound) -> tuple[Term, Term, Term]:
    if goal.called("findall", 3):
        item, body, result = goal.args
        return Compound("bag", (item,), item.span, goal.name_span), body, result
    if len(goal.args) == 4:
        template, _, body, result = goal.args
        if isinstance(body, Var):
            key = shown(body)
            raise fail(
                "R007",
                "the third argument of aggregate_all/4 is the goal, not a key",
                body.span,
                f"group_by({key}, {shown(goal.args[1])}, {shown(template)}, {shown(result)})",
            )
        return template, body, result
    return goal.args[0], goal.args[1], goal.args[2]


def _shapes(template: Term, result: Term) -> _Wanted:
    """The ops of a template, each with the terms its results are matched with."""
    if isinstance(template, Compound):
        name, args = template.name, template.args
        if name in ("max", "min") and len(args) == 2:
            targets: tuple[Term, ...] = (result,)
            if isinstance(result, Compound) and result.called(name, 2):
                targets = result.args
            elif not isinstance(result, Var):
                raise fail("R007", f"the result of {shown(template)} is {name}(V, W)", result.span)
            else:
                raise fail(
                    "R007",
                    f"{shown(template)} has two results: match it with {name}(V, W)",
                    result.span,
                )
            return [(Op(name, args, result, template.span), targets)]
        if name in ("bag", "set") and len(args) == 1:
            return [(Op(name, args, result, template.span), (result,))]
        if name in WINDOW_OPS:
            raise fail(
                "R007",
                f"{name} is a window op: it keeps a row per record, aggregate_all gives one value",
                template.span,
                f"group_by([], Goal, {name}(…, R))",
            )
        if name not in AGGREGATES:
            if not isinstance(result, Compound) or not result.called(name, len(args)):
                raise fail(
                    "R007",
                    f"{shown(template)} is matched by the same shape: "
                    f"{name}({', '.join('R' + str(i + 1) for i in range(len(args)))})",
                    result.span,
                    f"or it is an unknown op; the ops are {', '.join(AGGREGATES)}, bag, set",
                )
            found: _Wanted = []
            for part, target in zip(args, result.args, strict=True):
                found += _shapes(part, target)
            return found
    return [(without_result(template, result), (result,))]


def _whole(
    solver: Solver, goal: Compound, wanted: _Wanted, inner: State, keys: Sequence[str]
) -> tuple[nodes.Plan, list[list[Value]]]:
    """The Aggregate with ``keys``; per op its values."""
    if len(goal.args) == 4:
        inner = _discriminated(solver, goal, wanted, inner, keys)
    ops, inner = prepared(solver, [op for op, _ in wanted], inner)
    wanted = [(op, targets) for op, (_, targets) in zip(ops, wanted, strict=True)]
    key_items = []
    for name in keys:
        value = inner.bound[name]
        made = fresh_column(inner.rows, value, solver.names, snake_case(name))
        key_items.append(nodes.Item(made, stored(value)))
    items: list[nodes.Item] = []
    values: list[list[Value]] = []
    try:
        for op, targets in wanted:
            made_items = []
            for expression in _expressions(solver, op, inner):
                type_ = solver.scalars.typing.of(expression, op.span, grouped=True)
                base = snake_case(targets[0].name) if isinstance(targets[0], Var) else op.name
                made_items.append(
                    nodes.Item(solver.names.column(base or op.name, type_), expression)
                )
            items += made_items
            values.append([of_column(i.column, f"result of {op.name}") for i in made_items])
    except Unbound as unbound:
        raise not_bound(solver, unbound, inner) from None
    return nodes.Aggregate(inner.rows, tuple(key_items), tuple(items)), values


def _expressions(solver: Solver, op: Op, inner: State) -> list[exp.Expression]:
    if op.name in ("max", "min") and len(op.args) == 2:
        value = op_value(solver, op, op.args[0], inner.bound)
        witness = solver.scalars.plain(op.args[1], inner.bound, f"witness of {op.name}")
        best = sql(f"{op.name}(_0)", value.expression)
        which = sql(f"arg_{op.name}(_0, _1 ORDER BY _0)", witness.expression, value.expression)
        return [best, which]
    plain = replace(op, name=_NAMES.get(op.name, op.name))
    return [aggregate(solver, plain, inner)]


def _discriminated(
    solver: Solver, goal: Compound, wanted: _Wanted, inner: State, keys: Sequence[str]
) -> State:
    """Each (discriminator, value) once: distinct rows of all variables that these name."""
    names = list(keys)
    for term in (goal.args[0], goal.args[1]):
        for inside in walk(term):
            if isinstance(inside, Var) and inside.name in inner.bound and inside.name not in names:
                names.append(inside.name)
    values = [inner.bound[n] for n in names]
    plan = nodes.Distinct(project(inner.rows, values, solver.names, [snake_case(n) for n in names]))
    bound = {n: of_column(c, v.origin) for n, c, v in zip(names, plan.columns, values, strict=True)}
    return State(plan, bound)


def _or_empty(values: Sequence[Value], wanted: tuple[Op, tuple[Term, ...]]) -> list[Value]:
    """What an op over no rows gives: 0, ``[]``, or (unchanged) NULL, which is no solution."""
    empty = _EMPTY.get(wanted[0].name)
    if empty is None:
        return list(values)
    return [Value(sql(f"coalesce(_0, {empty})", v.expression), v.type, v.origin) for v in values]


def _crossed(state: State, plan: nodes.Plan) -> State:
    if state.plan is None:
        return State(plan, state.bound)
    return State(nodes.Join("cross", state.plan, plan), state.bound)


def _per_row(
    solver: Solver,
    goal: Compound,
    wanted: _Wanted,
    state: State,
    plan: nodes.Plan,
    values: Sequence[Sequence[Value]],
    keys: Sequence[str],
    match: str,
) -> State:
    """Join the aggregates to the rows they belong to."""
    conditions = []
    for name, made in zip(keys, plan.columns, strict=False):
        known = state.bound[name]
        value = of_column(made, f"{name} in {shown(goal)}")
        left, right = solver.scalars.matched(known, value, goal, name)
        conditions.append(sql(match, left, right))
    drops = any(op.name not in _EMPTY for op, _ in wanted)
    kind: nodes.JoinKind = "inner" if drops else "left"
    merged = nodes.Join(kind, state.rows, plan, conjunction(conditions))
    complete = [_or_empty(v, w) for v, w in zip(values, wanted, strict=True)]
    return _results(solver, State(merged, state.bound), wanted, complete, goal)


def _results(
    solver: Solver,
    state: State,
    wanted: _Wanted,
    values: Sequence[Sequence[Value]],
    goal: Compound,
) -> State:
    """Bind the results, or compare them with what is bound."""
    made = {f" {i} {j}": v for i, found in enumerate(values) for j, v in enumerate(found)}
    around = set(state.bound)
    # All at once: a projection passes on only what is bound.
    state = State(state.plan, {**state.bound, **made})
    state = computed(state, solver.names, made)
    for i, (op, targets) in enumerate(wanted):
        if op.name not in _EMPTY:
            state = filtered(state, sql("NOT _0 IS NULL", state.bound[f" {i} 0"].expression))
        for j, target in enumerate(targets):
            value = state.bound[f" {i} {j}"]
            if isinstance(target, Var):
                if target.is_wildcard:
                    continue
                known = state.bound.get(target.name)
                if known is None:
                    state = bound_to(state, target.name, value)
                    around.add(target.name)
                    continue
            else:
                known = solver.scalars.plain(target, state.bound, "comparison")
            state = filtered(state, solver.scalars.equality(known, value, goal, shown(target)))
    return State(state.plan, {n: v for n, v in state.bound.items() if n in around})
