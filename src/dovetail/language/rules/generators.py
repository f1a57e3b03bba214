"""Goals that make rows of their own: the elements of a list, the integers between two bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.errors import DATA_MARK
from dovetail.language.rules.diagnostics import fail
from dovetail.language.rules.kinds import element_type
from dovetail.language.rules.state import State, bound_to, filtered
from dovetail.language.rules.terms import Compound, ListTerm, Number, Var, shown
from dovetail.language.rules.values import of_column, sql
from dovetail.plan import nodes
from dovetail.types import BIGINT

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver

_MOST_GENERATED = 10_000_000


def elements(solver: Solver, goal: Compound, state: State) -> State:
    """``member(X, L)``: one row per element."""
    target, written = goal.args
    value = solver.scalars.list_value(written, state.bound)
    if not isinstance(target, Var):
        return filtered(state, solver.scalars.member_test(goal, state.bound))
    if isinstance(written, ListTerm) and not written.items:
        return bound_to(filtered(state, exp.false()), target.name, value)
    made = solver.names.column("element", element_type(value.type))
    item = nodes.Item(made, value.expression)
    return _unnested(state, target, item, f"element of {shown(written)}")


def _unnested(state: State, target: Var, item: nodes.Item, origin: str) -> State:
    inner = State(nodes.Unnest(state.rows, item), state.bound)
    if target.is_wildcard:
        return inner
    return bound_to(inner, target.name, of_column(item.column, origin))


def integers(solver: Solver, goal: Compound, state: State) -> State:
    """``between(L, H, X)``: one row per integer."""
    low, high = (solver.scalars.evaluated(a, state.bound, "comparison") for a in goal.args[:2])
    target = goal.args[2]
    if not isinstance(target, Var):
        return filtered(state, solver.scalars.between_test(goal, state.bound))
    for part, written in ((low, goal.args[0]), (high, goal.args[1])):
        if part.type.family not in ("integer", "null"):
            raise fail(
                "R009",
                f"between generates integers, but {part.described(shown(written))}",
                written.span,
            )
    limits = [part.constant for part in (low, high)]
    if all(isinstance(c, Number) for c in limits):
        count = int(limits[1].text) - int(limits[0].text) + 1  # type: ignore[union-attr]
        if count > _MOST_GENERATED:
            raise fail(
                "R017",
                f"between would generate {count} integers; at most {_MOST_GENERATED}",
                goal.span,
            )
    made = solver.names.column("integer", BIGINT)
    spread = sql(
        # A bound that is NULL gives a NULL list, which has no elements.
        "generate_series(_0, CASE WHEN _1 - _0 >= 10000000 THEN "
        f"error('{DATA_MARK}between generates at most 10000000 integers') ELSE _1 END)",
        low.expression,
        high.expression,
    )
    return _unnested(state, target, nodes.Item(made, spread), "integer of between")
