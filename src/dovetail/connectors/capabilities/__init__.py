"""What may be pushed to a source without changing the answer, as data.

A :class:`Capabilities` table says, per operator or function and operand classes, how the source
computes it with DuckDB's meaning: the same text, a rewrite, or (in filters only) something looser
whose exact form stays above. What the table does not list runs locally. The translator in
:mod:`dovetail.connectors.capabilities.translate` applies a table to an expression.

Operand classes refine the type families: ``boolean integer decimal double date timestamp
timestamptz text`` and ``char`` (a blank-padded ``char(n)``). Everything else has no class and is
never an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from dovetail.catalog.model import TableInfo

Rewrite = Callable[..., exp.Expression]


@dataclass(frozen=True)
class Entry:
    """How one operator or function over given operand classes is offered.

    ``result`` is the class of the value. ``rewrite`` gets the translated operands (and the
    original node as keyword ``node``) and returns the source's expression; None keeps the node
    with translated operands. ``exact`` False marks a looser form: only for filters, never under
    NOT, and the exact filter stays above. ``output_only`` marks values that may differ in the last
    bits (DOUBLE): they may be delivered but not compared.
    """

    result: str
    rewrite: Rewrite | None = None
    exact: bool = True
    output_only: bool = False


@dataclass(frozen=True)
class Keys:
    """What a dynamic filter learnt: the least and the greatest key as text, and all of them.

    ``values`` is None when there are too many to be worth sending; then only the range counts.
    ``type`` is the DuckDB type of the keys, ``share`` the estimated part of the filtered column's
    different values that they are (None: nobody knows).
    """

    type: str
    low: str
    high: str
    values: tuple[str, ...] | None = None
    share: float | None = None


@dataclass(frozen=True)
class Costs:
    """Seconds of one core that a source needs, per row unless said otherwise.

    ``scan`` reads a row of a table, ``join`` takes one into or out of a join, ``lookup`` finds one
    there by a secondary index (0: it has hashes), ``group`` puts one into a group, ``group_parts``
    puts the parts together that several workers make of one group, ``aggregate`` adds one to one
    aggregate; ``send_row`` and ``send_value`` bring one over, our own share included.
    ``round_trip`` is for a whole statement, ``key`` for one key of a dynamic filter, ``seek`` for a
    row found through it by an index, ``probe`` for a row of a whole table that is looked up among
    the keys. ``many_groups`` is the factor for what is not done side by side as the rest is, since
    it makes many groups. ``bytes_per_second`` is how fast rows are taken to arrive until it has
    been seen. Measured over loopback on one machine; what counts is how they compare.
    """

    round_trip: float = 0.002
    scan: float = 0.1e-6
    join: float = 0.3e-6
    lookup: float = 0.0
    group: float = 0.3e-6
    group_parts: float = 0.0
    aggregate: float = 0.1e-6
    send_row: float = 0.2e-6
    send_value: float = 0.07e-6
    key: float = 2e-6
    seek: float = 2e-6
    probe: float = 0.2e-6
    many_groups: float = 1.0
    bytes_per_second: float = 117e6  # a wire of 1 Gbit/s


@dataclass(frozen=True)
class Capabilities:
    """The table of one kind of source.

    ``engine_reads`` is set for sources that the engine reads with its own scanner and semantics:
    nothing is translated for them, the engine filters while it scans. ``nodes`` are names of plan
    nodes the source runs; ``joins`` the join kinds. ``entries`` maps ``(operator, operand
    classes)`` to an :class:`Entry`; ``aggregates`` likewise for aggregate functions. ``order_text``
    writes a text sort key so that it sorts byte by byte (None: it cannot). Where a collation makes
    text compare otherwise (``text_is_exact`` False), ``text_bytes`` writes a text as the bytes of
    its UTF-8, for grouping (None: it is not grouped). ``unordered`` writes a number so that it is
    not grouped in the order of a secondary index (None: no need). ``text_mixes`` tells whether a
    constant may meet text of a collation without an error. ``dates_are_exact`` False: some dates
    of the source are read as NULL (MySQL's zero dates), so what it computes of a date column is
    only good for a looser filter; unless ``date_is_real`` writes a test that such a date does not
    pass. ``closed_derived_tables``: a derived table may not look at the query around it.
    ``sorts_by_index``: rows that are sorted first are grouped in that order. ``keys``
    writes the predicate of a dynamic filter over a value of an operand class (None: it
    cannot); it may keep more rows. ``keeps_state`` tells whether what is read of a table (the
    catalog's record) twice in one query is of one snapshot.
    """

    kind: str
    dialect: str
    engine_reads: bool = False
    nodes: frozenset[str] = frozenset()
    joins: frozenset[str] = frozenset()
    entries: Mapping[tuple[str, tuple[str, ...]], Entry] = field(default_factory=dict)
    aggregates: Mapping[tuple[str, tuple[str, ...]], Entry] = field(default_factory=dict)
    order_text: Callable[[exp.Expression], exp.Expression] | None = None
    text_is_exact: Callable[[str | None], bool] = lambda collation: False
    text_bytes: Callable[[exp.Expression], exp.Expression] | None = None
    unordered: Callable[[exp.Expression], exp.Expression] | None = None
    dates_are_exact: bool = True
    date_is_real: Callable[[exp.Expression], exp.Expression] | None = None
    text_mixes: Callable[[str, str | None], bool] = lambda text, collation: True
    closed_derived_tables: bool = False
    sorts_by_index: bool = False
    literal: Callable[[str, str], exp.Expression | None] = lambda value, type_: None
    keys: Callable[[exp.Expression, str, Keys], exp.Expression | None] = (
        lambda value, operand, keys: None
    )
    keeps_state: Callable[[TableInfo], bool] = lambda table: False
    costs: Costs = Costs()
