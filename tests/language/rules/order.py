"""In which order the goals of a body are solved, and which variables they bind.

The order in which goals are written never changes the answer, so each waits for its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.language.rules.builtins import COMPARISONS, FUNCTIONS, TESTS, WINDOWS, Key
from tests.language.rules.reader import Term, Var, variables


def conjuncts(goal: Any) -> list[Term]:
    if isinstance(goal, Term) and goal.name == "," and len(goal.args) == 2:
        return [part for arg in goal.args for part in conjuncts(arg)]
    return [goal]


def ordered(goals: Sequence[Term], bound: frozenset[str]) -> list[Term] | None:
    """The goals in an order in which each finds its inputs bound; None where there is none."""
    waiting, arranged, known = list(goals), [], set(bound)
    while waiting:
        best: tuple[tuple[int, bool], Term] | None = None
        for goal in waiting:
            others = {v.name for g in waiting if g is not goal for v in produced(g)}
            open_ = ({v.name for v in variables(goal)} & others) - known
            if _ready(goal, frozenset(known), bool(open_)):
                rank = (_rank(goal), bool(open_))
                if best is None or rank < best[0]:
                    best = rank, goal
        if best is None:
            return None
        waiting = [goal for goal in waiting if goal is not best[1]]
        arranged.append(best[1])
        known |= {v.name for v in produced(best[1])}
    return arranged


def _rank(goal: Term) -> int:
    """Atoms first, then bindings and tests, then generators, then what looks at finished rows."""
    if goal.name in (";", "->", "\\+", "forall", "aggregate_all", "findall"):
        return 3
    if goal.key in (("member", 2), ("between", 3)):
        return 2
    return 1 if _inputs(goal) is not None or goal.key == ("=", 2) else 0


def _inputs(goal: Term) -> Sequence[Any] | None:
    """What must be bound before a simple goal; None for atoms."""
    if goal.name == "is":
        return goal.args[1:]
    if goal.name in COMPARISONS or goal.key in TESTS:
        return goal.args
    if goal.key in FUNCTIONS:
        return goal.args[:-1]
    if goal.key == ("member", 2):
        return goal.args[1:]
    return goal.args[:2] if goal.key == ("between", 3) else None


def _ready(goal: Term, bound: frozenset[str], open_: bool) -> bool:
    if goal.name in ("\\+", "forall", "aggregate_all", "findall"):
        return not open_
    if goal.name == "->":
        return not ({v.name for v in variables(goal.args[0])} - bound)
    if goal.name == ";":
        branches = [
            Term(",", b.args) if isinstance(b, Term) and b.name == "->" else b for b in goal.args
        ]
        return all(ordered(conjuncts(branch), bound) is not None for branch in branches)
    if goal.key == ("=", 2):
        return any(not ({v.name for v in variables(side)} - bound) for side in goal.args)
    inputs = _inputs(goal)
    return inputs is None or not ({v.name for v in variables(tuple(inputs))} - bound)


def produced(goal: Any) -> set[Var]:
    """The variables that a goal can bind for the goals beside it."""
    if not isinstance(goal, Term):
        return set()
    if goal.name in (",", ";", "->"):
        return set().union(*map(produced, goal.args))
    if goal.name in ("\\+", "forall"):
        return set()
    if goal.key == ("=", 2):
        return set(variables(goal))
    if goal.name == "is":
        return set(variables(goal.args[0]))
    if goal.name in COMPARISONS or goal.key in TESTS:
        return set()
    if goal.key in FUNCTIONS or goal.name in ("aggregate_all", "findall"):
        return set(variables(goal.args[-1]))
    if goal.key == ("member", 2):
        return set(variables(goal.args[0]))
    if goal.name in ("limit", "offset", "order_by", "distinct"):
        return produced(goal.args[-1])
    if goal.name == "group_by":
        ops = operations(goal)
        own = {Var(name) for name in (*key_names(goal), *(op.args[-1].name for op in ops))}
        window = any(op.name in WINDOWS for op in ops)
        return own | produced(goal.args[1]) if window else own
    return set(variables(goal))


def is_test(goal: Any, bound: frozenset[str]) -> bool:
    """Whether a branch only tests: then a disjunction keeps a row once (RL-CTL-2)."""
    if not isinstance(goal, Term):
        return False
    if goal.name in (",", ";", "->"):
        return all(is_test(arg, bound) for arg in goal.args)
    if goal.name in ("\\+", "forall"):
        return True
    if goal.key in (("member", 2), ("between", 3), ("=", 2), ("is", 2)):
        return not ({v.name for v in variables(goal)} - bound)
    return goal.name in COMPARISONS or goal.key in TESTS


def calls(goal: Any) -> Iterator[Key]:
    """Everything in a body that may be a predicate."""
    if isinstance(goal, tuple):
        for part in goal:
            yield from calls(part)
    if isinstance(goal, Term):
        yield goal.key
        yield from calls(goal.args)


def operations(goal: Term) -> list[Term]:
    """The operations of a group_by, each with its result last."""
    if len(goal.args) == 4:
        op = goal.args[2]
        return [Term(op.name, (*op.args, goal.args[3]))]
    ops = goal.args[2] if isinstance(goal.args[2], tuple) else (goal.args[2],)
    return [
        Term("filter", (Term(op.args[0].name, op.args[0].args[:-1]), op.args[1], _last(op)))
        if op.name == "filter"
        else op
        for op in ops
    ]


def _last(op: Term) -> Any:
    return op.args[0].args[-1]


def without_result(op: Term) -> Term:
    return Term(op.name, op.args[:-1])


def key_names(goal: Term) -> list[str]:
    keys = goal.args[0] if isinstance(goal.args[0], tuple) else (goal.args[0],)
    return [key.name for key in keys]
