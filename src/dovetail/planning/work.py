"""From a federated plan to what a run needs: requests, the residual SQL, stages of keys."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from dovetail.connectors.base import SMALL_ROWS
from dovetail.execution.carried import carried
from dovetail.execution.keys import KeyLookup
from dovetail.execution.work import Kept, Piece, Statement, Work
from dovetail.optimize.context import Context
from dovetail.optimize.federated import FederatedPlan
from dovetail.optimize.fragments import bound, request_of, shown
from dovetail.plan import nodes
from dovetail.plan.expressions import column, has_subquery, node_expressions, transform_plan
from dovetail.plan.shapes import fragments_in
from dovetail.plan.sql import SqlBuilder
from dovetail.planning.planned import new_tag
from dovetail.types import Type


def work_of(
    federated: FederatedPlan,
    names: Sequence[str],
    described: Sequence[tuple[str, Type]],
    context: Context,
) -> tuple[Work, str]:
    """The work of a plan whose output columns are called ``names``; the residual SQL to show."""
    tag = new_tag()
    rows = federated.rows or (None,) * len(federated.fragments)
    pieces = tuple(
        _piece(f, n, federated, context, tag)
        for f, n in zip(federated.fragments, rows, strict=True)
    )
    residual = materialized(federated.plan)
    statement, text = statement_of(residual, names)
    kept = _kept(federated, residual)
    types = [type_.text for _, type_ in described]
    columns = list(zip(names, types, strict=True))
    return (
        Work(
            pieces,
            lambda relations: carried(statement(relations), columns),
            types,
            materialize=_read_repeatedly(federated.plan) | _joined(federated, pieces, context),
            lookups=tuple(_lookups(federated, context)),
            kept=kept[0] if kept else None,
        ),
        "\n".join([*(kept[1:] if kept else ()), carried(text, columns)]),
    )


def _kept(federated: FederatedPlan, residual: nodes.Plan) -> tuple[Kept, str] | None:
    """The rows that are kept before fragments are asked for by their keys; the SQL to show."""
    node = next((node for node in residual.walk() if isinstance(node, nodes.Kept)), None)
    if node is None:
        return None
    names = [c.name for c in node.columns]
    statement, text = statement_of(node.input, names)
    late = frozenset(f.target for f in federated.filters if f.teacher == node.number)
    shown_as = f"CREATE TABLE fragment_{node.number} AS {text};"
    return Kept(node.number, statement, late), shown_as


def retagged(work: Work) -> Work:
    """The same work under a new tag: two runs of one plan must not be taken for each other."""
    tag = new_tag()
    return replace(work, pieces=tuple(_tagged(piece, tag) for piece in work.pieces))


def _tagged(piece: Piece, tag: str) -> Piece:
    return replace(piece, request=replace(piece.request, tag=tag))


def _piece(
    fragment: nodes.Fragment,
    rows: float | None,
    federated: FederatedPlan,
    context: Context,
    tag: str,
) -> Piece:
    table = context.capabilities[fragment.source]
    request = request_of(fragment, table, tag)
    if not table.engine_reads:  # there the scan is the work, however few rows it leaves
        request = replace(request, rows=rows)
    if not any(f.target == fragment.number for f in federated.filters):
        return Piece(fragment.number, fragment.source, request)
    return Piece(
        fragment.number,
        fragment.source,
        shown(request),
        lambda given, keys: replace(bound(request, table, keys), tag=given.tag),
    )


def _lookups(federated: FederatedPlan, context: Context) -> list[KeyLookup]:
    found = []
    for wanted in federated.filters:
        key = wanted.keys.column(wanted.key)
        name = column(key.name)
        distinct = nodes.Distinct(nodes.Project(wanted.keys, (nodes.Item(key, name),)))
        statement, _ = statement_of(distinct, ["key"])
        found.append(
            KeyLookup(
                wanted.number, wanted.teacher, wanted.target, statement, key.type.text, wanted.most
            )
        )
    return found


# The words without parentheses as calls: DuckDB takes `CURRENT_DATE AS "current_date"` for a column
# that is read before it is made.
_CALLS: Mapping[type[exp.Expression], str] = {
    exp.CurrentDate: "today",
    exp.CurrentTime: "get_current_time",
    exp.CurrentTimestamp: "get_current_timestamp",
    exp.Localtime: "current_localtime",
    exp.Localtimestamp: "current_localtimestamp",
    exp.SessionUser: "session_user",
    exp.CurrentCatalog: "current_catalog",
}


def statement_of(plan: nodes.Plan, names: Sequence[str]) -> tuple[Statement, str]:
    """SQL of a plan over fragments, once their relations are known; and the text to show."""
    # A name no query text can contain: relations are put in its place in the final text.
    mark = f"fragment_{uuid.uuid4().hex}"
    numbers: list[int] = []

    def leaf(plan: nodes.Plan) -> tuple[exp.Expression, Mapping[str, str]]:
        assert isinstance(plan, nodes.Fragment | nodes.Kept)
        numbers.append(plan.number)
        table = exp.Table(this=exp.Identifier(this=f"{mark}_{plan.number}_", quoted=True))
        return table, {c.name: c.name for c in plan.columns}

    query = SqlBuilder(leaf).query(plan, names)
    for word in list(query.find_all(*_CALLS)):
        word.replace(exp.Anonymous(this=_CALLS[type(word)]))
    text = query.sql(dialect="duckdb", copy=False)

    def statement(relations: Mapping[int, str]) -> str:
        result = text
        for number in set(numbers):
            result = result.replace(f'"{mark}_{number}_"', relations[number])
        return result

    return statement, statement({number: f"fragment_{number}" for number in numbers})


def materialized(plan: nodes.Plan) -> nodes.Plan:
    """WITH definitions that read fragments are marked so that the engine computes them once."""

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.With) and node.step is None and node.materialized is not True:
            return nodes.With(node.name, node.definition, node.body, None, node.union_all, True)
        return node

    return transform_plan(plan, visit)


def _joined(federated: FederatedPlan, pieces: Sequence[Piece], context: Context) -> frozenset[int]:
    """Fragments to read into the engine before a join over them is planned.

    The engine knows nothing of the size of a stream or of a query run at a source, and an order
    of joins chosen blindly can be wrong by orders of magnitude (TPC-DS 72 took minutes). Once the
    rows are there it knows their number exactly. Scans that the engine does itself bring their
    own estimates and stay. With two small fragments there is no order to choose.
    """
    late = any(isinstance(node, nodes.Kept) for node in federated.plan.walk())
    if len(pieces) < 2 or not _joins(federated.plan):
        return frozenset()
    few = len(pieces) == 2 and len(federated.rows) == 2 and max(federated.rows) <= SMALL_ROWS
    if few and not late:  # what is late waits until the others have been read
        return frozenset()
    return frozenset(
        piece.number for piece in pieces if not context.capabilities[piece.source].engine_reads
    )


def _joins(plan: nodes.Plan) -> bool:
    """Whether the residual plan joins anything; subqueries are joins too."""
    return any(
        isinstance(node, nodes.Join) or any(has_subquery(e) for e in node_expressions(node))
        for node in plan.walk()
    )


def _read_repeatedly(plan: nodes.Plan) -> frozenset[int]:
    """Fragments in the repeated part of a recursion: read in every round."""
    found: set[int] = set()

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.With) and node.step is not None:
            found.update(fragment.number for fragment in fragments_in(node.step))
        return node

    transform_plan(plan, visit)
    return frozenset(found)
