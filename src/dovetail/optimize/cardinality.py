"""How many rows a plan delivers, and how many different values a column of it has.

Numbers of tables and columns come from the sources' statistics; a filtered table is asked of its
source's own optimizer (``EXPLAIN``) where that can be asked. Joins and groups are estimated by
System R's formulas (Selinger et al., "Access Path Selection in a Relational Database Management
System", SIGMOD 1979): a join on ``a = b`` keeps one in ``max(distinct a, distinct b)`` pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Protocol

from sqlglot import exp

from dovetail.catalog.model import ColumnStatistics, TableInfo
from dovetail.connectors.base import Estimate
from dovetail.plan import nodes
from dovetail.plan.expressions import conjuncts, free_columns, unparenthesized
from dovetail.plan.shapes import across, origin, unfiltered

_UNKNOWN_ROWS = 100_000.0  # of a table that nobody has counted
_UNKNOWN_SHARE = 0.1  # of a table's rows, different values in a column nobody has looked at
# Of a column that a constant is compared with: PostgreSQL's guess too (DEFAULT_NUM_DISTINCT).
_ASKED_FOR = 200.0
# Shares of rows that predicates keep where no statistics tell: System R's own guesses.
_RANGE, _BETWEEN, _OTHER = 1 / 3, 1 / 4, 1 / 3

# Bytes of a value on the wire where no statistics tell.
_WIDTHS = {"boolean": 1, "date": 4, "integer": 8, "float": 8, "decimal": 8, "timestamp": 8}
_TEXT_WIDTH = 24.0


class Facts(Protocol):
    """What the sources say."""

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """Of the table's columns, by visible name."""

    def estimate(self, source: str, plan: nodes.Plan) -> Estimate | None:
        """The source's own estimate for a plan that it could run; None when it cannot be asked."""


class NoFacts:
    """Nobody to ask: :class:`Facts` for plans without sources."""

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """None."""
        return {}

    def estimate(self, source: str, plan: nodes.Plan) -> Estimate | None:
        """None."""
        return None


