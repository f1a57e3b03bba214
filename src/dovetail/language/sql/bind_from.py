"""FROM: tables, subqueries, VALUES and joins become plans, and their columns a scope."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from dovetail.catalog.model import TableInfo
from dovetail.language.sql.bind_expressions import Expressions
from dovetail.language.sql.bound import BindQuery, Definitions, alias_columns, column_names, only
from dovetail.language.sql.scope import NotModelled, Relation, Scope, Visible, relation_of
from dovetail.plan import nodes
from dovetail.plan.expressions import conjunction, free_columns, plan_free_columns, subqueries
from dovetail.plan.lateral import lateral_join

TableResolver = Callable[[tuple[str, ...]], TableInfo]


class FromClause:
    """Binds what stands in FROM. ``resolve`` finds tables by name parts, ``query`` binds the
    subqueries.
    """

    def __init__(self, resolve: TableResolver, expressions: Expressions, query: BindQuery) -> None:
        self._resolve = resolve
        self._expressions = expressions
        self._names = expressions.names
        self._query = query

    def bind(
        self, select: exp.Select, parent: Scope | None, definitions: Definitions
    ) -> tuple[nodes.Plan, Scope]:
        """The plan of a SELECT's FROM, one row without columns if there is none, and its scope."""
        scope = Scope(parent=parent)
        from_ = select.args.get("from_")
        if from_ is None:
            return nodes.Values((), ((),)), scope
        plan = self._item(from_.this, scope, definitions)
        for join in select.args.get("joins") or ():
            plan = self._join(plan, join, scope, definitions)
        return plan, scope

    def values(
        self, tree: exp.Values, parent: Scope | None, definitions: Definitions
    ) -> tuple[nodes.Plan, tuple[str, ...]]:
        """The rows of VALUES, and the names ``col0``, ``col1``, … of their columns."""
        scope = Scope(parent=parent)
        rows = [
            [self._expressions.bind(e, scope, definitions) for e in row.expressions]
            for row in tree.expressions
        ]
        if any(free_columns(e) or list(subqueries(e)) for row in rows for e in row):
            raise NotModelled("VALUES with columns")
        types = [self._expressions.types(row) for row in rows]
        if any(row != types[0] for row in types[1:]):
            raise NotModelled("VALUES of mixed types")
        if any(type_.family == "null" for type_ in types[0]):
            raise NotModelled("VALUES of untyped NULL")
        names = tuple(f"col{i}" for i in range(len(types[0])))
        outputs = tuple(
            self._names.column(name, type_) for name, type_ in zip(names, types[0], strict=True)
        )
        return nodes.Values(outputs, tuple(tuple(row) for row in rows)), names

    def _item(self, item: exp.Expression, scope: Scope, definitions: Definitions) -> nodes.Plan:
        """Bind a FROM item, add its relation(s) to ``scope`` and return its plan."""
        match item:
            case exp.Table():
                only(item, "this", "db", "catalog", "alias", "joins")
                if not isinstance(item.this, exp.Identifier):
                    raise NotModelled("table function")
                plan, relation = self._table(item, definitions)
            case exp.Subquery():
                only(item, "this", "alias", "joins", "order", "limit", "offset", "with_")
                if isinstance(item.this, exp.Table):  # (a JOIN b …)
                    if item.args.get("alias"):
                        raise NotModelled("alias over a parenthesised join")
                    plan = self._item(item.this, scope, definitions)
                    for join in item.args.get("joins") or ():
                        plan = self._join(plan, join, scope, definitions)
                    return plan
                plan, relation = self._derived(item, scope.parent, definitions)
            case exp.Values():
                plan, value_names = self.values(item, scope.parent, definitions)
                names = column_names(value_names, alias_columns(item))
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
        self, item: exp.Subquery | exp.Lateral, parent: Scope | None, definitions: Definitions
    ) -> tuple[nodes.Plan, Relation]:
        """A subquery in FROM, which sees the names of ``parent``."""
        query = item.this if isinstance(item, exp.Lateral) else item.copy()
        query.set("joins", None)
        bound = self._query(query, parent, definitions)
        names = column_names(bound.names, alias_columns(item))
        pairs = list(zip(names, bound.plan.columns, strict=True))
        return bound.plan, relation_of(item.alias or "", pairs)

    def _table(self, table: exp.Table, definitions: Definitions) -> tuple[nodes.Plan, Relation]:
        parts = tuple(part.name for part in table.parts)
        given = alias_columns(table)
        definition = definitions.get(parts[0].lower()) if len(parts) == 1 else None
        if definition is not None:
            columns = tuple(self._names.like(c) for _, c in definition.columns)
            names = column_names(tuple(n for n, _ in definition.columns), given)
            relation = relation_of(table.alias or parts[0], list(zip(names, columns, strict=True)))
            return nodes.WithScan(definition.name, columns), relation
        info = self._resolve(parts)
        read = []
        pairs: list[tuple[str | None, nodes.Column]] = []
        for source_column in info.columns:
            if source_column.unreadable is not None:
                raise NotModelled("a column that cannot be read")
            made = self._names.column(
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
        visible = column_names(tuple(n for n, _ in pairs), given)
        relation = relation_of(
            table.alias or parts[-1],
            [(name, c) for name, (_, c) in zip(visible, pairs, strict=True)],
        )
        if not table.alias:
            lowered = tuple(part.lower() for part in parts)
            qualifiers = tuple(lowered[i:] for i in range(len(lowered)))
            relation = Relation(relation.alias, relation.columns, qualifiers)
        return scan, relation

    def _join(
        self, left: nodes.Plan, join: exp.Join, scope: Scope, definitions: Definitions
    ) -> nodes.Plan:
        only(join, "this", "side", "kind", "on", "using", "method")
        method = (join.args.get("method") or "").upper()
        side, kind_word = join.side.upper(), join.kind.upper()
        if method not in ("", "NATURAL"):
            raise NotModelled(f"{method} join")
        right_scope = Scope(parent=scope.parent)
        if isinstance(join.this, exp.Lateral):
            only(join.this, "this", "view", "outer", "alias")
            if not isinstance(join.this.this, exp.Subquery) or join.this.args.get("outer"):
                raise NotModelled("LATERAL over something else than a subquery")
            right, relation = self._derived(join.this, scope, definitions)
            right_scope.add(relation)
        else:
            right = self._item(join.this, right_scope, definitions)
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
            condition = self._expressions.bind(on, both, definitions)
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
