"""What a body has come to: a plan and the values of its variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dovetail.language.rules.values import Value, stored
from dovetail.language.sql.scope import Names
from dovetail.plan import nodes
from dovetail.plan.expressions import column, conjunction, free_columns

ONE_ROW = nodes.Values((), ((),))


@dataclass(frozen=True)
class State:
    """``plan`` None is one row without columns; ``bound`` are the variables that have values.

    ``order`` is what the rows are sorted by, if they are.
    """

    plan: nodes.Plan | None = None
    bound: Mapping[str, Value] = field(default_factory=dict)
    order: tuple[nodes.SortKey, ...] = ()

    @property
    def rows(self) -> nodes.Plan:
        """The plan, one empty row when there is none yet."""
        return ONE_ROW if self.plan is None else self.plan


@dataclass(frozen=True)
class Table:
    """A relation that a goal reads: one value per argument, over ``plan``.

    ``hidden`` are values that no argument shows but that stay with the rows.
    """

    plan: nodes.Plan
    values: tuple[Value, ...]
    hidden: Mapping[str, Value] = field(default_factory=dict)


def filtered(state: State, *tests: exp.Expression) -> State:
    """The rows for which all ``tests`` are true."""
    predicate = conjunction(tests)
    if predicate is None:
        return state
    return State(nodes.Filter(state.rows, predicate), state.bound, state.order)


def bound_to(state: State, name: str, value: Value) -> State:
    """The same rows with one more variable; nothing is computed."""
    return State(state.plan, {**state.bound, name: value}, state.order)


def computed(state: State, names: Names, values: Mapping[str, Value]) -> State:
    """The same rows with variables bound to values that are computed once per row."""
    fresh: dict[str, tuple[nodes.Column, Value]] = {}
    bound = dict(state.bound)
    for name, value in values.items():
        if value.constant is not None or isinstance(value.expression, exp.Column):
            bound[name] = value
        else:
            made = names.column(snake_case(name), value.type)
            fresh[name] = (made, value)
    if not fresh:
        return State(state.plan, bound, state.order)
    items = [*passed(state), *(nodes.Item(c, v.expression) for c, v in fresh.values())]
    for name, (made, value) in fresh.items():
        bound[name] = Value(column(made.name), made.type, value.origin, span=value.span)
    return State(nodes.Project(state.rows, tuple(items)), bound, state.order)


def passed(state: State, extra: Iterable[str] = ()) -> list[nodes.Item]:
    """Items that pass on the columns which bound variables and the order still read."""
    if state.plan is None:
        return []
    used = set(extra)
    for value in state.bound.values():
        used |= free_columns(value.expression)
    for key in state.order:
        used |= free_columns(key.expression)
    return [nodes.Item(c, column(c.name)) for c in state.plan.columns if c.name in used]


def joined(state: State, right: nodes.Plan, conditions: Sequence[exp.Expression]) -> nodes.Plan:
    """The rows of ``state`` with those of ``right`` for which all conditions hold."""
    own = [c for c in conditions if free_columns(c) & right.names or state.plan is None]
    alone = [c for c in own if not (state.plan and free_columns(c) & state.plan.names)]
    predicate = conjunction(alone)
    if predicate is not None:
        right = nodes.Filter(right, predicate)
    rest = [c for c in conditions if not any(c is a for a in alone)]
    if state.plan is None:
        return right
    condition = conjunction(rest)
    if condition is None:
        return nodes.Join("cross", state.plan, right)
    return nodes.Join("inner", state.plan, right, condition)


def project(
    plan: nodes.Plan, values: Sequence[Value], names: Names, bases: Sequence[str]
) -> nodes.Project:
    """``plan`` cut to ``values``, each in a fresh column."""
    items = []
    for value, base in zip(values, bases, strict=True):
        made = fresh_column(plan, value, names, base)
        items.append(nodes.Item(made, stored(value)))
    return nodes.Project(plan, tuple(items))


def fresh_column(plan: nodes.Plan, value: Value, names: Names, base: str) -> nodes.Column:
    """A new column for ``value``; one that is passed on keeps what its source says of it."""
    if isinstance(value.expression, exp.Column) and value.expression.name in plan.names:
        return names.like(plan.column(value.expression.name), base)
    return names.column(base, value.type)


def snake_case(name: str) -> str:
    """``AvgAge`` → ``avg_age``, ``HTTPCode`` → ``http_code``; what result columns are called."""
    result = ""
    bare = name.strip("_") or name
    for i, letter in enumerate(bare):
        before = bare[i - 1] if i else ""
        after = bare[i + 1] if i + 1 < len(bare) else ""
        starts = letter.isupper() and before and before != "_"
        if starts and (not before.isupper() or (after.islower())):
            result += "_"
        result += letter.lower()
    return result
