"""ORDER BY terms, LIMIT and OFFSET: what ends a SELECT or a whole query."""

from __future__ import annotations

from sqlglot import exp

from dovetail.language.sql.bind_expressions import Expressions
from dovetail.language.sql.scope import NotModelled
from dovetail.plan import nodes
from dovetail.plan.expressions import unparenthesized


def limited(plan: nodes.Plan, tree: exp.Expression, expressions: Expressions) -> nodes.Plan:
    """``plan`` cut as LIMIT and OFFSET of ``tree`` say."""
    limit, offset = tree.args.get("limit"), tree.args.get("offset")
    if limit is None and offset is None:
        return plan
    count = None
    if limit is not None:
        if not isinstance(limit, exp.Limit) or limit.args.get("limit_options"):
            raise NotModelled("LIMIT with options")
        count = _integer(limit.expression, expressions)
    start = _integer(offset.expression, expressions) if offset is not None else 0
    return nodes.Limit(plan, count, start)


def sort_key(ordered: exp.Ordered, value: exp.Expression) -> nodes.SortKey:
    """``value`` as a key with the direction of ``ordered``."""
    if isinstance(ordered.this, exp.Collate):
        raise NotModelled("COLLATE")
    return nodes.SortKey(
        value.copy(), bool(ordered.args.get("desc")), bool(ordered.args.get("nulls_first"))
    )


def is_all(tree: exp.Expression) -> bool:
    """Whether it is the ALL of ORDER BY ALL."""
    return isinstance(tree, exp.Var) and tree.name.upper() == "ALL"


def _integer(expression: exp.Expression, expressions: Expressions) -> int:
    bare = unparenthesized(expressions.parameter(expression))
    if isinstance(bare, exp.Cast):
        bare = bare.this
    if isinstance(bare, exp.Literal) and not bare.is_string and bare.this.isdigit():
        return int(bare.this)
    raise NotModelled("LIMIT or OFFSET that is no constant")
