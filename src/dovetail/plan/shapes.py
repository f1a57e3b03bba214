"""Small shapes that rules build and recognize: filters by parts, equalities, passed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.plan.expressions import (
    column,
    conjunction,
    conjuncts,
    substitute,
    transform_plan,
    unparenthesized,
)

Parts = list[exp.Expression]


def filtered(
    plan: nodes.Plan, parts: Iterable[exp.Expression], *, loose: bool = False
) -> nodes.Plan:
    """``plan`` with the rows for which all ``parts`` hold; itself without parts."""
    predicate = conjunction(parts)
    return plan if predicate is None else nodes.Filter(plan, predicate, loose)


def narrowed(plan: nodes.Plan, columns: Sequence[nodes.Column]) -> nodes.Plan:
    """``plan`` with these of its columns, in this order; itself when it has them so."""
    if [c.name for c in plan.columns] == [c.name for c in columns]:
        return plan
    return nodes.Project(plan, tuple(nodes.Item(c, column(c.name)) for c in columns))


def replaced(plan: nodes.Plan, old: nodes.Plan, new: nodes.Plan) -> nodes.Plan:
    """``plan`` with ``new`` where the very node ``old`` was."""
    if plan is old:
        return new
    return plan.with_inputs([replaced(child, old, new) for child in plan.inputs])


def equal_columns(part: exp.Expression) -> tuple[str, str] | None:
    """The two columns of ``a = b``, or None."""
    bare = unparenthesized(part)
    if (
        isinstance(bare, exp.EQ)
        and isinstance(bare.this, exp.Column)
        and isinstance(bare.expression, exp.Column)
    ):
        return bare.this.name, bare.expression.name
    return None


def across(part: exp.Expression, left: nodes.Plan, right: nodes.Plan) -> tuple[str, str] | None:
    """The columns of ``left`` and of ``right`` that ``part`` equates, or None."""
    pair = equal_columns(part)
    if pair is None:
        return None
    for a, b in (pair, pair[::-1]):
        if a in left.names and b in right.names:
            return a, b
    return None


def alike_across(join: nodes.Join) -> Iterator[tuple[str, str]]:
    """Pairs of a left and a right column that the join equates and that compare alike."""
    return alike_pairs(join.condition, join.left, join.right)


def alike_pairs(
    predicate: exp.Expression | None, left: nodes.Plan, right: nodes.Plan
) -> Iterator[tuple[str, str]]:
    """Pairs of columns of both that ``predicate`` equates and that compare alike."""
    for part in conjuncts(predicate):
        pair = across(part, left, right)
        if pair is not None and alike(left.column(pair[0]), right.column(pair[1])):
            yield pair


def alike(a: nodes.Column, b: nodes.Column) -> bool:
    """Whether equal values of both are equal under every comparison with a third value."""
    return a.type == b.type or a.type.family == b.type.family == "integer"


def passed(plan: nodes.Project | nodes.Aggregate, name: str) -> str | None:
    """The column of the input that column ``name`` is unchanged; None for a computed one."""
    items = plan.items if isinstance(plan, nodes.Project) else plan.keys
    for item in items:
        if item.column.name == name and item.is_rename:
            return item.expression.name
    return None


def fragments_in(plan: nodes.Plan) -> list[nodes.Fragment]:
    """All fragments, those of nested subqueries included."""
    found: list[nodes.Fragment] = []

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Fragment):
            found.append(node)
        return node

    transform_plan(plan, visit)
    return found


def definitions_read(plan: nodes.Plan) -> frozenset[str]:
    """Names of the WITH definitions that the plan reads, nested subqueries included."""
    found: set[str] = set()

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.WithScan):
            found.add(node.name)
        return node

    transform_plan(plan, visit)
    return frozenset(found)


def origin(plan: nodes.Plan, name: str) -> tuple[nodes.Scan, str] | None:
    """The table column that a plan's column comes from unchanged."""
    match plan:
        case nodes.Scan():
            for read in plan.read:
                if read.column.name == name:
                    return plan, read.source_name
            return None
        case nodes.Project() | nodes.Aggregate():
            below = passed(plan, name)
            return origin(plan.input, below) if below is not None else None
        case nodes.Fragment():
            return origin(plan.plan, name)
        case nodes.SetOperation() | nodes.Values() | nodes.WithScan():
            return None
        case _:
            for child in plan.inputs:
                if name in child.names:
                    return origin(child, name)
            return None


def names_in(plan: nodes.Plan) -> set[str]:
    """Names of all columns of all nodes, not of those in nested subqueries."""
    return {c.name for node in plan.walk() for c in node.columns}


def composed(
    plan: nodes.Plan, expressions: Sequence[exp.Expression]
) -> tuple[nodes.Plan, list[exp.Expression]]:
    """What is below the projections on top of ``plan``, and ``expressions`` over that."""
    found = list(expressions)
    while isinstance(plan, nodes.Project):
        items = {item.column.name: item.expression for item in plan.items}
        found = [substitute(expression, items) for expression in found]
        plan = plan.input
    return plan, found


def unfiltered(plan: nodes.Plan) -> nodes.Plan:
    """The table below filters and projections, or the plan below them."""
    while isinstance(plan, nodes.Filter | nodes.Project):
        plan = plan.input
    return plan
