"""Solution sequences: ``order_by``, ``limit``, ``offset``, ``distinct``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.language.rules.diagnostics import Diagnostic, fail
from dovetail.language.rules.scalars import Unbound
from dovetail.language.rules.state import State, computed, passed
from dovetail.language.rules.terms import (
    Compound,
    ListTerm,
    Number,
    Term,
    conjuncts,
    shown,
    variables,
)
from dovetail.language.rules.unbound import not_bound
from dovetail.language.rules.values import Value
from dovetail.plan import nodes
from dovetail.plan.expressions import free_columns

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver

SEQUENCES = frozenset(["order_by", "limit", "offset", "distinct"])


def is_sequence(goal: Term) -> bool:
    """Whether the goal is one of these forms."""
    if not isinstance(goal, Compound):
        return False
    return goal.name in SEQUENCES and (
        len(goal.args) == 2 or (goal.name == "distinct" and len(goal.args) == 1)
    )


def inner_state(
    solver: Solver, goal: Term, outside: frozenset[str], start: State | None = None
) -> State:
    """A goal that stands alone: a sequence, or any body."""
    if is_sequence(goal) and start is None:
        assert isinstance(goal, Compound)
        return sequence(solver, goal, outside)
    return solver.solve(conjuncts(goal), start or State(), outside)


def sequence(solver: Solver, goal: Compound, outside: frozenset[str]) -> State:
    """The rows of a sequence goal, with their order if it has one."""
    inner = goal.args[-1]
    extra = variables(*goal.args[:-1]).keys()
    state = inner_state(solver, inner, outside | extra)
    match goal.name:
        case "order_by":
            return _ordered(solver, goal, state)
        case "limit":
            count = _count(goal)
            if not state.order:
                solver.relations.warn(
                    Diagnostic(
                        "W102",
                        "limit without order_by takes any rows",
                        goal.name_span,
                        "limit(N, order_by([asc(X)], Goal)) takes the first",
                    )
                )
            return _limited(state, count, 0)
        case "offset":
            return _limited(state, None, _count(goal))
        case _:
            return _distinct(solver, goal, state)


def _count(goal: Compound) -> int:
    written = goal.args[0]
    if not isinstance(written, Number) or not written.is_integer or int(written.text) < 0:
        raise fail(
            "R017",
            f"{goal.name} takes a whole number from 0, not {shown(written)}",
            written.span,
        )
    return int(written.text)


def _limited(state: State, count: int | None, offset: int) -> State:
    plan = state.rows
    if isinstance(plan, nodes.Limit):
        # One node, so that the order below it stays in its SELECT.
        left = None if plan.count is None else max(plan.count - offset, 0)
        if count is not None and (left is None or count < left):
            left = count
        plan = nodes.Limit(plan.input, left, plan.offset + offset)
    else:
        plan = nodes.Limit(plan, count, offset)
    return State(plan, state.bound, state.order)


def _ordered(solver: Solver, goal: Compound, state: State) -> State:
    keys = sort_keys(solver, goal.args[0], state.bound, "sort key of order_by")
    used = variables(goal.args[0]).keys()
    keys += ties(goal.args[1], state.bound, used)
    if not keys:
        return state
    return State(nodes.Sort(state.rows, tuple(keys)), state.bound, tuple(keys))


def sort_keys(
    solver: Solver, term: Term, bound: Mapping[str, Value], role: str
) -> list[nodes.SortKey]:
    """A variable or expression, ``asc(E)``, ``desc(E)``, or a list of these; NULLs last.

    Raises:
        RulesError: R002 for a variable that the goal does not bind.
    """
    listed = term.items if isinstance(term, ListTerm) else (term,)
    keys = []
    for item in listed:
        descending = isinstance(item, Compound) and item.called("desc", 1)
        directed = isinstance(item, Compound) and (descending or item.called("asc", 1))
        written = item.args[0] if directed and isinstance(item, Compound) else item
        try:
            value = solver.scalars.evaluated(written, bound, role)
        except Unbound as unbound:
            raise not_bound(solver, unbound, State(None, bound)) from None
        if value.constant is None:
            keys.append(nodes.SortKey(value.expression, descending, False))
    return keys


def ties(goal: Term, bound: Mapping[str, Value], used: object) -> list[nodes.SortKey]:
    """The remaining variables of ``goal``, in order of first appearance: they break ties."""
    return [
        nodes.SortKey(bound[name].expression)
        for name in variables(goal)
        if name in bound
        and name not in used  # type: ignore[operator]
        and bound[name].constant is None
        and bound[name].kind not in ("struct", "map", "json")
    ]


def _distinct(solver: Solver, goal: Compound, state: State) -> State:
    inner = goal.args[-1]
    named = {n: state.bound[n] for n in variables(inner) if n in state.bound}
    state = computed(State(state.plan, named, state.order), solver.names, named)
    if len(goal.args) == 1:
        state = State(state.plan, state.bound)
        plan: nodes.Plan = nodes.Project(state.rows, tuple(passed(state)))
        if not plan.columns:
            return State(nodes.Limit(state.rows, 1), state.bound)
        plan = nodes.Distinct(plan)
        order = inner_order(state, plan, goal, solver)
    else:
        on: list[exp.Expression] = []
        for name, variable in variables(goal.args[0]).items():
            if name not in state.bound:
                raise not_bound(solver, Unbound(variable, "witness of distinct"), state)
            on.append(state.bound[name].expression)
        order = state.order or tuple(ties(inner, state.bound, ()))
        columns = nodes.Project(state.rows, tuple(passed(state)))
        plan = nodes.Distinct(columns, tuple(on), order)
        order = state.order
    if order:
        plan = nodes.Sort(plan, order)
    return State(plan, state.bound, order)


def inner_order(
    state: State, plan: nodes.Plan, goal: Compound, solver: Solver
) -> tuple[nodes.SortKey, ...]:
    """The order of the rows below ``distinct/1``, as far as its columns are still there."""
    below = goal.args[0]
    if not (isinstance(below, Compound) and below.called("order_by", 2)):
        return ()
    keys = sort_keys(solver, below.args[0], state.bound, "sort key of order_by")
    keys += ties(below.args[1], state.bound, variables(below.args[0]))
    return tuple(k for k in keys if free_columns(k.expression) <= plan.names)
