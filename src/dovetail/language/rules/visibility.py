"""Which variables of a goal others can see, and which it may bind."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.language.rules.builtins import COMPARING
from dovetail.language.rules.terms import Compound, ListTerm, Term, Var, variables

WINDOW_OPS = frozenset(
    [
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "nth_value",
        "running_sum",
        "running_avg",
        "running_min",
        "running_max",
        "running_count",
        "moving_sum",
        "moving_avg",
        "moving_min",
        "moving_max",
        "moving_count",
    ]
)
_TESTS = frozenset(
    [
        "contains",
        "starts_with",
        "ends_with",
        "like",
        "ilike",
        "matches",
        "is_null",
        "is_not_null",
        "forall",
    ]
)
_RESULTS = frozenset(
    [
        "string_lower",
        "string_upper",
        "string_length",
        "trim",
        "string_concat",
        "substring",
        "replace",
        "atom_number",
        "coalesce",
        "sql_fn",
        "param",
        "between",
    ]
)


def visible(goal: Term) -> set[str]:
    """Variables of ``goal`` that another goal of the same body may share."""
    if isinstance(goal, Var):
        return set() if goal.is_wildcard else {goal.name}
    if not isinstance(goal, Compound):
        return set()
    if goal.name == "group_by" and len(goal.args) in (3, 4):
        shown = set(variables(goal.args[0], *goal.args[3:]))
        ops = op_terms(goal)
        shown |= set().union(*(set(variables(op.args[-1])) for op in ops if op.args))
        if any(op.name in WINDOW_OPS for op in ops):
            shown |= visible(goal.args[1])
        return shown
    if goal.name in (",", ";", "->") and len(goal.args) == 2:
        return visible(goal.args[0]) | visible(goal.args[1])
    if goal.name in ("limit", "offset", "order_by", "distinct") and goal.args:
        return visible(goal.args[-1])
    return set(variables(goal))


def op_terms(goal: Compound) -> list[Compound]:
    """The ops of a ``group_by`` that are written with arguments."""
    written = goal.args[2]
    listed = written.items if isinstance(written, ListTerm) else (written,)
    return [op for op in listed if isinstance(op, Compound)]


def bindable(goal: Term) -> set[str]:
    """Variables that ``goal`` might bind."""
    if not isinstance(goal, Compound):
        return set()
    name = goal.name
    if name in (",", ";", "->") and len(goal.args) == 2:
        return bindable(goal.args[0]) | bindable(goal.args[1])
    if name == "=" and len(goal.args) == 2:
        return set(variables(goal))
    if name == "is" and len(goal.args) == 2:
        return set(variables(goal.args[0]))
    if name in COMPARING or name in _TESTS or name == "\\+":
        return set()
    if name == "member" and len(goal.args) == 2:
        return set(variables(goal.args[0]))
    if name in _RESULTS or name in ("aggregate_all", "findall"):
        return set(variables(goal.args[-1]))
    return visible(goal)


def hidden_by(name: str, goals: Sequence[Term]) -> Compound | None:
    """The ``group_by`` among ``goals`` that uses the variable but does not show it."""
    for goal in goals:
        if not isinstance(goal, Compound):
            continue
        if goal.name == "group_by" and len(goal.args) in (3, 4):
            if name in variables(goal.args[1]) and name not in visible(goal):
                return goal
        elif goal.name in (",", "limit", "offset", "order_by", "distinct"):
            found = hidden_by(name, goal.args)
            if found is not None:
                return found
    return None