class Cardinality:
    """Estimates over one plan and its rewrites; remembers what it has worked out."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        # The plan is kept beside its figure: an id alone could be another plan's tomorrow.
        self._rows: dict[int, tuple[nodes.Plan, float]] = {}
        self._distinct: dict[tuple[int, str], tuple[nodes.Plan, float]] = {}

    def rows(self, plan: nodes.Plan) -> float:
        """Rows that ``plan`` delivers, one at least unless it surely delivers none."""
        known = self._rows.get(id(plan))
        if known is None:
            known = self._rows[id(plan)] = (plan, self._count(plan))
        return known[1]

    def distinct(self, plan: nodes.Plan, name: str) -> float:
        """Different values of the column ``name`` of ``plan``, not counting NULL."""
        known = self._distinct.get((id(plan), name))
        if known is None:
            found = min(self._values(plan, name), max(1.0, self.rows(plan)))
            known = self._distinct[id(plan), name] = (plan, max(1.0, found))
        return known[1]

    def correlation(self, table: TableInfo, name: str) -> float:
        """How far a column's values grow with the places of their rows: 1 if always, 0 unknown."""
        known = self._facts.statistics(table).get(name)
        return 0.0 if known is None else known.correlation or 0.0

    def width(self, plan: nodes.Plan) -> float:
        """Bytes of one row of ``plan`` on the wire."""
        return sum(self._width(plan, column) for column in plan.columns) or 1.0

    def matched(
        self, left: nodes.Plan, right: nodes.Plan, condition: exp.Expression | None
    ) -> float:
        """Rows of the inner join of two plans."""
        result = self.rows(left) * self.rows(right)
        pairs: list[tuple[str, str]] = []
        for part in conjuncts(condition):
            pair = across(part, left, right)
            if pair is not None:
                pairs.append(pair)
            else:
                result *= _OTHER
        return max(1.0, result / self._values_met(left, right, pairs))

    def _values_met(
        self, left: nodes.Plan, right: nodes.Plan, pairs: list[tuple[str, str]]
    ) -> float:
        """Different combinations of values in a join's equal columns, on the side with more."""
        if not pairs:
            return 1.0
        keys = [
            rows
            for side, names in ((left, [a for a, _ in pairs]), (right, [b for _, b in pairs]))
            if (rows := self._key_rows(side, names)) is not None
        ]
        if keys:  # every row of the other side meets one row of the table whose key it is
            return min(keys) if len(pairs) > 1 else max(keys)
        product = 1.0
        for a, b in pairs:
            product *= max(self.distinct(left, a), self.distinct(right, b))
        return product

    def _key_rows(self, plan: nodes.Plan, names: list[str]) -> float | None:
        """Rows of the table of which the columns hold a key; None when they hold none."""
        tables: dict[int, tuple[nodes.Scan, set[str]]] = {}
        for name in names:
            found = origin(plan, name)
            if found is not None:
                tables.setdefault(id(found[0]), (found[0], set()))[1].add(found[1])
        for scan, written in tables.values():
            columns = {c.name for c in scan.table.columns if c.source_name in written}
            if any(columns.issuperset(key) for key in scan.table.keys):
                return max(1.0, self.rows(scan))
        return None

    # -- rows -----------------------------------------------------------------------------------

    def _count(self, plan: nodes.Plan) -> float:
        match plan:
            case nodes.Scan():
                known = plan.table.row_estimate
                if known is None:
                    asked = self._facts.estimate(plan.source, plan)
                    known = asked.rows if asked is not None else None
                return float(known) if known is not None else _UNKNOWN_ROWS
            case nodes.Filter():
                return self._filtered(plan)
            case nodes.Join():
                return self._joined(plan)
            case nodes.Aggregate():
                return self._groups(plan, [i.expression for i in plan.keys])
            case nodes.Distinct():
                if plan.on:
                    return self._groups(plan, list(plan.on))
                columns: list[exp.Expression] = [exp.column(c.name) for c in plan.columns]
                return self._groups(plan, columns)
            case nodes.Limit():
                rows = max(0.0, self.rows(plan.input) - plan.offset)
                return rows if plan.count is None else min(rows, float(plan.count))
            case nodes.SetOperation():
                left, right = self.rows(plan.left), self.rows(plan.right)
                return {"union": left + right, "intersect": min(left, right)}.get(plan.kind, left)
            case nodes.Values():
                return float(len(plan.rows))
            case nodes.With():
                return self.rows(plan.body)
            case nodes.Fragment():
                return self.rows(plan.plan)
            case nodes.WithScan():
                return _UNKNOWN_ROWS / 100
            case _:
                return self.rows(plan.inputs[0]) if plan.inputs else 1.0

    def _filtered(self, plan: nodes.Filter) -> float:
        rows = self.rows(plan.input)
        source = _filtered_table(plan)
        if source is not None:
            asked = self._facts.estimate(source, plan)
            # MySQL says "all rows" of a filter it knows nothing of.
            if asked is not None and asked.rows is not None and asked.rows < 0.99 * rows:
                return max(1.0, asked.rows)
        for part in conjuncts(plan.predicate):
            rows *= self._share(part, plan.input)
        return max(1.0, rows)

    def _share(self, part: exp.Expression, plan: nodes.Plan) -> float:
        """The share of rows that a predicate keeps."""
        bare = unparenthesized(part)
        names = [n for n in free_columns(bare) if n in plan.names]
        one = names[0] if len(names) == 1 else None
        match bare:
            case exp.EQ() | exp.NullSafeEQ():
                return 1 / self._asked_for(plan, one) if one is not None else _UNKNOWN_SHARE
            case exp.In() if one is not None and bare.expressions:
                return min(0.5, len(bare.expressions) / self._asked_for(plan, one))
            case exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
                return _RANGE
            case exp.Between():
                return _BETWEEN
            case exp.Or():
                both = self._share(bare.this, plan) + self._share(bare.expression, plan)
                return min(1.0, both)
            case exp.And():
                return self._share(bare.this, plan) * self._share(bare.expression, plan)
            case exp.Not() | exp.NEQ():
                return 0.9
            case exp.Like():
                return 0.05
            case _:
                return _OTHER

    def _asked_for(self, plan: nodes.Plan, name: str) -> float:
        """Different values of a column that is compared with a constant.

        Who asks for one value of a column that nobody has looked at seldom means one row.
        """
        values = self.distinct(plan, name)
        found = origin(plan, name)
        if found is None or self._is_known(*found):
            return values
        return min(values, _ASKED_FOR)

    def _is_known(self, scan: nodes.Scan, written: str) -> bool:
        visible = _visible(scan.table, written)
        known = self._facts.statistics(scan.table).get(visible)
        return (visible,) in scan.table.keys or (known is not None and known.distinct is not None)

    def _joined(self, plan: nodes.Join) -> float:
        left, right = self.rows(plan.left), self.rows(plan.right)
        if plan.kind in ("semi", "anti"):
            kept = self._semi_share(plan)
            return max(1.0, left * (kept if plan.kind == "semi" else max(0.1, 1 - kept)))
        pairs = self.matched(plan.left, plan.right, plan.condition)
        return {
            "left": max(pairs, left),
            "right": max(pairs, right),
            "full": max(pairs, left + right),
        }.get(plan.kind, pairs)

    def _semi_share(self, plan: nodes.Join) -> float:
        share = 1.0
        for part in conjuncts(plan.condition):
            pair = across(part, plan.left, plan.right)
            if pair is not None:
                keys = self.distinct(plan.right, pair[1])
                share = min(share, keys / max(keys, self.distinct(plan.left, pair[0])))
        return share

    def _groups(self, plan: nodes.Plan, keys: list[exp.Expression]) -> float:
        below = plan.inputs[0]
        if not keys:
            return 1.0
        groups = 1.0
        for key in keys:
            names = [n for n in free_columns(key) if n in below.names]
            share = max((self.distinct(below, n) for n in names), default=1.0)
            groups *= min(share, 400.0) if isinstance(key, exp.Extract) else share
        return max(1.0, min(groups, self.rows(below)))

    # -- different values -----------------------------------------------------------------------

    def _values(self, plan: nodes.Plan, name: str) -> float:
        match plan:
            case nodes.Scan():
                return self._of_table(plan, name)
            case nodes.Project() | nodes.Aggregate():
                items = plan.items if isinstance(plan, nodes.Project) else plan.keys
                for item in items:
                    if item.column.name == name:
                        names = free_columns(item.expression) & plan.input.names
                        return max((self.distinct(plan.input, n) for n in names), default=1.0)
            case nodes.SetOperation():
                place = [c.name for c in plan.outputs].index(name)
                left = self.distinct(plan.left, plan.left.columns[place].name)
                right = self.distinct(plan.right, plan.right.columns[place].name)
                return {"union": left + right, "intersect": min(left, right)}.get(plan.kind, left)
            case nodes.Fragment():
                return self.distinct(plan.plan, name)
            case _:
                for child in plan.inputs:
                    if name in child.names:
                        return _picked(
                            self.distinct(child, name), self.rows(child), self.rows(plan)
                        )
        return self.rows(plan)

    def _of_table(self, plan: nodes.Scan, name: str) -> float:
        table: TableInfo = plan.table
        rows = self.rows(plan)
        written = next((r.source_name for r in plan.read if r.column.name == name), name)
        visible = _visible(table, written)
        if (visible,) in table.keys:
            return rows
        known = self._facts.statistics(table)
        if visible in known and known[visible].distinct is not None:
            return max(_least(table, visible, rows, known), known[visible].distinct or 0.0)
        column = table.column(visible)
        if column is not None and column.type.family == "boolean":
            return 2.0
        if column is not None and column.type.family == "date":
            return min(rows, 3000.0)
        return max(1.0, rows * _UNKNOWN_SHARE)

    def _width(self, plan: nodes.Plan, column: nodes.Column) -> float:
        family = column.type.family
        if family in _WIDTHS:
            return _WIDTHS[family]
        found = origin(plan, column.name)
        if found is not None:
            scan, written = found
            visible = _visible(scan.table, written)
            known = self._facts.statistics(scan.table).get(visible)
            if known is not None and known.width is not None:
                return known.width
            info = scan.table.column(visible)
            if info is not None and "(" in info.native_type:
                digits = info.native_type.split("(")[1].rstrip(")").split(",")[0]
                if digits.isdigit():
                    return max(1.0, min(200.0, int(digits) * 0.7))
        return _TEXT_WIDTH


