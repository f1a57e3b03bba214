"""Wide columns are fetched late: by key, for the rows that joins, filters and LIMIT leave.

``select b.body from pg.big b join my.small s on b.s = s.id order by b.at limit 10`` needs the body
of ten rows, and which ten is known only here. So the table's key is read instead of the columns
that only reach the result (:mod:`~dovetail.optimize.late_columns` finds them); the rows that are
left are kept in a table, in the engine; and the columns are asked for by the keys in it, as a
dynamic filter, from the same snapshot (:mod:`~dovetail.optimize.late_plan`).

It takes one more round trip, and its keys cost something, so it is chosen by cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from dovetail.optimize.context import Context
from dovetail.optimize.cost import Cost
from dovetail.optimize.federated import FederatedPlan
from dovetail.optimize.late_columns import (
    LateColumns,
    chain,
    computed_last,
    late_columns,
    order_left,
)
from dovetail.optimize.late_plan import (
    Fetch,
    LateScan,
    Names,
    SentKey,
    carrying,
    fetched_late,
    late_scan,
)
from dovetail.optimize.regions import most_keys
from dovetail.plan import nodes
from dovetail.plan.shapes import narrowed

# How many times the seconds it must save.
_MARGIN = 2.0
# By how much more rows may be left than is estimated of joins and filters. A LIMIT is certain.
_UNSURE = 20
# Seconds that it costs whatever it fetches: rows kept in a table, a connection that stays.
_STAGE = 0.01
# The keys of a column with so large a part of its values cut down too little to be sent.
_TOO_MANY = 0.5


@dataclass(frozen=True)
class _Priced(Fetch):
    """It takes ``seconds``, by estimate; ``early`` is to bring the columns of all ``rows``."""

    rows: float
    early: float
    seconds: float


def late_fetch(
    federated: FederatedPlan, plain: nodes.Plan, context: Context, cost: Cost
) -> FederatedPlan:
    """The plan with columns that are fetched late where that pays, and what cost decided.

    ``plain`` is the plan without dynamic filters, of which rows are estimated.
    """
    ready = replace(federated, plan=computed_last(federated.plan))
    for node, estimated in zip(chain(ready.plan), chain(computed_last(plain)), strict=True):
        found = list(late_columns(node, context)) if order_left(node) is not None else []
        if not found:
            continue
        left = cost.cardinality.rows(estimated)
        if not isinstance(node, nodes.Limit):
            left *= _UNSURE
        rows = federated.rows
        priced = [_price(late, left, rows[late.fragment.number - 1], cost) for late in found]
        chosen = _chosen(priced, context)
        made = fetched_late(ready, node, chosen, context) if chosen else None
        decisions = list(federated.decisions)
        for fetch in priced:
            is_late = made is not None and any(fetch is other for other in chosen)
            if is_late or fetch.early > _STAGE:
                decisions.append(_decision(fetch, is_late))
        return replace(made or federated, decisions=tuple(decisions))
    return federated


def _chosen(priced: Sequence[_Priced], context: Context) -> list[_Priced]:
    """What pays, one a source: each takes a connection more."""
    chosen: dict[str, _Priced] = {}
    for fetch in sorted(priced, key=lambda fetch: fetch.seconds - fetch.early):
        source = fetch.late.scan.source
        if fetch.early > _MARGIN * fetch.seconds or context.pushdown.get(source) == "always":
            chosen.setdefault(source, fetch)
    return [fetch for fetch in priced if chosen.get(fetch.late.scan.source) is fetch]


def _price(late: LateColumns, left: float, rows: float, cost: Cost) -> _Priced:
    """What it costs when of the fragment's ``rows`` ``left`` are left, or more by joins."""
    fragment, source = late.fragment, late.scan.source
    left = min(left, rows)
    names = Names(fragment)
    carried, _ = carrying(fragment, late.columns[0].at, late.key, names)
    at = {c.at for c in late.columns}
    narrow = narrowed(carried, [c for c in carried.columns if c.name not in at])
    early = cost.transfer(source, fragment, rows) - cost.transfer(source, narrow, rows)
    again = late_scan(late, names)
    sent = _sent(late, again, left, cost)
    share = prod(key.share for key in sent)
    if left > sent[0].most:
        share = 1.0  # no more than their range would be sent
    found = max(left, cost.cardinality.rows(again.scan) * share)
    costs = cost.capabilities[source].costs
    seconds = _STAGE + costs.round_trip + left * len(sent) * costs.key + found * costs.seek
    seconds += cost.transfer(source, again.scan, found)
    return _Priced(late, left, sent, rows, early, seconds)


def _sent(late: LateColumns, again: LateScan, left: float, cost: Cost) -> tuple[SentKey, ...]:
    """The columns of a key whose values, of ``left`` rows, cut the table down; at least one."""
    keys = []
    for place, name in enumerate(again.key):
        distinct = cost.cardinality.distinct(again.scan, name)
        most = most_keys(cost, late.scan.source, again.scan, name)
        keys.append(SentKey(place, distinct, min(1.0, left / distinct), most))
    keys.sort(key=lambda key: key.share)
    return (keys[0], *(key for key in keys[1:] if key.share < _TOO_MANY))


def _decision(fetch: _Priced, is_late: bool) -> str:
    scan = fetch.late.scan
    names = ", ".join(c.written for c in fetch.late.columns)
    late = f"{fetch.seconds * 1e3:,.0f} ms for at most {fetch.left:,.0f} rows"
    early = f"{fetch.early * 1e3:,.0f} ms with all {fetch.rows:,.0f}, by estimate"
    done = "fetched late, by key" if is_late else "not fetched late, by key"
    return f"{scan.source}: {names} of {scan.label} {done}: {late}, {early}"
