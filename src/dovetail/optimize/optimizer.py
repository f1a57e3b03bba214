"""The rule list and its driver.

The driver checks after every rule that the output columns are unchanged, keeps a trace of who
changed what, and lets a failing rule fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dovetail.errors import InternalError
from dovetail.optimize.context import Context
from dovetail.optimize.rules.count_matches import count_matches
from dovetail.optimize.rules.fold_constants import fold_constants
from dovetail.optimize.rules.infer_from_or import infer_from_or
from dovetail.optimize.rules.infer_predicates import infer_predicates
from dovetail.optimize.rules.inline_with import inline_with
from dovetail.optimize.rules.merge_aggregates import merge_aggregates
from dovetail.optimize.rules.prune_columns import prune_columns
from dovetail.optimize.rules.push_filters import push_filters
from dovetail.optimize.rules.push_limits import push_limits
from dovetail.optimize.rules.simplify_outer_joins import simplify_outer_joins
from dovetail.optimize.rules.unnest_subqueries import unnest_subqueries
from dovetail.plan import nodes

Rule = Callable[[nodes.Plan, Context], nodes.Plan]

# Order matters: definitions are inlined first so that filters can reach into them; equal groupings
# are found while both sides still read the same columns; constants are values, and subqueries
# joins, before predicates are carried across joins; pushing filters down first shows which outer
# joins are none and which tables a predicate is about; carrying makes new filters, so pushing comes
# before (to find the facts) and after (to move them down); limits and columns come last, when
# filters have found their places.
RULES: tuple[Rule, ...] = (
    inline_with,
    merge_aggregates,
    fold_constants,
    unnest_subqueries,
    push_filters,
    simplify_outer_joins,
    infer_from_or,
    infer_predicates,
    push_filters,
    count_matches,
    push_limits,
    prune_columns,
)


@dataclass(frozen=True)
class Step:
    """One rule that changed the plan, and the plan it left."""

    rule: str
    plan: nodes.Plan


def optimize(plan: nodes.Plan, context: Context) -> tuple[nodes.Plan, list[Step]]:
    """Apply :data:`RULES` in order; the plan and the trace of the rules that fired.

    Raises:
        InternalError: a rule changed the output columns.
    """
    trace: list[Step] = []
    for rule in RULES:
        name = rule.__name__
        if name in context.disabled:
            continue
        changed = rule(plan, context)
        if changed is plan:
            continue
        if _signature(changed) != _signature(plan):
            raise InternalError(
                f"rule {name} changed the columns from {_signature(plan)} to {_signature(changed)}"
            )
        plan = changed
        trace.append(Step(name, plan))
    return plan, trace


def _signature(plan: nodes.Plan) -> list[tuple[str, str]]:
    return [(column.name, column.type.text) for column in plan.columns]
