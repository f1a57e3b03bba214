"""GROUP BY: keys, grouping sets, and moving aggregates out of expressions.

After grouping an expression may only use keys and aggregates. :class:`Grouping` replaces each by a
column of the Aggregate node; what is left and is no outer reference means that the binder
understood the query differently from DuckDB, so it gives up with NotModelled.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, compress, product

from sqlglot import exp

from dovetail.language.sql.aggregates import AGGREGATES
from dovetail.language.sql.scope import Names, NotModelled
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    column,
    free_columns,
    function_name,
    plan_free_columns,
    substitute_plan,
    unparenthesized,
)


class Grouping:
    """The keys and aggregates of one grouped SELECT."""

    def __init__(
        self,
        names: Names,
        make_item: Callable[[exp.Expression], nodes.Item],
        keys: list[exp.Expression],
        sets: list[list[int]] | None,
        input_names: set[str],
    ) -> None:
        self._make_item = make_item
        self._input_names = input_names
        self._keys: dict[exp.Expression, nodes.Item] = {}
        indexes: list[int] = []
        for key in keys:
            bare = unparenthesized(key)
            if bare not in self._keys:
                self._keys[bare] = make_item(bare)
            indexes.append(list(self._keys).index(bare))
        self._sets = None if sets is None else [sorted({indexes[i] for i in s}) for s in sets]
        self._aggregates: dict[exp.Expression, nodes.Item] = {}
        self._key_columns = {
            bare.name: item.column.name
            for bare, item in self._keys.items()
            if isinstance(bare, exp.Column)
        }

    @staticmethod
    def is_aggregate(node: exp.Expression) -> bool:
        """Whether the node is an aggregate call (with FILTER or WITHIN GROUP around it)."""
        if isinstance(node, exp.Filter | exp.WithinGroup):
            return True
        if isinstance(node, exp.AggFunc | exp.Grouping):
            return True
        return function_name(node) in AGGREGATES

    @staticmethod
    def has_aggregate(expression: exp.Expression) -> bool:
        """Whether an aggregate occurs outside window functions' own call and subqueries."""
        if isinstance(expression, exp.Window):
            call = expression.this
            while isinstance(call, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
                call = call.this
            children = [*call.iter_expressions()]
            for key in ("partition_by", "order", "spec"):
                value = expression.args.get(key)
                children += value if isinstance(value, list) else [value] if value else []
            return any(Grouping.has_aggregate(c) for c in children if isinstance(c, exp.Expression))
        if Grouping.is_aggregate(expression):
            return True
        return any(Grouping.has_aggregate(c) for c in expression.iter_expressions())

    def rewrite(self, expression: exp.Expression) -> exp.Expression:
        """The expression over the Aggregate's columns."""
        return self._rewrite(expression.copy())

    def _rewrite(self, node: exp.Expression) -> exp.Expression:
        bare = unparenthesized(node)
        if bare in self._keys:
            return column(self._keys[bare].column.name)
        if isinstance(node, exp.Window):
            self._rewrite_window(node)
            return node
        if isinstance(node, PlanSubquery):
            return self._rewrite_subquery(node)
        if self.is_aggregate(node):
            if any(self.has_aggregate(c) for c in _arguments(node)):
                raise NotModelled("nested aggregates")
            if any(isinstance(n, PlanSubquery | exp.Window) for n in node.walk()):
                raise NotModelled("subquery or window inside an aggregate")
            used = {name for c in _arguments(node) for name in free_columns(c)}
            if used and not used & self._input_names:
                # It counts the rows of the query around, and groups that.
                raise NotModelled("an aggregate over columns of the outer query alone")
            if node not in self._aggregates:
                self._aggregates[node.copy()] = self._make_item(node.copy())
            return column(self._aggregates[node].column.name)
        if isinstance(node, exp.Column):
            if node.name in self._input_names:
                raise NotModelled(f"{node.name} is neither grouped nor aggregated")
            return node
        self._rewrite_children(node)
        return node

    def _rewrite_children(self, node: exp.Expression) -> None:
        for key, value in list(node.args.items()):
            if isinstance(value, exp.Expression):
                node.set(key, self._rewrite(value))
            elif isinstance(value, list):
                node.set(
                    key,
                    [self._rewrite(v) if isinstance(v, exp.Expression) else v for v in value],
                )

    def _rewrite_window(self, window: exp.Window) -> None:
        """Inside a window only the arguments are over the groups; the call itself stays."""
        call = window.this
        while isinstance(call, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
            condition = call.args.get("expression")
            if isinstance(condition, exp.Expression):
                self._rewrite_children(condition)
            call = call.this
        self._rewrite_children(call)
        for key in ("partition_by", "order", "spec"):
            value = window.args.get(key)
            if isinstance(value, list):
                window.set(key, [self._rewrite(v) for v in value])
            elif isinstance(value, exp.Expression):
                self._rewrite_children(value)

    def _rewrite_subquery(self, node: PlanSubquery) -> exp.Expression:
        free = plan_free_columns(node.plan) & self._input_names
        if not free:
            return node
        if not free <= self._key_columns.keys():
            raise NotModelled("subquery over an ungrouped column")
        mapping: dict[str, exp.Expression] = {
            name: column(self._key_columns[name]) for name in free
        }
        return PlanSubquery(plan=substitute_plan(node.plan, mapping))

    def plan(self, plan: nodes.Plan) -> nodes.Plan:
        """The Aggregate node, after every expression has been rewritten."""
        sets = None if self._sets is None else tuple(tuple(s) for s in self._sets)
        return nodes.Aggregate(
            plan, tuple(self._keys.values()), tuple(self._aggregates.values()), sets
        )


def _arguments(node: exp.Expression) -> list[exp.Expression]:
    """What an aggregate is computed over, inside its FILTER and WITHIN GROUP wrappers."""
    while isinstance(node, exp.Filter | exp.WithinGroup):
        node = node.this
    return list(node.iter_expressions())


def grouping_elements(
    group: exp.Group, bind: Callable[[exp.Expression], exp.Expression]
) -> tuple[list[exp.Expression], list[list[int]] | None]:
    """Keys of a GROUP BY clause, and its grouping sets as indexes into them (None: just one)."""
    for name in ("totals", "rollup", "cube", "grouping_sets"):
        if group.args.get(name):
            raise NotModelled(f"GROUP BY with {name}")
    keys: list[exp.Expression] = []

    def add(tree: exp.Expression) -> int:
        keys.append(bind(tree))
        return len(keys) - 1

    def members(tree: exp.Expression) -> list[int]:
        bare = unparenthesized(tree)
        if isinstance(bare, exp.Tuple):
            return [add(t) for t in bare.expressions]
        return [add(bare)]

    factors: list[list[list[int]]] = []
    plain = True
    for tree in group.expressions:
        match tree:
            case exp.Rollup():
                plain = False
                steps = [members(t) for t in tree.expressions]
                factors.append(
                    [list(chain.from_iterable(steps[:size])) for size in range(len(steps), -1, -1)]
                )
            case exp.Cube():
                plain = False
                steps = [members(t) for t in tree.expressions]
                choices = product((True, False), repeat=len(steps))
                factors.append(
                    [list(chain.from_iterable(compress(steps, choice))) for choice in choices]
                )
            case exp.GroupingSets():
                plain = False
                if any(
                    isinstance(unparenthesized(t), exp.Rollup | exp.Cube | exp.GroupingSets)
                    for t in tree.expressions
                ):
                    raise NotModelled("nested grouping sets")
                factors.append([members(t) for t in tree.expressions])
            case exp.Tuple():
                factors.append([members(tree)])
            case _:
                factors.append([members(tree)])
    if plain:
        return keys, None
    return keys, [list(chain.from_iterable(combination)) for combination in product(*factors)]
