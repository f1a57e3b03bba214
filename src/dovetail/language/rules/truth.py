"""Whether a goal holds for a row: tests and negations as boolean expressions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.language.rules import scalars as scalar
from dovetail.language.rules.builtins import BUILT_INS
from dovetail.language.rules.scalars import Unbound
from dovetail.language.rules.state import State, filtered
from dovetail.language.rules.terms import Compound, Term, Text, conjuncts, variables
from dovetail.language.rules.unbound import not_bound
from dovetail.language.rules.values import sql
from dovetail.plan.expressions import PlanSubquery

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver


def only_tests(goal: Term) -> bool:
    """Whether a goal looks at nothing but values that others bind."""
    if isinstance(goal, Text):
        return goal.bare("true", "false", "fail")
    if not isinstance(goal, Compound):
        return False
    name, arity = goal.name, len(goal.args)
    if name in (",", ";", "\\+", "->"):
        return all(only_tests(a) for a in goal.args)
    if (name == "=" or name == "is" or name in scalar.COMPARISONS) and arity == 2:
        return True
    return (name, arity) in (("member", 2), ("between", 3)) or (
        name in (*scalar.TEXT_TESTS, *scalar.NULL_TESTS) and arity in BUILT_INS[name]
    )


def only_filters(goal: Term, state: State, elsewhere: set[str]) -> bool:
    """Whether a goal only tests, with negations among its tests, and all it reads is bound.

    Such a disjunction is OR, which keeps a row once: UNION ALL would count it twice.
    """
    if isinstance(goal, Compound):
        if goal.called("\\+", 1) or goal.called("forall", 2):
            return all(n in state.bound for n in variables(goal) if n in elsewhere)
        if goal.name in (",", ";", "->") and len(goal.args) == 2:
            return all(only_filters(part, state, elsewhere) for part in goal.args)
    return only_tests(goal) and variables(goal).keys() <= state.bound.keys()


def truth(solver: Solver, goal: Term, state: State) -> exp.Expression:
    """Whether ``goal`` has a solution for the row, as a boolean expression.

    Raises:
        Unbound: a test reads a variable without a value.
    """
    if isinstance(goal, Compound):
        if goal.called(";", 2):
            if isinstance(goal.args[0], Compound) and goal.args[0].called("->", 2):
                condition, then = goal.args[0].args
                return sql(
                    "CASE WHEN _0 THEN _1 ELSE _2 END",
                    truth(solver, condition, state),
                    truth(solver, then, state),
                    truth(solver, goal.args[1], state),
                )
            return sql("_0 OR _1", *(truth(solver, a, state) for a in goal.args))
        if goal.called("->", 2) or (goal.called(",", 2) and _all_bound_tests(goal, state)):
            return sql("_0 AND _1", *(truth(solver, a, state) for a in goal.args))
        if goal.called("\\+", 1) or goal.called("forall", 2):
            return sql("_0 IS NOT TRUE", truth(solver, _negated(goal), state))
    if _all_bound_tests(goal, state):
        made = solver.effect(goal, state)
        if made is not None and not made[1]:
            return made[0][0] if made[0] else exp.true()
    solved = solver.solve(conjuncts(goal), State(None, state.bound), frozenset())
    return exp.Exists(this=PlanSubquery(plan=solved.rows))


def _all_bound_tests(goal: Term, state: State) -> bool:
    return only_tests(goal) and variables(goal).keys() <= state.bound.keys()


def negation(solver: Solver, goal: Compound, state: State, inputs: Iterable[str]) -> State:
    """The rows for which ``\\+ G`` or ``forall(A, B)`` holds."""
    found = variables(goal)
    for name in found:
        if name in inputs and name not in state.bound:
            raise not_bound(solver, Unbound(found[name], "negation"), state)
    if goal.called("\\+", 1):
        solver.relations.local_in_negation(found, state, solver.clause)
    try:
        return filtered(state, _absent(solver, _negated(goal), state))
    except Unbound as unbound:
        raise not_bound(solver, unbound, state) from None


def _absent(solver: Solver, body: Term, state: State) -> exp.Expression:
    made = truth(solver, body, state)
    if isinstance(made, exp.Exists):
        return exp.Not(this=made)
    return sql("_0 IS NOT TRUE", made)


def _negated(goal: Compound) -> Term:
    """What must have no solution: G of ``\\+ G``; ``A, \\+ B`` of ``forall(A, B)``."""
    if goal.called("\\+", 1):
        return goal.args[0]
    first, second = goal.args
    inner = Compound("\\+", (second,), second.span, goal.name_span)
    return Compound(",", (first, inner), goal.span, goal.name_span)
