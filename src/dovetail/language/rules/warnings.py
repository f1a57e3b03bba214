"""W105: a goal that reads a variable which is bound only to its right."""

from __future__ import annotations

from collections.abc import Iterator

from dovetail.language.rules.diagnostics import Diagnostic
from dovetail.language.rules.terms import Clause, Compound, conjuncts, variables
from dovetail.language.rules.visibility import bindable


def bound_to_the_right(clause: Clause) -> Iterator[Diagnostic]:
    """Prolog would run such a negation or aggregate with the variable still free."""
    if clause.body is None:
        return
    goals = conjuncts(clause.body)
    for place, goal in enumerate(goals):
        if not isinstance(goal, Compound):
            continue
        if not (goal.called("\\+", 1) or goal.name in ("forall", "aggregate_all", "findall")):
            continue
        inside = variables(*(goal.args if len(goal.args) < 3 else goal.args[:-1]))
        before = set().union(*(bindable(g) for g in goals[:place]))
        after = set().union(*(bindable(g) for g in goals[place + 1 :]))
        for name, variable in inside.items():
            if name in after - before:
                yield Diagnostic(
                    "W105",
                    f"{name} is bound to the right of this {goal.name}; Prolog would read it "
                    "unbound, here goal order does not matter",
                    variable.span,
                    f"write the goal that binds {name} first",
                )
