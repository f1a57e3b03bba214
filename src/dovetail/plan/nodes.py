"""The relational plan: what a query means, in any language it was written in.

Column names are unique over a whole plan (ignoring case), so no node needs qualifiers, an
expression can be moved anywhere its columns are visible, and a free column inside a subquery is
an outer reference. Nodes are frozen; constructors check, so an invalid plan cannot be built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from sqlglot import exp

from dovetail.errors import InternalError
from dovetail.types import Type

JoinKind = Literal["inner", "left", "right", "full", "cross", "semi", "anti"]
SetKind = Literal["union", "intersect", "except"]


@dataclass(frozen=True)
class Column:
    """A column that a node delivers.

    ``name`` is unique in the plan; ``label`` is what people call it (``orders.total``).
    ``native_type`` and ``collation`` are the source's, kept while the column comes unchanged from
    a table, since they decide what may be pushed; computed columns have neither.
    """

    name: str
    type: Type
    label: str = field(default="", compare=False)
    native_type: str | None = None
    collation: str | None = None
    nullable: bool = True


@dataclass(frozen=True)
class Item:
    """A named expression: ``expression`` over the input's columns delivers ``column``."""

    column: Column
    expression: exp.Expression

    @property
    def is_rename(self) -> bool:
        """Whether the expression is a bare column."""
        return isinstance(self.expression, exp.Column)


def _passed_on(items: Sequence[Item], below: Plan) -> Iterator[Column]:
    """The columns of ``items``; what is a column of ``below`` may be NULL where that may."""
    nullable = {column.name for column in below.columns if column.nullable}
    for item in items:
        known = item.column.nullable or not item.is_rename or item.expression.name not in nullable
        yield item.column if known else replace(item.column, nullable=True)


@dataclass(frozen=True)
class SortKey:
    """One ORDER BY key. ``nulls_first`` is always explicit: defaults differ between systems."""

    expression: exp.Expression
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True)
class Plan:
    """Base of all nodes."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Output columns, in order."""
        raise NotImplementedError

    @property
    def inputs(self) -> tuple[Plan, ...]:
        """Child plans, in order (not those nested in expressions)."""
        return ()

    def with_inputs(self, inputs: Sequence[Plan]) -> Plan:
        """The same node over other inputs; the very same object when nothing changed."""
        if len(inputs) != len(self.inputs):
            raise InternalError(f"{type(self).__name__} takes {len(self.inputs)} inputs")
        if all(new is old for new, old in zip(inputs, self.inputs, strict=True)):
            return self
        return self._rebuild(tuple(inputs))

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        raise InternalError(f"{type(self).__name__} has no inputs")

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the output columns."""
        return frozenset(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The output column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InternalError(f"{type(self).__name__} has no column {name}")

    def walk(self) -> Iterator[Plan]:
        """This node and all below it, parents first (not plans nested in expressions)."""
        yield self
        for child in self.inputs:
            yield from child.walk()


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise InternalError(f"invalid plan: {message}")


def _check_distinct(columns: Sequence[Column], node: str) -> None:
    names = [column.name.lower() for column in columns]
    if len(set(names)) != len(names):
        raise InternalError(f"invalid plan: {node} delivers a column name twice: {names}")


@dataclass(frozen=True)
class ScanColumn:
    """``column`` of the plan read from the table's ``source_name``."""

    column: Column
    source_name: str


@dataclass(frozen=True)
class Scan(Plan):
    """All rows of a table of a source; NULLs as stored, no order, duplicates kept.

    ``table`` is the catalog's record of the table, opaque to the plan. ``label`` is its
    qualified name for people.
    """

    source: str
    label: str
    table: Any = field(compare=False)
    read: tuple[ScanColumn, ...] = ()

    def __post_init__(self) -> None:
        _check_distinct(self.columns, "Scan")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(item.column for item in self.read)


@dataclass(frozen=True)
class Filter(Plan):
    """Rows for which ``predicate`` is true; false and NULL drop the row. Same columns.

    A ``loose`` filter may keep more rows: the exact predicate stands above it once more.
    """

    input: Plan
    predicate: exp.Expression
    loose: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Project(Plan):
    """One row per input row with the ``items`` as columns; over no rows, no rows."""

    input: Plan
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        _check_distinct(self.columns, "Project")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(_passed_on(self.items, self.input))

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Join(Plan):
    """Pairs of rows for which ``condition`` is true.

    Left, right and full joins add unmatched rows of the preserved side with NULLs; semi and anti
    deliver left columns only (a NULL condition does not match). ``condition`` None is true.
    """

    kind: JoinKind
    left: Plan
    right: Plan
    condition: exp.Expression | None = None

    def __post_init__(self) -> None:
        _check(self.kind != "cross" or self.condition is None, "a cross join has no condition")
        _check_distinct((*self.left.columns, *self.right.columns), "Join")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        left, right = self.left.columns, self.right.columns
        if self.kind in ("semi", "anti"):
            return left
        if self.kind in ("right", "full"):
            left = tuple(replace(c, nullable=True) for c in left)
        if self.kind in ("left", "full"):
            right = tuple(replace(c, nullable=True) for c in right)
        return (*left, *right)

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.left, self.right)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, left=inputs[0], right=inputs[1])