def _visible(table: TableInfo, written: str) -> str:
    """What a column is called here that its source calls ``written``."""
    return next((c.name for c in table.columns if c.source_name == written), written)


def _least(
    table: TableInfo, name: str, rows: float, known: Mapping[str, ColumnStatistics]
) -> float:
    """Different values that a column must have at least, since it is in a key with others.

    A sample of a table that lies in the order of its key shows too few of them.
    """
    least = 1.0
    for key in table.keys:
        if name in key:
            others = [known[n].distinct if n in known else None for n in key if n != name]
            if all(others):
                least = max(least, rows / prod(d or 1.0 for d in others))
    return least


def leads_primary_key(plan: nodes.Plan, name: str) -> bool:
    """Whether a column comes unchanged from the first column of its table's primary key."""
    found = origin(plan, name)
    if found is None or not found[0].table.primary_key:
        return False
    first = found[0].table.column(found[0].table.primary_key[0])
    return first is not None and first.source_name == found[1]


def _picked(values: float, rows: float, kept: float) -> float:
    """Different values left in ``kept`` of ``rows`` rows (Yao's formula, by its approximation).

    S. B. Yao, "Approximating block accesses in database organizations", CACM 20(4), 1977.
    """
    if kept >= rows or values <= 1 or rows <= 0:
        return values
    return float(values * (1 - (1 - kept / rows) ** (rows / values)))


def _filtered_table(plan: nodes.Plan) -> str | None:
    """The source of a plan that is one table with filters and nothing else."""
    table = unfiltered(plan)
    return table.source if isinstance(table, nodes.Scan) else None
