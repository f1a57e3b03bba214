"""SELECT: list, WHERE, grouping, HAVING, windows, QUALIFY, DISTINCT and ORDER BY of one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from dovetail.language.sql.bind_expressions import Aliases, Expressions, Resolved
from dovetail.language.sql.bind_from import FromClause
from dovetail.language.sql.bind_tail import is_all, limited, sort_key
from dovetail.language.sql.bound import Bound, Definitions, only
from dovetail.language.sql.grouping import Grouping, grouping_elements
from dovetail.language.sql.scope import NotModelled, Scope
from dovetail.plan import nodes
from dovetail.plan.expressions import column, has_subquery, is_volatile, unparenthesized


class SelectBlock:
    """Binds one SELECT, clause by clause, in the order in which they take effect."""

    def __init__(self, from_: FromClause, expressions: Expressions) -> None:
        self._from = from_
        self._expressions = expressions
        self._names = expressions.names

    def bind(self, select: exp.Select, parent: Scope | None, definitions: Definitions) -> Bound:
        """The plan of a SELECT without its WITH, seen from inside the scope ``parent``."""
        only(
            select,
            *("expressions", "from_", "joins", "where", "group", "having", "qualify", "windows"),
            *("distinct", "order", "limit", "offset", "hint", "kind"),
        )
        if select.args.get("kind") or select.args.get("hint"):
            raise NotModelled("SELECT AS")
        plan, scope = self._from.bind(select, parent, definitions)
        raw, names = self._select_list(select, scope)
        aliases = Aliases(raw, names)
        windows = {w.name.lower(): w for w in select.args.get("windows") or ()}

        def bind(
            tree: exp.Expression, *, lateral: int | None = None, strict: bool = False
        ) -> exp.Expression:
            named = _expand_windows(tree, windows)
            visible = aliases.before(lateral) if lateral is not None else aliases
            return self._expressions.bind(named, scope, definitions, visible, strict)

        where = select.args.get("where")
        if where is not None:
            predicate = bind(where.this)
            if Grouping.has_aggregate(predicate):
                raise NotModelled("aggregate in WHERE")
            plan = nodes.Filter(plan, predicate)

        items = [bind(tree, lateral=index) for index, tree in enumerate(raw)]
        having_tree = select.args.get("having")
        qualify_tree = select.args.get("qualify")
        having = bind(having_tree.this, strict=True) if having_tree else None
        qualify = bind(qualify_tree.this, strict=True) if qualify_tree else None
        order = self._order_terms(select, items, names, bind)
        distinct = select.args.get("distinct")
        on: list[exp.Expression] = []
        if distinct is not None and distinct.args.get("on") is not None:
            target = distinct.args["on"]
            trees = target.expressions if isinstance(target, exp.Tuple) else [target]
            on = [_position_or(t, items, bind) for t in trees]

        group = select.args.get("group")
        everything = [*items, *([having] if having else []), *([qualify] if qualify else [])]
        everything += [e for e, _ in order] + on
        grouped = group is not None or having is not None
        if grouped or any(Grouping.has_aggregate(e) for e in everything):
            keys, sets = self._group_keys(group, items, bind)
            if sets is not None and any(has_subquery(key) for key in keys):
                # The same subquery among the items is another plan: not seen to be NULL in totals.
                raise NotModelled("a subquery as a key of grouping sets")
            grouping = Grouping(self._names, self._expressions.item, keys, sets, set(plan.names))
            everything = [grouping.rewrite(e) for e in everything]
            plan = grouping.plan(plan)
        items = everything[: len(items)]
        rest = everything[len(items) :]
        if having is not None:
            plan = nodes.Filter(plan, rest.pop(0))
        if qualify is not None:
            rest_qualify: exp.Expression | None = rest.pop(0)
        else:
            rest_qualify = None
        plan, everything = self._windows(
            plan, [*items, *([rest_qualify] if rest_qualify else []), *rest]
        )
        items = everything[: len(items)]
        rest = everything[len(items) :]
        if rest_qualify is not None:
            plan = nodes.Filter(plan, rest.pop(0))
        sort = [
            nodes.SortKey(e, key.descending, key.nulls_first)
            for e, (_, key) in zip(rest[: len(order)], order, strict=True)
        ]
        return self._finish(select, plan, items, names, sort, rest[len(order) :])

    def _finish(
        self,
        select: exp.Select,
        plan: nodes.Plan,
        items: list[exp.Expression],
        names: list[str | None],
        sort: list[nodes.SortKey],
        on: list[exp.Expression],
    ) -> Bound:
        """SELECT list, DISTINCT, ORDER BY and LIMIT on top of everything else."""
        outputs = self._expressions.items(items, names)
        by_value = {item.expression: item.column for item in outputs}
        extra: list[nodes.Item] = []

        def output_of(expression: exp.Expression) -> exp.Expression:
            bare = unparenthesized(expression)
            if bare not in by_value or is_volatile(bare):
                extra.extend(self._expressions.items([bare], [None]))
                by_value[bare] = extra[-1].column
            return column(by_value[bare].name)

        sort = [nodes.SortKey(output_of(k.expression), k.descending, k.nulls_first) for k in sort]
        on = [output_of(e) for e in on]
        distinct = select.args.get("distinct") is not None
        if extra and distinct and not on:
            raise NotModelled("DISTINCT ordered by what is not selected")
        plan = nodes.Project(plan, (*outputs, *extra))
        if distinct:
            plan = nodes.Distinct(plan, tuple(on), tuple(sort) if on else ())
        if sort:
            plan = nodes.Sort(plan, tuple(sort))
        plan = limited(plan, select, self._expressions)
        if extra:
            kept = tuple(
                nodes.Item(self._names.like(item.column), column(item.column.name))
                for item in outputs
            )
            plan = nodes.Project(plan, kept)
        return Bound(plan, tuple(names))

    def _select_list(
        self, select: exp.Select, scope: Scope
    ) -> tuple[list[exp.Expression], list[str | None]]:
        """The SELECT list with stars expanded, unbound except for what stars stand for."""
        raw: list[exp.Expression] = []
        names: list[str | None] = []
        for tree in select.expressions:
            if isinstance(tree, exp.Star):
                visible = scope.visible
                star: exp.Star = tree
            elif isinstance(tree, exp.Column) and isinstance(tree.this, exp.Star):
                parts = [p.name for p in (tree.args.get("db"), tree.args.get("table")) if p]
                relation = scope.relation(parts)
                if relation is None:
                    raise NotModelled("star over an outer table")
                visible, star = list(relation.columns), tree.this
            else:
                if isinstance(tree, exp.Alias):
                    raw.append(tree.this)
                    names.append(tree.alias)
                elif isinstance(tree, exp.Aliases | exp.Columns):
                    raise NotModelled("COLUMNS")
                else:
                    raw.append(tree)
                    names.append(tree.name if isinstance(tree, exp.Column) else None)
                continue
            only(star, "except_", "replace")
            excluded = {e.name.lower() for e in star.args.get("except_") or ()}
            replaced = {r.alias.lower(): r.this for r in star.args.get("replace") or ()}
            for item in visible:
                key = (item.name or "").lower()
                if key in excluded:
                    continue
                value = replaced.get(key) if item.name else None
                raw.append(value if value is not None else Resolved.of(item.expression))
                names.append(item.name)
        return raw, names

    def _order_terms(
        self,
        select: exp.Select,
        items: list[exp.Expression],
        names: list[str | None],
        bind: Callable[..., exp.Expression],
    ) -> list[tuple[exp.Expression, nodes.SortKey]]:
        order = select.args.get("order")
        if order is None:
            return []
        if len(order.expressions) == 1 and is_all(order.expressions[0].this):
            only = order.expressions[0]
            return [(e.copy(), sort_key(only, e)) for e in items]
        result = []
        for ordered in order.expressions:
            if not isinstance(ordered, exp.Ordered) or ordered.args.get("with_fill"):
                raise NotModelled("ORDER BY with options")
            term = unparenthesized(ordered.this)
            value: exp.Expression | None = None
            if isinstance(term, exp.Column) and not term.args.get("table"):
                matches = [i for i, n in enumerate(names) if n and n.lower() == term.name.lower()]
                if len({items[i] for i in matches}) > 1:
                    raise NotModelled("ORDER BY a name that is selected twice")
                if matches:
                    value = items[matches[0]]
            if value is None:
                value = _position_or(ordered.this, items, lambda t: bind(t, strict=True))
            result.append((value.copy(), sort_key(ordered, value)))
        return result

    def _group_keys(
        self,
        group: exp.Group | None,
        items: list[exp.Expression],
        bind: Callable[..., exp.Expression],
    ) -> tuple[list[exp.Expression], list[list[int]] | None]:
        if group is None:
            return [], None
        if group.args.get("all"):
            return [e.copy() for e in items if not Grouping.has_aggregate(e)], None
        return grouping_elements(group, lambda t: _position_or(t, items, bind))

    def _windows(
        self, plan: nodes.Plan, expressions: list[exp.Expression]
    ) -> tuple[nodes.Plan, list[exp.Expression]]:
        """Move window functions out of ``expressions`` into a Window node below."""
        found: dict[exp.Expression, nodes.Item] = {}

        def visit(node: exp.Expression) -> exp.Expression:
            if isinstance(node, exp.Window):
                if any(isinstance(n, exp.Window) for n in node.walk() if n is not node):
                    raise NotModelled("nested windows")
                if node not in found:
                    found[node.copy()] = self._expressions.item(node.copy())
                return column(found[node].column.name)
            return node

        rewritten = [e.copy().transform(visit, copy=False) for e in expressions]
        if found:
            plan = nodes.Window(plan, tuple(found.values()))
        return plan, rewritten


def _position_or(
    tree: exp.Expression,
    items: list[exp.Expression],
    bind: Callable[..., exp.Expression],
) -> exp.Expression:
    """The item that a position names, else what ``bind`` makes of the term."""
    bare = unparenthesized(tree)
    if isinstance(bare, exp.Literal) and not bare.is_string:
        index = int(bare.this) - 1 if bare.this.isdigit() else -1
        if not 0 <= index < len(items):
            raise NotModelled("position out of range")
        return items[index].copy()
    if isinstance(bare, exp.Literal | exp.Null | exp.Boolean):
        raise NotModelled("constant as a key")
    return bind(tree)


def _expand_windows(tree: exp.Expression, windows: Mapping[str, exp.Expression]) -> exp.Expression:
    if not windows or not any(isinstance(n, exp.Window) for n in tree.walk()):
        return tree

    def visit(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Window) and node.alias:
            definition = windows.get(node.alias.lower())
            others = [k for k, v in node.args.items() if v and k not in ("this", "alias", "over")]
            if definition is None or others or definition.args.get("alias"):
                raise NotModelled("named window")
            made = node.copy()
            made.set("alias", None)
            for key in ("partition_by", "order", "spec"):
                value = definition.args.get(key)
                copied = [v.copy() for v in value] if isinstance(value, list) else value
                made.set(key, copied.copy() if isinstance(copied, exp.Expression) else copied)
            return made
        return node

    return tree.copy().transform(visit, copy=False)