@dataclass(frozen=True)
class Aggregate(Plan):
    """One row per group of equal ``keys`` (NULL equals NULL), with the ``aggregates``.

    Without keys: exactly one row, also over no rows. With keys over no rows: none. Grouping sets
    are lists of indexes into ``keys``; the keys missing from a set are NULL in its rows. Columns:
    keys, then aggregates.
    """

    input: Plan
    keys: tuple[Item, ...]
    aggregates: tuple[Item, ...]
    grouping_sets: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        _check_distinct(self.columns, "Aggregate")
        for grouping_set in self.grouping_sets or ():
            _check(all(0 <= i < len(self.keys) for i in grouping_set), "unknown grouping key")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        sets = self.grouping_sets or ()
        keys = (
            replace(column, nullable=True) if any(i not in members for members in sets) else column
            for i, column in enumerate(_passed_on(self.keys, self.input))
        )
        return (*keys, *(item.column for item in self.aggregates))

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Window(Plan):
    """Every input row, with one more column per window function in ``items``."""

    input: Plan
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        _check_distinct(self.columns, "Window")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return (*self.input.columns, *(item.column for item in self.items))

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Unnest(Plan):
    """Every input row once per element of the list ``item``, which delivers the element.

    A NULL or empty list gives no row.
    """

    input: Plan
    item: Item

    def __post_init__(self) -> None:
        _check_distinct(self.columns, "Unnest")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return (*self.input.columns, self.item.column)

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Sort(Plan):
    """The input's rows in order of ``keys``; ties in any order. Only Limit above relies on it."""

    input: Plan
    keys: tuple[SortKey, ...]

    def __post_init__(self) -> None:
        _check(bool(self.keys), "Sort without keys")

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Limit(Plan):
    """At most ``count`` rows (None: all) after skipping ``offset``."""

    input: Plan
    count: int | None
    offset: int = 0

    def __post_init__(self) -> None:
        _check((self.count is None or self.count >= 0) and self.offset >= 0, "negative limit")

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class Distinct(Plan):
    """Each distinct row once (NULL equals NULL).

    With ``on``: the first row, in the order of ``order``, per distinct value of those expressions.
    """

    input: Plan
    on: tuple[exp.Expression, ...] = ()
    order: tuple[SortKey, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])


@dataclass(frozen=True)
class SetOperation(Plan):
    """Union, intersect or except of two inputs by position; NULL equals NULL.

    ``all`` keeps duplicates. ``outputs`` are fresh columns with the common types.
    """

    kind: SetKind
    all: bool
    left: Plan
    right: Plan
    outputs: tuple[Column, ...]

    def __post_init__(self) -> None:
        _check(
            len(self.left.columns) == len(self.right.columns) == len(self.outputs),
            f"{self.kind} of {len(self.left.columns)} and {len(self.right.columns)} columns",
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.outputs

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.left, self.right)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, left=inputs[0], right=inputs[1])


@dataclass(frozen=True)
class Values(Plan):
    """Rows of constant expressions. No columns and one empty row stands for a missing FROM."""

    outputs: tuple[Column, ...]
    rows: tuple[tuple[exp.Expression, ...], ...]

    def __post_init__(self) -> None:
        _check(all(len(row) == len(self.outputs) for row in self.rows), "ragged VALUES")

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.outputs


@dataclass(frozen=True)
class WithScan(Plan):
    """Reads the rows of the :class:`With` definition ``name``, position by position.

    In the step of a keyed recursion it reads the rows found last, or with ``recurring`` all rows
    found so far.
    """

    name: str
    outputs: tuple[Column, ...]
    recurring: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.outputs


@dataclass(frozen=True)
class With(Plan):
    """``body`` may read ``definition`` any number of times through :class:`WithScan`.

    When ``step`` is set the definition is recursive: it starts with the rows of ``definition``
    and repeats ``step`` over the rows found last until none is new (``union_all`` False) or none
    is left (True). With ``keys``, names of columns of ``definition``, a row found later replaces
    one with equal keys, and ``step`` may also read all rows found so far.
    """

    name: str
    definition: Plan
    body: Plan
    step: Plan | None = None
    union_all: bool = True
    materialized: bool | None = None
    keys: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.body.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        if self.step is None:
            return (self.definition, self.body)
        return (self.definition, self.step, self.body)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        if self.step is None:
            return replace(self, definition=inputs[0], body=inputs[1])
        return replace(self, definition=inputs[0], step=inputs[1], body=inputs[2])


@dataclass(frozen=True)
class Fragment(Plan):
    """A sub-plan that one source runs; its columns are what crosses the wire.

    ``number`` counts fragments of a query from 1.
    """

    source: str
    plan: Plan
    number: int = 0

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.plan.columns


@dataclass(frozen=True)
class Kept(Plan):
    """The input's rows, worked out once by the engine and kept in a table. Same columns.

    Fragments above it may wait for its keys. ``number`` goes on where the fragments' end.
    """

    input: Plan
    number: int

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def _rebuild(self, inputs: tuple[Plan, ...]) -> Plan:
        return replace(self, input=inputs[0])
