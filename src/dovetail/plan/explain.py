"""A plan as text, one node a line, for EXPLAIN and the plan tests."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.plan.expressions import KeyFilter, PlanSubquery


def explain(plan: nodes.Plan, indent: str = "") -> str:
    """The tree of ``plan``; nested subqueries stand below the node that uses them."""
    return "\n".join(_lines(plan, indent))


def _lines(plan: nodes.Plan, indent: str) -> Iterator[str]:
    found: list[nodes.Plan] = []
    yield indent + describe(plan, found)
    for number, subquery in enumerate(found, start=1):
        yield f"{indent}  subquery ${number}:"
        yield from _lines(subquery, indent + "    ")
    children = (plan.plan,) if isinstance(plan, nodes.Fragment) else plan.inputs
    for child in children:
        yield from _lines(child, indent + "  ")


def describe(plan: nodes.Plan, found: list[nodes.Plan]) -> str:
    """One node in a line; the plans of its subqueries are added to ``found``."""

    def text(expression: exp.Expression) -> str:
        return _text(expression, found)

    def items(listed: tuple[nodes.Item, ...]) -> str:
        parts = []
        for item in listed:
            value = text(item.expression)
            parts.append(value if value == item.column.name else f"{value} as {item.column.name}")
        return ", ".join(parts)

    def keys(listed: tuple[nodes.SortKey, ...]) -> str:
        return ", ".join(
            text(k.expression)
            + (" desc" if k.descending else "")
            + (" nulls first" if k.nulls_first else "")
            for k in listed
        )

    match plan:
        case nodes.Fragment():
            return f"Fragment {plan.number} on {plan.source}"
        case nodes.Scan():
            return f"Scan {plan.label}: {', '.join(r.column.name for r in plan.read)}"
        case nodes.Filter():
            return f"Filter{' loosely' if plan.loose else ''} {text(plan.predicate)}"
        case nodes.Project():
            return f"Project {items(plan.items)}"
        case nodes.Window():
            return f"Window {items(plan.items)}"
        case nodes.Unnest():
            return f"Unnest {items((plan.item,))}"
        case nodes.Join():
            on = f" on {text(plan.condition)}" if plan.condition is not None else ""
            return f"Join {plan.kind}{on}"
        case nodes.Aggregate():
            by = f" by {items(plan.keys)}" if plan.keys else ""
            sets = f" sets {list(map(list, plan.grouping_sets))}" if plan.grouping_sets else ""
            return f"Aggregate {items(plan.aggregates)}{by}{sets}".replace("  ", " ")
        case nodes.Sort():
            return f"Sort {keys(plan.keys)}"
        case nodes.Limit():
            count = "all" if plan.count is None else str(plan.count)
            return f"Limit {count}" + (f" offset {plan.offset}" if plan.offset else "")
        case nodes.Distinct():
            on = f" on {', '.join(text(e) for e in plan.on)}" if plan.on else ""
            return f"Distinct{on}" + (f" order {keys(plan.order)}" if plan.order else "")
        case nodes.SetOperation():
            return f"{plan.kind.capitalize()}{' all' if plan.all else ''}"
        case nodes.Values():
            return f"Values {len(plan.rows)} rows" if plan.outputs else "One row"
        case nodes.With():
            recursive = " recursive" if plan.step is not None else ""
            return f"With {plan.name}{recursive}"
        case nodes.Kept():
            return f"Keep rows as {plan.number}"
        case nodes.WithScan():
            return f"Read {plan.name}: {', '.join(c.name for c in plan.outputs)}"
        case _:
            return type(plan).__name__


def _text(expression: exp.Expression, found: list[nodes.Plan]) -> str:
    def visit(node: exp.Expression) -> exp.Expression:
        if isinstance(node, PlanSubquery):
            found.append(node.plan)
            return exp.Var(this=f"(${len(found)})")
        if isinstance(node, KeyFilter):
            return exp.In(this=node.this, expressions=[exp.Var(this=f"keys {node.number}")])
        if isinstance(node, exp.Identifier) and node.this.isidentifier():
            return exp.Identifier(this=node.this, quoted=False)
        return node

    shown: exp.Expression = expression.copy().transform(visit, copy=False)
    return shown.sql(dialect="duckdb", copy=False)
