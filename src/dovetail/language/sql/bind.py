"""SQL tree → plan.

The text has already been judged and bound by DuckDB itself, so the query is known to be valid;
this binder only has to find its meaning. Whatever it does not model, or cannot decide with
certainty, raises :class:`~dovetail.language.sql.scope.NotModelled` and the query takes the
fallback road. Output names and types are taken from DuckDB's own binding by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dovetail.catalog.model import TableInfo, distinct_names
from dovetail.language.sql.grouping import Grouping, grouping_elements
from dovetail.language.sql.scope import Names, NotModelled, Relation, Scope, Visible, relation_of
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    column,
    conjunction,
    duckdb_sql,
    enclosed,
    free_columns,
    has_subquery,
    is_volatile,
    plan_free_columns,
    subqueries,
    unparenthesized,
)
from dovetail.plan.lateral import lateral_join
from dovetail.plan.reference import Reference
from dovetail.types import Type, parse_type

TableResolver = Callable[[tuple[str, ...]], TableInfo]


@dataclass(frozen=True)
class Bound:
    """A bound query: its plan and what its columns are called (None: DuckDB's own name)."""

    plan: nodes.Plan
    names: tuple[str | None, ...]


@dataclass(frozen=True)
class _Definition:
    """A WITH definition in scope."""

    name: str
    columns: tuple[tuple[str | None, nodes.Column], ...]


_Definitions = Mapping[str, _Definition]


class Binder:
    """Binds one statement. ``resolve`` finds tables by name parts; ``parameters`` by name."""

    def __init__(
        self,
        resolve: TableResolver,
        reference: Reference,
        parameters: Mapping[str, exp.Expression] | None = None,
    ) -> None:
        self._resolve = resolve
        self._reference = reference
        self._parameters = parameters or {}
        self.names = Names()

    # -- queries --------------------------------------------------------------------------------

    def bind(self, tree: exp.Expression) -> Bound:
        """The plan of a whole statement.

        Raises:
            NotModelled: some part is outside what the plan models.
        """
        return self._query(tree, None, {})

    def _query(
        self, tree: exp.Expression, parent: Scope | None, definitions: _Definitions
    ) -> Bound:
        with_ = tree.args.get("with_")
        if with_ is not None:
            return self._with(tree, with_, parent, definitions)
        match tree:
            case exp.Select():
                return self._select(tree, parent, definitions)
            case exp.SetOperation():
                return self._set_operation(tree, parent, definitions)
            case exp.Subquery():
                _only(tree, "this", "alias", "order", "limit", "offset")
                bound = self._query(tree.this, parent, definitions)
                return self._tail(bound, tree)
            case exp.Values():
                plan, names = self._values(tree, parent, definitions)
                return Bound(plan, names)
            case _:
                raise NotModelled(f"{type(tree).__name__} as a query")

    def _with(
        self, tree: exp.Expression, with_: exp.With, parent: Scope | None, outer: _Definitions
    ) -> Bound:
        definitions = dict(outer)
        made: list[tuple[str, nodes.Plan, nodes.Plan | None, bool, bool | None]] = []
        for cte in with_.expressions:
            if cte.args.get("scalar") or cte.args.get("key_expressions"):
                raise NotModelled("WITH … USING KEY")
            alias = cte.alias
            names = [identifier.name for identifier in cte.args["alias"].columns]
            unique = self.names.definition(alias)
            query = cte.this
            recursive = bool(with_.args.get("recursive")) and any(
                table.name.lower() == alias.lower() and not table.args.get("db")
                for table in query.find_all(exp.Table)
            )
            step: nodes.Plan | None = None
            union_all = True
            if recursive:
                definition, visible, step, union_all = self._recursive(
                    query, unique, alias, names, parent, definitions
                )
            else:
                bound = self._query(query, parent, definitions)
                definition = bound.plan
                visible = _column_names(bound.names, names)
            pairs = tuple(zip(visible, definition.columns, strict=True))
            definitions[alias.lower()] = _Definition(unique, pairs)
            made.append((unique, definition, step, union_all, cte.args.get("materialized")))
        bare = tree.copy()
        bare.set("with_", None)
        bound = self._query(bare, parent, definitions)
        plan = bound.plan
        for name, definition, step, union_all, materialized in reversed(made):
            plan = nodes.With(name, definition, plan, step, union_all, materialized)
        return Bound(plan, bound.names)

    def _recursive(
        self,
        query: exp.Expression,
        unique: str,
        alias: str,
        names: list[str],
        parent: Scope | None,
        definitions: dict[str, _Definition],
    ) -> tuple[nodes.Plan, list[str | None], nodes.Plan, bool]:
        if not isinstance(query, exp.Union) or query.args.get("by_name"):
            raise NotModelled("recursive WITH that is no union")
        _only(query, "this", "expression", "distinct", "by_name")
        anchor = self._query(query.this, parent, definitions)
        visible = _column_names(anchor.names, names)
        pairs = tuple(zip(visible, anchor.plan.columns, strict=True))
        inner = {**definitions, alias.lower(): _Definition(unique, pairs)}
        step = self._query(query.expression, parent, inner)
        if [c.type for c in step.plan.columns] != [c.type for c in anchor.plan.columns]:
            raise NotModelled("recursive WITH whose types differ between its two parts")
        return anchor.plan, visible, step.plan, not query.args.get("distinct")

    def _set_operation(
        self, tree: exp.SetOperation, parent: Scope | None, definitions: _Definitions
    ) -> Bound:
        _only(tree, "this", "expression", "distinct", "by_name", "order", "limit", "offset")
        if tree.args.get("by_name"):
            raise NotModelled("set operation BY NAME")
        left = self._query(tree.this, parent, definitions)
        right = self._query(tree.expression, parent, definitions)
        pairs = list(zip(left.plan.columns, right.plan.columns, strict=True))
        types = [self._common_type(a.type, b.type) for a, b in pairs]
        outputs = tuple(
            self.names.column(name or a.name, type_)
            for (a, _), name, type_ in zip(pairs, left.names, types, strict=True)
        )
        kind: nodes.SetKind = {  # type: ignore[assignment]
            exp.Union: "union",
            exp.Intersect: "intersect",
            exp.Except: "except",
        }[type(tree)]
        plan = nodes.SetOperation(
            kind,
            not tree.args.get("distinct"),
            self._cast_all(left.plan, types),
            self._cast_all(right.plan, types),
            outputs,
        )
        return self._tail(Bound(plan, left.names), tree)

    def _common_type(self, left: Type, right: Type) -> Type:
        if left == right:
            return left
        if left.family == "null" or right.family == "null":
            return right if left.family == "null" else left
        if (left.is_numeric and right.is_numeric) or {left.family, right.family} <= {
            "date",
            "timestamp",
        }:
            sql = "CASE WHEN true THEN a ELSE b END"
            return self._reference.types([sql], {"a": left.text, "b": right.text})[0]
        raise NotModelled(f"set operation over {left} and {right}")

    def _cast_all(self, plan: nodes.Plan, types: Sequence[Type]) -> nodes.Plan:
        if [c.type for c in plan.columns] == list(types):
            return plan
        items = []
        for old, type_ in zip(plan.columns, types, strict=True):
            reference: exp.Expression = column(old.name)
            if old.type != type_:
                reference = exp.Cast(this=reference, to=_data_type(type_))
                items.append(nodes.Item(self.names.column(old.name, type_), reference))
            else:
                items.append(nodes.Item(self.names.like(old), reference))
        return nodes.Project(plan, tuple(items))

    def _tail(self, bound: Bound, tree: exp.Expression) -> Bound:
        """ORDER BY, LIMIT and OFFSET over a whole query, by output name or position."""
        plan = bound.plan
        order = tree.args.get("order")
        if order is not None:
            keys = []
            for ordered in _ordered_terms(order, plan.columns):
                keys.append(self._output_key(ordered, bound))
            plan = nodes.Sort(plan, tuple(keys))
        return Bound(self._limit(plan, tree), bound.names)

    def _output_key(self, ordered: exp.Ordered, bound: Bound) -> nodes.SortKey:
        term = unparenthesized(ordered.this)
        index: int | None = None
        if isinstance(term, exp.Literal) and not term.is_string:
            index = int(term.this) - 1
        elif isinstance(term, exp.Column) and not term.args.get("table"):
            matches = [i for i, n in enumerate(bound.names) if n and n.lower() == term.name.lower()]
            index = matches[0] if len(matches) == 1 else None
        if index is None or not 0 <= index < len(bound.names):
            raise NotModelled("ORDER BY an expression over a set operation")
        target = bound.plan.columns[index]
        return _sort_key(ordered, column(target.name))

    def _limit(self, plan: nodes.Plan, tree: exp.Expression) -> nodes.Plan:
        limit, offset = tree.args.get("limit"), tree.args.get("offset")
        if limit is None and offset is None:
            return plan
        count = None
        if limit is not None:
            if not isinstance(limit, exp.Limit) or limit.args.get("limit_options"):
                raise NotModelled("LIMIT with options")
            count = self._integer(limit.expression)
        start = self._integer(offset.expression) if offset is not None else 0
        return nodes.Limit(plan, count, start)

    def _integer(self, expression: exp.Expression) -> int:
        bare = unparenthesized(self._bound_parameter(expression))
        if isinstance(bare, exp.Cast):
            bare = bare.this
        if isinstance(bare, exp.Literal) and not bare.is_string and bare.this.isdigit():
            return int(bare.this)
        raise NotModelled("LIMIT or OFFSET that is no constant")

    # -- FROM -----------------------------------------------------------------------------------

    def _from(
        self, select: exp.Select, parent: Scope | None, definitions: _Definitions
    ) -> tuple[nodes.Plan, Scope]:
        scope = Scope(parent=parent)
        from_ = select.args.get("from_")
        if from_ is None:
            return nodes.Values((), ((),)), scope
        plan = self._from_item(from_.this, scope, definitions)
        for join in select.args.get("joins") or ():
            plan = self._join(plan, join, scope, definitions)
        return plan, scope

    def _from_item(
        self, item: exp.Expression, scope: Scope, definitions: _Definitions
    ) -> nodes.Plan:
        """Bind a FROM item, add its relation(s) to ``scope`` and return its plan."""
        match item:
            case exp.Table():
                _only(item, "this", "db", "catalog", "alias", "joins")
                if not isinstance(item.this, exp.Identifier):
                    raise NotModelled("table function")
                plan, relation = self._table(item, definitions)
            case exp.Subquery():
                _only(item, "this", "alias", "joins", "order", "limit", "offset", "with_")
                if isinstance(item.this, exp.Table):  # (a JOIN b …)
                    if item.args.get("alias"):
                        raise NotModelled("alias over a parenthesised join")
                    plan = self._from_item(item.this, scope, definitions)
                    for join in item.args.get("joins") or ():
                        plan = self._join(plan, join, scope, definitions)
                    return plan
                plan, relation = self._derived(item, scope.parent, definitions)
            case exp.Values():
                plan, value_names = self._values(item, scope.parent, definitions)
                names = _column_names(value_names, _alias_columns(item))
                relation = relation_of(
                    item.alias or "", list(zip(names, plan.columns, strict=True))
                )
            case _:
                raise NotModelled(f"{type(item).__name__} in FROM")
        scope.add(relation)
        for join in item.args.get("joins") or ():
            plan = self._join(plan, join, scope, definitions)
        return plan

    def _derived(
        self, item: exp.Subquery | exp.Lateral, parent: Scope | None, definitions: _Definitions
    ) -> tuple[nodes.Plan, Relation]:
        """A subquery in FROM, which sees the names of ``parent``."""
        query = item.this if isinstance(item, exp.Lateral) else item.copy()
        query.set("joins", None)
        bound = self._query(query, parent, definitions)
        names = _column_names(bound.names, _alias_columns(item))
        pairs = list(zip(names, bound.plan.columns, strict=True))
        return bound.plan, relation_of(item.alias or "", pairs)

    def _table(self, table: exp.Table, definitions: _Definitions) -> tuple[nodes.Plan, Relation]:
        parts = tuple(part.name for part in table.parts)
        given = _alias_columns(table)
        definition = definitions.get(parts[0].lower()) if len(parts) == 1 else None
        if definition is not None:
            columns = tuple(self.names.like(c) for _, c in definition.columns)
            names = _column_names(tuple(n for n, _ in definition.columns), given)
            relation = relation_of(table.alias or parts[0], list(zip(names, columns, strict=True)))
            return nodes.WithScan(definition.name, columns), relation
        info = self._resolve(parts)
        read = []
        pairs: list[tuple[str | None, nodes.Column]] = []
        for source_column in info.columns:
            if source_column.unreadable is not None:
                raise NotModelled("a column that cannot be read")
            made = self.names.column(
                source_column.name,
                source_column.type,
                label=f"{info.qualified_name}.{source_column.name}",
                native_type=source_column.native_type,
                collation=source_column.collation,
                nullable=source_column.nullable,
            )
            read.append(nodes.ScanColumn(made, source_column.source_name))
            pairs.append((source_column.name, made))
        scan = nodes.Scan(info.source, info.qualified_name, info, tuple(read))
        visible = _column_names(tuple(n for n, _ in pairs), given)
        relation = relation_of(
            table.alias or parts[-1],
            [(name, c) for name, (_, c) in zip(visible, pairs, strict=True)],
        )
        if not table.alias:
            lowered = tuple(part.lower() for part in parts)
            qualifiers = tuple(lowered[i:] for i in range(len(lowered)))
            relation = Relation(relation.alias, relation.columns, qualifiers)
        return scan, relation

    def _values(
        self, tree: exp.Values, parent: Scope | None, definitions: _Definitions
    ) -> tuple[nodes.Plan, tuple[str, ...]]:
        scope = Scope(parent=parent)
        rows = [
            [self._expression(e, scope, definitions) for e in row.expressions]
            for row in tree.expressions
        ]
        if any(free_columns(e) or list(subqueries(e)) for row in rows for e in row):
            raise NotModelled("VALUES with columns")
        types = [self._types(row) for row in rows]
        if any(row != types[0] for row in types[1:]):
            raise NotModelled("VALUES of mixed types")
        if any(type_.family == "null" for type_ in types[0]):
            raise NotModelled("VALUES of untyped NULL")
        names = tuple(f"col{i}" for i in range(len(types[0])))
        outputs = tuple(
            self.names.column(name, type_) for name, type_ in zip(names, types[0], strict=True)
        )
        return nodes.Values(outputs, tuple(tuple(row) for row in rows)), names

    def _join(
        self, left: nodes.Plan, join: exp.Join, scope: Scope, definitions: _Definitions
    ) -> nodes.Plan:
        _only(join, "this", "side", "kind", "on", "using", "method")
        method = (join.args.get("method") or "").upper()
        side, kind_word = join.side.upper(), join.kind.upper()
        if method not in ("", "NATURAL"):
            raise NotModelled(f"{method} join")
        right_scope = Scope(parent=scope.parent)
        if isinstance(join.this, exp.Lateral):
            _only(join.this, "this", "view", "outer", "alias")
            if not isinstance(join.this.this, exp.Subquery) or join.this.args.get("outer"):
                raise NotModelled("LATERAL over something else than a subquery")
            right, relation = self._derived(join.this, scope, definitions)
            right_scope.add(relation)
        else:
            right = self._from_item(join.this, right_scope, definitions)
        aliases = {r.alias.lower() for r in scope.relations}
        if aliases & {r.alias.lower() for r in right_scope.relations if r.alias}:
            raise NotModelled("one alias twice in FROM")
        kind: nodes.JoinKind
        if kind_word in ("SEMI", "ANTI"):
            kind = "semi" if kind_word == "SEMI" else "anti"
        elif side in ("LEFT", "RIGHT", "FULL"):
            kind = side.lower()  # type: ignore[assignment]
        elif kind_word in ("", "INNER", "CROSS"):
            kind = "inner"
        else:
            raise NotModelled(f"{side} {kind_word} join")
        using = [identifier.name for identifier in join.args.get("using") or ()]
        if method == "NATURAL":
            names = {v.name.lower() for v in right_scope.visible if v.name}
            using = [v.name for v in scope.visible if v.name and v.name.lower() in names]
        if using:
            if isinstance(join.this, exp.Lateral):
                raise NotModelled("LATERAL with USING")
            return self._join_using(kind, left, right, using, scope, right_scope)
        on = join.args.get("on")
        condition: exp.Expression | None = None
        if on is not None:
            both = Scope(
                [*scope.relations, *right_scope.relations],
                [*scope.visible, *right_scope.visible],
                scope.parent,
            )
            condition = self._expression(on, both, definitions)
        elif kind not in ("inner", "semi", "anti"):
            raise NotModelled(f"{kind} join without a condition")
        if kind not in ("semi", "anti"):
            scope.relations.extend(right_scope.relations)
            scope.visible.extend(right_scope.visible)
        if plan_free_columns(right) & left.names:
            joined = lateral_join(kind, left, right, condition)
            if joined is None:
                raise NotModelled("LATERAL that no join can replace")
            return joined
        if kind == "inner" and condition is None:
            return nodes.Join("cross", left, right)
        return nodes.Join(kind, left, right, condition)

    def _join_using(
        self,
        kind: nodes.JoinKind,
        left: nodes.Plan,
        right: nodes.Plan,
        using: list[str],
        scope: Scope,
        right_scope: Scope,
    ) -> nodes.Plan:
        parts = []
        merged: dict[str, exp.Expression] = {}
        for name in using:
            a, b = scope.find_local([name]), right_scope.find_local([name])
            if a is None or b is None:
                raise NotModelled(f"USING ({name}) on one side only")
            parts.append(exp.EQ(this=a.copy(), expression=b.copy()))
            if kind == "full":
                merged[name.lower()] = exp.Coalesce(this=a.copy(), expressions=[b.copy()])
            else:
                merged[name.lower()] = b if kind == "right" else a
        scope.visible = [
            Visible(v.name, merged[v.name.lower()]) if v.name and v.name.lower() in merged else v
            for v in scope.visible
        ]
        if kind not in ("semi", "anti"):
            scope.relations.extend(right_scope.relations)
            scope.visible.extend(
                v for v in right_scope.visible if v.name is None or v.name.lower() not in merged
            )
        return nodes.Join(kind, left, right, conjunction(parts))

    # -- SELECT ---------------------------------------------------------------------------------

    def _select(self, select: exp.Select, parent: Scope | None, definitions: _Definitions) -> Bound:
        _only(
            select,
            *("expressions", "from_", "joins", "where", "group", "having", "qualify", "windows"),
            *("distinct", "order", "limit", "offset", "hint", "kind"),
        )
        if select.args.get("kind") or select.args.get("hint"):
            raise NotModelled("SELECT AS")
        plan, scope = self._from(select, parent, definitions)
        raw, names = self._select_list(select, scope)
        aliases = _Aliases(raw, names)
        windows = {w.name.lower(): w for w in select.args.get("windows") or ()}

        def bind(
            tree: exp.Expression, *, lateral: int | None = None, strict: bool = False
        ) -> exp.Expression:
            named = _expand_windows(tree, windows)
            visible = aliases.before(lateral) if lateral is not None else aliases
            return self._expression(named, scope, definitions, visible, strict)

        where = select.args.get("where")
        if where is not None:
            predicate = bind(where.this)
            if self._aggregated(predicate):
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
            on = [self._position_or(t, items, bind) for t in trees]

        group = select.args.get("group")
        everything = [*items, *([having] if having else []), *([qualify] if qualify else [])]
        everything += [e for e, _ in order] + on
        grouped = group is not None or having is not None
        if grouped or any(self._aggregated(e) for e in everything):
            keys, sets = self._group_keys(group, items, bind)
            if sets is not None and any(has_subquery(key) for key in keys):
                # The same subquery among the items is another plan: not seen to be NULL in totals.
                raise NotModelled("a subquery as a key of grouping sets")
            grouping = Grouping(self.names, self._item, keys, sets, set(plan.names))
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
        outputs = self._items(items, names)
        by_value = {item.expression: item.column for item in outputs}
        extra: list[nodes.Item] = []

        def output_of(expression: exp.Expression) -> exp.Expression:
            bare = unparenthesized(expression)
            if bare not in by_value or is_volatile(bare):
                extra.extend(self._items([bare], [None]))
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
        plan = self._limit(plan, select)
        if extra:
            kept = tuple(
                nodes.Item(self.names.like(item.column), column(item.column.name))
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
            _only(star, "except_", "replace")
            excluded = {e.name.lower() for e in star.args.get("except_") or ()}
            replaced = {r.alias.lower(): r.this for r in star.args.get("replace") or ()}
            for item in visible:
                key = (item.name or "").lower()
                if key in excluded:
                    continue
                value = replaced.get(key) if item.name else None
                raw.append(value if value is not None else _Resolved.of(item.expression))
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
        if len(order.expressions) == 1 and _is_all(order.expressions[0].this):
            only = order.expressions[0]
            return [(e.copy(), _sort_key(only, e)) for e in items]
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
                value = self._position_or(ordered.this, items, lambda t: bind(t, strict=True))
            result.append((value.copy(), _sort_key(ordered, value)))
        return result

    def _position_or(
        self,
        tree: exp.Expression,
        items: list[exp.Expression],
        bind: Callable[..., exp.Expression],
    ) -> exp.Expression:
        bare = unparenthesized(tree)
        if isinstance(bare, exp.Literal) and not bare.is_string:
            index = int(bare.this) - 1 if bare.this.isdigit() else -1
            if not 0 <= index < len(items):
                raise NotModelled("position out of range")
            return items[index].copy()
        if isinstance(bare, exp.Literal | exp.Null | exp.Boolean):
            raise NotModelled("constant as a key")
        return bind(tree)

    def _group_keys(
        self,
        group: exp.Group | None,
        items: list[exp.Expression],
        bind: Callable[..., exp.Expression],
    ) -> tuple[list[exp.Expression], list[list[int]] | None]:
        if group is None:
            return [], None
        if group.args.get("all"):
            return [e.copy() for e in items if not self._aggregated(e)], None
        return grouping_elements(group, lambda t: self._position_or(t, items, bind))

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
                    found[node.copy()] = self._item(node.copy(), "window")
                return column(found[node].column.name)
            return node

        rewritten = [e.copy().transform(visit, copy=False) for e in expressions]
        if found:
            plan = nodes.Window(plan, tuple(found.values()))
        return plan, rewritten

    # -- expressions ----------------------------------------------------------------------------

    def _expression(
        self,
        tree: exp.Expression,
        scope: Scope,
        definitions: _Definitions,
        aliases: _Aliases | None = None,
        strict: bool = False,
    ) -> exp.Expression:
        """``tree`` with columns resolved, parameters bound and subqueries turned into plans."""

        def visit(node: exp.Expression) -> exp.Expression:
            match node:
                case _Resolved():
                    resolved: exp.Expression = node.this.copy()
                    return resolved
                case exp.Column():
                    return self._column(node, scope, definitions, aliases, strict)
                case exp.Exists():
                    return exp.Exists(this=self._subquery(node.this, scope, definitions))
                case exp.In() if node.args.get("query") is not None:
                    return exp.In(
                        this=self._expression(node.this, scope, definitions, aliases, strict),
                        query=self._subquery(node.args["query"], scope, definitions),
                    )
                case exp.Any() | exp.All() if isinstance(unparenthesized(node.this), exp.Query):
                    return type(node)(this=self._subquery(node.this, scope, definitions))
                case exp.Query():
                    return self._subquery(node, scope, definitions)
                case exp.Placeholder() | exp.Parameter():
                    return self._bound_parameter(node)
                case exp.Star() if isinstance(node.parent, exp.Count):
                    return node
                case (
                    exp.Lambda()
                    | exp.Star()
                    | exp.Columns()
                    | exp.Dot()
                    | exp.Kwarg()
                    | exp.PropertyEQ()
                    | exp.Unnest()
                    | exp.Explode()
                    | exp.SessionParameter()
                ):
                    raise NotModelled(type(node).__name__)
                case _:
                    return node

        bound: exp.Expression = tree.copy().transform(visit, copy=False)
        return bound

    def _column(
        self,
        node: exp.Column,
        scope: Scope,
        definitions: _Definitions,
        aliases: _Aliases | None,
        strict: bool,
    ) -> exp.Expression:
        if isinstance(node.this, exp.Star):
            if isinstance(node.parent, exp.Count):
                raise NotModelled("count(t.*)")
            raise NotModelled("star")
        parts = [part.name for part in node.parts]
        local = scope.find_local(parts)
        alias = aliases.find(parts[0]) if aliases is not None and len(parts) == 1 else None
        if local is not None:
            if alias is not None and strict:
                value = self._expression(alias, scope, definitions)
                if value != local:
                    raise NotModelled(f"{parts[0]} is both a column and an alias")
            return local.copy()
        if alias is not None:
            assert aliases is not None
            inner = aliases.before(aliases.index(parts[0]))
            value = self._expression(alias, scope, definitions, inner, strict)
            if is_volatile(value):
                raise NotModelled("alias of a volatile expression")
            return enclosed(value)
        outer = scope.find_outer(parts)
        if outer is None:
            raise NotModelled(f"{'.'.join(parts)} is not found")
        return outer.copy()

    def _subquery(
        self, tree: exp.Expression, scope: Scope, definitions: _Definitions
    ) -> PlanSubquery:
        bare = unparenthesized(tree)
        if not isinstance(bare, exp.Query):
            raise NotModelled("subquery of another kind")
        bound = self._query(bare, scope, definitions)
        return PlanSubquery(plan=bound.plan)

    def _bound_parameter(self, node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Placeholder | exp.Parameter):
            return node
        name = node.this if isinstance(node.this, str) else getattr(node.this, "name", "")
        if not name or str(name).lower() not in self._parameters:
            raise NotModelled("parameter without a name")
        return self._parameters[str(name).lower()].copy()

    def _aggregated(self, expression: exp.Expression) -> bool:
        return Grouping.has_aggregate(expression)

    def _types(self, expressions: Sequence[exp.Expression]) -> list[Type]:
        """Types of bound expressions (no aggregates mixed with bare columns)."""
        result: list[Type | None] = []
        unknown: list[exp.Expression] = []
        for expression in expressions:
            known = self._known_type(expression)
            result.append(known)
            if known is None:
                unknown.append(expression)
        if unknown:
            columns: dict[str, str] = {}
            for expression in unknown:
                for name in sorted(_surface_columns(expression)):
                    columns[name] = self.names.columns[name].type.text
            sql = [duckdb_sql(expression) for expression in unknown]
            found = iter(self._reference.types(sql, columns))
            result = [next(found) if type_ is None else type_ for type_ in result]
        return [type_ for type_ in result if type_ is not None]

    def _known_type(self, expression: exp.Expression) -> Type | None:
        bare = unparenthesized(expression)
        if isinstance(bare, exp.Column):
            return self.names.columns[bare.name].type
        if isinstance(bare, exp.Predicate | exp.Connector | exp.Not):
            return parse_type("BOOLEAN")
        if isinstance(bare, PlanSubquery):
            return bare.plan.columns[0].type
        if isinstance(bare, exp.Grouping):
            return parse_type("BIGINT")
        return None

    def _items(
        self, expressions: Sequence[exp.Expression], names: Sequence[str | None]
    ) -> list[nodes.Item]:
        types = self._types(expressions)
        result = []
        for expression, name, type_ in zip(expressions, names, types, strict=True):
            bare = unparenthesized(expression)
            if isinstance(bare, exp.Column):
                made = self.names.like(self.names.columns[bare.name], name)
            else:
                made = self.names.column(name or _readable(bare), type_)
            result.append(nodes.Item(made, bare))
        return result

    def _item(self, expression: exp.Expression, base: str) -> nodes.Item:
        del base
        return self._items([expression], [None])[0]


class _Resolved(exp.Expression):
    """A SELECT item that a star stands for: already resolved, must not be looked up again."""

    arg_types = {"this": True}  # noqa: RUF012

    @staticmethod
    def of(expression: exp.Expression) -> exp.Expression:
        return _Resolved(this=expression.copy())


class _Aliases:
    """SELECT aliases by name, for clauses that may use them."""

    def __init__(self, raw: list[exp.Expression], names: list[str | None]) -> None:
        self._raw = raw
        self._names = names

    def before(self, index: int) -> _Aliases:
        """Only the aliases of items before ``index``."""
        return _Aliases(self._raw[:index], self._names[:index])

    def index(self, name: str) -> int:
        wanted = name.lower()
        return next(i for i, n in enumerate(self._names) if n and n.lower() == wanted)

    def find(self, name: str) -> exp.Expression | None:
        """The unbound expression of that alias; a bare column of the same name is no alias."""
        wanted = name.lower()
        found = [
            tree
            for tree, alias in zip(self._raw, self._names, strict=True)
            if alias and alias.lower() == wanted and not isinstance(tree, _Resolved)
        ]
        found = [t for t in found if not (isinstance(t, exp.Column) and t.name.lower() == wanted)]
        if len(found) > 1:
            raise NotModelled(f"alias {name} is given twice")
        return found[0] if found else None


def _only(tree: exp.Expression, *known: str) -> None:
    """Refuse a node that carries an argument the binder does not know."""
    for key, value in tree.args.items():
        if value and key not in known:
            raise NotModelled(f"{type(tree).__name__} with {key}")


def _alias_columns(item: exp.Expression) -> list[str]:
    alias = item.args.get("alias")
    return [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []


def _column_names(names: Sequence[str | None], given: Sequence[str]) -> list[str | None]:
    """Visible names of a derived table: given aliases first, duplicates made distinct."""
    if len(given) > len(names):
        raise NotModelled("more column aliases than columns")
    merged: list[str | None] = [*given, *names[len(given) :]]
    known = iter(distinct_names([n for n in merged if n is not None]))
    return [next(known) if n is not None else None for n in merged]


def _sort_key(ordered: exp.Ordered, value: exp.Expression) -> nodes.SortKey:
    if isinstance(ordered.this, exp.Collate):
        raise NotModelled("COLLATE")
    return nodes.SortKey(
        value.copy(), bool(ordered.args.get("desc")), bool(ordered.args.get("nulls_first"))
    )


def _ordered_terms(order: exp.Order, columns: Sequence[nodes.Column]) -> list[exp.Ordered]:
    if len(order.expressions) == 1 and _is_all(order.expressions[0].this):
        raise NotModelled("ORDER BY ALL over a set operation")
    return list(order.expressions)


def _is_all(tree: exp.Expression) -> bool:
    return isinstance(tree, exp.Var) and tree.name.upper() == "ALL"


def _data_type(type_: Type) -> exp.DataType:
    return exp.DataType.build(type_.text, dialect="duckdb", udt=True)


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


def _surface_columns(expression: exp.Expression) -> set[str]:
    """Columns as the typed text shows them: subqueries are typed NULLs there."""
    names = set()
    for node in expression.walk(prune=lambda n: isinstance(n, PlanSubquery)):
        if isinstance(node, exp.Column):
            names.add(node.name)
    return names


def _readable(expression: exp.Expression) -> str:
    """A column name for a computed expression that reads well in EXPLAIN."""
    for node in expression.walk():
        if isinstance(node, exp.Window):
            continue
        if isinstance(node, exp.Func) and not isinstance(node, exp.Cast | exp.Connector):
            inner = next((c.name for c in node.find_all(exp.Column)), "")
            name = node.sql_name().lower() if not isinstance(node, exp.Anonymous) else node.name
            return f"{name}_{inner}".strip("_").lower()[:48]
    inner = next((c.name for c in expression.find_all(exp.Column)), "")
    return inner or "value"
