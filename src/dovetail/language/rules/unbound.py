"""Why a variable has no value: R002 where nothing binds it, R008 where a group hides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dovetail.catalog.catalogs import near_names
from dovetail.language.rules.diagnostics import RulesError, did_you_mean, fail
from dovetail.language.rules.scalars import Unbound
from dovetail.language.rules.state import State
from dovetail.language.rules.terms import Compound, Term, Var, conjuncts, variables
from dovetail.language.rules.visibility import hidden_by

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver


def not_bound(
    solver: Solver, error: Unbound, state: State, goals: Sequence[Term] = ()
) -> RulesError:
    """R002 for a variable that nothing binds; R008 when a group hides it."""
    variable, role = error.variable, error.role
    group = hidden_by(variable.name, goals or conjuncts(solver.clause.body or variable))
    if group is not None and role != "group key":
        return not_grouped(variable, group)
    bound = sorted(name for name in state.bound if not name.startswith(" "))
    near = near_names(variable.name, bound)
    listed = f"bound here: {', '.join(bound)}" if bound else "nothing is bound here"
    if role.startswith("head"):
        where = f" in the head of {solver.where}"
    elif role == "is":
        where = f" on the right side of is in {solver.where}"
    else:
        where = f" in {'an' if role[0] in 'aeiou' else 'a'} {role} of {solver.where}"
    extra = ""
    for goal in goals or conjuncts(solver.clause.body or variable):
        if (
            isinstance(goal, Compound)
            and goal.name in ("aggregate_all", "findall")
            and variable.name in variables(*goal.args[:-1])
        ):
            extra = (
                f"{variable.name} is local to {goal.name}; "
                f"group_by({variable.name}, Goal, Op, R) gives one row per {variable.name}"
            )
    return fail(
        "R002",
        f"the variable {variable.name}{where} is not bound by any goal{did_you_mean(near)}",
        variable.span,
        f"{extra}; {listed}" if extra else listed,
        near,
    )


def not_grouped(variable: Var, group: Compound) -> RulesError:
    """R008: a variable of a group's goal that is neither key nor result."""
    from dovetail.language.rules.aggregates import keys_and_results

    keys, results = keys_and_results(group)
    return fail(
        "R008",
        f"{variable.name} is neither a key nor a result of the group_by on line "
        f"{group.span.line} (keys: {', '.join(keys) or 'none'}; "
        f"results: {', '.join(results) or 'none'})",
        variable.span,
        f"add {variable.name} to the keys, or aggregate it: max({variable.name}, R), "
        f"collect_list({variable.name}, R)",
    )
