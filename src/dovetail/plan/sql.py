"""Plan → SQL: one generator for the engine and for every source.

The generator builds sqlglot trees. Nodes are folded into one SELECT block while SQL's clause order
allows it, because derived tables cost something on some sources; otherwise the block becomes a
derived table. What differs between targets comes in from outside: a ``leaf`` function says how a
Scan, Fragment or other leaf is read, a :class:`Target` turns expressions with DuckDB's meaning into
such with the same meaning in the target's dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlglot import exp

from dovetail.errors import InternalError
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    column,
    conjuncts,
    enclosed,
    free_columns,
    has_subquery,
    is_volatile,
    unparenthesized,
)
from dovetail.plan.shapes import across

Columns = Mapping[str, nodes.Column]
Translate = Callable[[exp.Expression, Columns], exp.Expression]
# A leaf becomes a FROM item (without alias) and, per output column, the name it has there.
Leaf = Callable[[nodes.Plan], tuple[exp.Expression, Mapping[str, str]]]

_FROM, _WHERE, _GROUP, _WINDOW, _DISTINCT, _ORDER, _LIMIT = range(7)


class OuterColumnError(Exception):
    """A derived table would look at a column of the query around, and must not."""


def same(expression: exp.Expression, columns: Columns) -> exp.Expression:
    """The translation for DuckDB: none."""
    return expression


@dataclass(frozen=True)
class Target:
    """How expressions are written: values anywhere, the parts of WHERE, ON and HAVING (where only
    what is true counts), and what GROUP BY and ORDER BY name. By default as DuckDB has them.
    """

    value: Translate = same
    predicate: Translate = same
    group_key: Translate = same
    sort_key: Translate = same


@dataclass
class _Block:
    """A SELECT under construction; ``columns`` maps plan columns to expressions at its level."""

    source: exp.Expression | None
    columns: dict[str, exp.Expression]
    joins: list[exp.Join] = field(default_factory=list)
    where: list[exp.Expression] = field(default_factory=list)
    group: list[exp.Expression] | None = None
    grouping_sets: list[list[exp.Expression]] | None = None
    having: list[exp.Expression] = field(default_factory=list)
    distinct: exp.Distinct | None = None
    order: list[exp.Ordered] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    stage: int = _FROM

    def plain(self) -> bool:
        """Whether every column is a bare column of the FROM clause."""
        return all(isinstance(e, exp.Column) for e in self.columns.values())


class SqlBuilder:
    """Builds the SQL of one statement.

    Where derived tables must be ``closed``, one that looks at a query around it is an
    :class:`OuterColumnError`.
    """

    def __init__(self, leaf: Leaf, target: Target = Target(), *, closed: bool = False) -> None:
        self._leaf = leaf
        self._target = target
        self._closed = closed
        self._aliases = 0
        self._ctes: dict[str, tuple[str, ...]] = {}
        self._scopes: list[dict[str, exp.Expression]] = []
        self._outer_columns: list[dict[str, nodes.Column]] = []

    def query(self, plan: nodes.Plan, names: Sequence[str] | None = None) -> exp.Query:
        """The statement for ``plan``; its output columns are called ``names`` (default: theirs)."""
        if isinstance(plan, nodes.With):
            return self._with(plan, names)
        block = self._block(plan)
        return self._select(block, plan.columns, names)

    # -- blocks ---------------------------------------------------------------------------------

    def _block(self, plan: nodes.Plan) -> _Block:
        match plan:
            case nodes.Filter():
                return self._filter(plan)
            case nodes.Project():
                return self._project(plan)
            case nodes.Join():
                return self._join(plan)
            case nodes.Aggregate():
                return self._aggregate(plan)
            case nodes.Window():
                return self._window(plan)
            case nodes.Unnest():
                return self._unnest(plan)
            case nodes.Sort():
                return self._sort(plan)
            case nodes.Limit():
                return self._limit(plan)
            case nodes.Distinct():
                return self._distinct(plan)
            case nodes.SetOperation():
                return self._derived(self._set_operation(plan), plan.columns)
            case nodes.With():
                return self._derived(self._with(plan, None), plan.columns)
            case nodes.WithScan():
                return self._with_scan(plan)
            case nodes.Values():
                return self._values(plan)
            case _:
                item, names = self._leaf(plan)
                alias = self._alias()
                return _Block(
                    _aliased(item, alias),
                    {c.name: _qualified(alias, names[c.name]) for c in plan.columns},
                )

    def _filter(self, plan: nodes.Filter) -> _Block:
        block = self._block(plan.input)
        parts = conjuncts(plan.predicate)
        names = {name for part in parts for name in free_columns(part)} & block.columns.keys()
        # HAVING finds a computed key again in PostgreSQL, in MariaDB it does not.
        computed = block.stage == _GROUP and any(
            not isinstance(block.columns[n], exp.Column) and not block.columns[n].find(exp.AggFunc)
            for n in names
        )
        if block.stage > _GROUP or computed or not self._foldable(block, parts):
            block = self._derive(block, plan.input.columns)
        rendered = [self._predicate(part, block, plan.input.columns) for part in parts]
        if block.stage == _GROUP:
            block.having.extend(rendered)
        else:
            block.where.extend(rendered)
            block.stage = _WHERE
        return block

    def _project(self, plan: nodes.Project) -> _Block:
        block = self._block(plan.input)
        expressions = [item.expression for item in plan.items]
        renames = all(item.is_rename for item in plan.items)
        if (
            block.distinct is not None
            and not (renames and {i.expression.name for i in plan.items} == set(block.columns))
        ) or (not renames and not self._foldable(block, expressions)):
            block = self._derive(block, plan.input.columns)
        block.columns = {
            item.column.name: self._expression(item.expression, block, plan.input.columns)
            for item in plan.items
        }
        return block

    def _join(self, plan: nodes.Join) -> _Block:
        left, right = self._block(plan.left), self._block(plan.right)
        if plan.kind in ("semi", "anti"):
            return self._semi_join(plan, left)
        if left.stage > _WHERE or left.source is None:
            left = self._derive(left, plan.left.columns)
        if right.stage > _WHERE or right.joins or right.source is None:
            right = self._derive(right, plan.right.columns)
        # A computed column on a side that may be NULL-extended must be computed before the join.
        if plan.kind in ("right", "full") and (not left.plain() or left.where or left.joins):
            left = self._derive(left, plan.left.columns)
        if plan.kind in ("left", "full") and not right.plain():
            right = self._derive(right, plan.right.columns)
        if plan.kind in ("right", "full") and right.where:
            right = self._derive(right, plan.right.columns)
        block = _Block(
            left.source,
            {**left.columns, **right.columns},
            joins=left.joins,
            where=left.where,
            stage=left.stage,
        )
        condition = [
            self._predicate(part, block, (*plan.left.columns, *plan.right.columns))
            for part in conjuncts(plan.condition)
        ]
        if plan.kind in ("left", "right", "full"):
            # Filtering the NULL-supplying side before a LEFT JOIN is the same as in its ON.
            condition.extend(right.where)
            side = plan.kind.upper()
            block.joins.append(exp.Join(this=right.source, side=side, on=_and(condition, True)))
        else:
            if right.where:
                block.where.extend(right.where)
                block.stage = _WHERE
            if condition:
                block.joins.append(exp.Join(this=right.source, kind="INNER", on=_and(condition)))
            else:
                block.joins.append(exp.Join(this=right.source, kind="CROSS"))
        return block

    def _semi_join(self, plan: nodes.Join, left: _Block) -> _Block:
        """Semi and anti joins become [NOT] EXISTS, which every target has.

        A semi join on one pair of numbers becomes IN: MySQL runs a grouped EXISTS once per row.
        """
        if left.stage > _WHERE or not left.plain() or left.source is None:
            left = self._derive(left, plan.left.columns)
        pair = _numbers_matched(plan) if plan.kind == "semi" else None
        if pair is not None:
            mine, key = pair
            only = nodes.Project(plan.right, (nodes.Item(plan.right.column(key), column(key)),))
            among = exp.In(this=column(mine), query=PlanSubquery(plan=only))
            left.where.append(self._expression(among, left, plan.left.columns))
            left.stage = _WHERE
            return left
        inner: nodes.Plan = plan.right
        if plan.condition is not None:
            inner = nodes.Filter(plan.right, plan.condition)
        exists: exp.Expression = exp.Exists(this=PlanSubquery(plan=inner))
        if plan.kind == "anti":
            exists = exp.Not(this=exists)
        left.where.append(self._expression(exists, left, plan.left.columns))
        left.stage = _WHERE
        return left

    def _aggregate(self, plan: nodes.Aggregate) -> _Block:
        block = self._block(plan.input)
        expressions = [item.expression for item in (*plan.keys, *plan.aggregates)]
        if block.stage > _WHERE or not self._foldable(block, expressions):
            block = self._derive(block, plan.input.columns)
        below = plan.input.columns
        group_key = self._target.group_key
        keys = [self._expression(i.expression, block, below, group_key) for i in plan.keys]
        if any(_is_literal(k) for k in keys):  # would be read as positions
            block = self._derive(block, plan.input.columns)
            block = self._materialize_keys(block, plan)
            keys = [block.columns[i.column.name] for i in plan.keys]
        aggregates = [
            self._expression(i.expression, block, plan.input.columns) for i in plan.aggregates
        ]
        outputs = (*plan.keys, *plan.aggregates)
        block.columns = {
            item.column.name: value
            for item, value in zip(outputs, (*keys, *aggregates), strict=True)
        }
        block.stage = _GROUP
        if plan.grouping_sets is not None:
            block.group = []
            block.grouping_sets = [[keys[i] for i in indexes] for indexes in plan.grouping_sets]
        else:
            block.group = keys
        return block

    def _materialize_keys(self, block: _Block, plan: nodes.Aggregate) -> _Block:
        columns = dict(block.columns)
        for item in plan.keys:
            columns[item.column.name] = self._expression(item.expression, block, plan.input.columns)
        block.columns = columns
        return self._derive(block, (*plan.input.columns, *(item.column for item in plan.keys)))

    def _window(self, plan: nodes.Window) -> _Block:
        block = self._block(plan.input)
        expressions = [item.expression for item in plan.items]
        # A window is not taken inside another's definition, not even within a subquery.
        nested = any(
            block.columns[name].find(exp.Window)
            for expression in expressions
            for name in free_columns(expression) & block.columns.keys()
        )
        if block.stage > _GROUP or nested or not self._foldable(block, expressions):
            block = self._derive(block, plan.input.columns)
        new = {
            item.column.name: self._expression(item.expression, block, plan.input.columns)
            for item in plan.items
        }
        block.columns = {**block.columns, **new}
        block.stage = _WINDOW
        return block

    def _unnest(self, plan: nodes.Unnest) -> _Block:
        block = self._block(plan.input)
        if block.stage > _WHERE or not self._foldable(block, [plan.item.expression]):
            block = self._derive(block, plan.input.columns)
        value = self._expression(plan.item.expression, block, plan.input.columns)
        block.columns[plan.item.column.name] = exp.Anonymous(this="unnest", expressions=[value])
        # It makes rows, so nothing may be folded into its place.
        return self._derive(block, plan.columns)

    def _sort(self, plan: nodes.Sort) -> _Block:
        block = self._block(plan.input)
        expressions = [key.expression for key in plan.keys]
        if block.stage >= _DISTINCT or not self._foldable(block, expressions):
            block = self._derive(block, plan.input.columns)
        block.order = self._ordered(plan.keys, block, plan.input.columns)
        block.stage = _ORDER
        return block

    def _ordered(
        self, keys: Iterable[nodes.SortKey], block: _Block, columns: Sequence[nodes.Column]
    ) -> list[exp.Ordered]:
        result = []
        for key in keys:
            value = self._expression(key.expression, block, columns, self._target.sort_key)
            if _is_literal(value):  # orders nothing, and would be read as a position
                continue
            result.append(exp.Ordered(this=value, desc=key.descending, nulls_first=key.nulls_first))
        return result

    def _limit(self, plan: nodes.Limit) -> _Block:
        block = self._block(plan.input)
        if block.stage == _LIMIT:
            block = self._derive(block, plan.input.columns)
        block.limit, block.offset = plan.count, plan.offset
        block.stage = _LIMIT
        return block

    def _distinct(self, plan: nodes.Distinct) -> _Block:
        block = self._block(plan.input)
        if block.stage >= _DISTINCT:
            block = self._derive(block, plan.input.columns)
        if plan.on:
            on = [self._expression(e, block, plan.input.columns) for e in plan.on]
            block.distinct = exp.Distinct(on=exp.Tuple(expressions=on))
            block.order = self._ordered(plan.order, block, plan.input.columns)
            block.stage = _ORDER
            # Sorting for DISTINCT ON is not the order of its result: close the block.
            return self._derive(block, plan.columns)
        block.distinct = exp.Distinct()
        block.stage = _DISTINCT
        return block

    def _set_operation(self, plan: nodes.SetOperation) -> exp.Query:
        kind = {"union": exp.Union, "intersect": exp.Intersect, "except": exp.Except}[plan.kind]
        names = [column.name for column in plan.outputs]
        return kind(
            this=_operand(self.query(plan.left, names)),
            expression=_operand(self.query(plan.right, names)),
            distinct=not plan.all,
        )

    def _with(self, plan: nodes.With, names: Sequence[str] | None) -> exp.Query:
        # A reference may deliver fewer or other columns than the definition has by now, so the
        # definition's own names are the contract.
        inner_names = [column.name for column in plan.definition.columns]
        self._ctes[plan.name] = tuple(inner_names)
        definition = self.query(plan.definition, inner_names)
        if plan.step is not None:
            step = self.query(plan.step, inner_names)
            definition = exp.Union(
                this=_operand(definition), expression=_operand(step), distinct=not plan.union_all
            )
        body = self.query(plan.body, names)
        alias = exp.TableAlias(
            this=_identifier(plan.name), columns=[_identifier(n) for n in inner_names]
        )
        cte = exp.CTE(this=definition, alias=alias)
        if plan.materialized is not None:
            cte.set("materialized", plan.materialized)
        if plan.keys:
            cte.set("key_expressions", [_identifier(name) for name in plan.keys])
        existing = body.args.get("with_")
        expressions = [cte, *(existing.expressions if existing else [])]
        recursive = plan.step is not None or bool(existing and existing.args.get("recursive"))
        body.set("with_", exp.With(expressions=expressions, recursive=recursive))
        return body

    def _with_scan(self, plan: nodes.WithScan) -> _Block:
        names = self._ctes.get(plan.name)
        if names is None:
            raise InternalError(f"no definition of {plan.name} in scope")
        alias = self._alias()
        table = exp.Table(this=_identifier(plan.name))
        if plan.recurring:
            table.set("db", exp.Identifier(this="recurring"))
        columns: dict[str, exp.Expression] = {
            column.name: _qualified(alias, name)
            for column, name in zip(plan.outputs, names, strict=True)
        }
        return _Block(_aliased(table, alias), columns)

    def _values(self, plan: nodes.Values) -> _Block:
        if not plan.outputs:
            return _Block(None, {})
        if not plan.rows:
            raise InternalError("VALUES without rows")
        alias = self._alias()
        rows = [
            exp.Tuple(expressions=[self._target.value(e, {}) for e in row]) for row in plan.rows
        ]
        table_alias = exp.TableAlias(
            this=_identifier(alias), columns=[_identifier(c.name) for c in plan.outputs]
        )
        values = exp.Values(expressions=rows, alias=table_alias)
        return _Block(values, {c.name: _qualified(alias, c.name) for c in plan.outputs})

    # -- pieces ---------------------------------------------------------------------------------

    def _foldable(self, block: _Block, expressions: Sequence[exp.Expression]) -> bool:
        """Whether block columns may be replaced by their expressions inside ``expressions``.

        Not when that would evaluate something twice that must be, or costs, once; and not into
        subqueries unless the replaced expression is a plain column.
        """
        computed = {n for n, e in block.columns.items() if not _is_simple(e)}
        if not computed:
            return True
        if any(is_volatile(block.columns[name]) for name in computed):
            return False
        uses: dict[str, int] = {}
        for expression in expressions:
            if has_subquery(expression) and free_columns(expression) & computed:
                return False
            for node in expression.walk():
                if isinstance(node, exp.Column) and node.name in computed:
                    uses[node.name] = uses.get(node.name, 0) + 1
        return all(count == 1 for count in uses.values())

    def _predicate(
        self, part: exp.Expression, block: _Block, columns: Sequence[nodes.Column]
    ) -> exp.Expression:
        return self._expression(part, block, columns, self._target.predicate)

    def _expression(
        self,
        expression: exp.Expression,
        block: _Block,
        columns: Sequence[nodes.Column],
        translate: Translate | None = None,
    ) -> exp.Expression:
        known = {column.name: column for column in columns}
        for scope in self._outer_columns:
            for name, outer_column in scope.items():
                known.setdefault(name, outer_column)
        translated = (translate or self._target.value)(expression, known)
        return self._resolve(translated, block.columns, known)

    def _resolve(
        self,
        expression: exp.Expression,
        columns: Mapping[str, exp.Expression],
        known: Mapping[str, nodes.Column],
    ) -> exp.Expression:
        became_literal = False

        def visit(node: exp.Expression) -> exp.Expression:
            nonlocal became_literal
            if isinstance(node, PlanSubquery):
                return self._subquery(node, columns, known)
            if isinstance(node, exp.Column) and not node.args.get("table"):
                for scope in (columns, *reversed(self._scopes)):
                    if node.name in scope:
                        value = scope[node.name].copy()
                        became_literal = became_literal or _is_literal(value)
                        return value if node.parent is None else enclosed(value)
                raise InternalError(f"column {node.name} is not visible here")
            return node

        copied = expression.copy()
        result: exp.Expression = copied.transform(visit, copy=False)
        return _without_constant_order(result) if became_literal else result

    def _subquery(
        self,
        node: PlanSubquery,
        columns: Mapping[str, exp.Expression],
        known: Mapping[str, nodes.Column],
    ) -> exp.Expression:
        self._scopes.append(dict(columns))
        self._outer_columns.append(dict(known))
        try:
            plan = node.plan
            in_exists = isinstance(node.parent, exp.Exists)
            query = self._exists(plan) if in_exists else self.query(plan)
        finally:
            self._scopes.pop()
            self._outer_columns.pop()
        made: exp.Expression = exp.Subquery(this=query)
        return cast(exp.Expression, query) if in_exists else made

    def _exists(self, plan: nodes.Plan) -> exp.Query:
        if isinstance(plan, nodes.With):
            return self.query(plan)
        block = self._block(plan)
        if block.group is None and block.grouping_sets is None and block.distinct is None:
            block.columns = {}
            return self._select(block, (), None)
        return self._select(block, plan.columns, None)

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def _derive(self, block: _Block, columns: Sequence[nodes.Column]) -> _Block:
        return self._derived(self._select(block, columns, None), columns)

    def _derived(self, query: exp.Query, columns: Sequence[nodes.Column]) -> _Block:
        if self._closed and self._scopes and _looks_outside(query):
            raise OuterColumnError
        alias = self._alias()
        source = exp.Subquery(this=query, alias=exp.TableAlias(this=_identifier(alias)))
        return _Block(source, {c.name: _qualified(alias, c.name) for c in columns})

    def _select(
        self, block: _Block, columns: Sequence[nodes.Column], names: Sequence[str] | None
    ) -> exp.Select:
        wanted = names if names is not None else [column.name for column in columns]
        items = [
            _named(block.columns[column.name], name)
            for column, name in zip(columns, wanted, strict=True)
        ]
        select = exp.Select(expressions=items or [exp.Literal.number(1)])
        if block.source is not None:
            select.set("from_", exp.From(this=block.source))
        if block.joins:
            select.set("joins", block.joins)
        if block.where:
            select.set("where", exp.Where(this=_and(block.where)))
        if block.grouping_sets is not None:
            sets = [
                exp.Tuple(expressions=[e.copy() for e in members])
                for members in block.grouping_sets
            ]
            group = exp.Group(grouping_sets=[exp.GroupingSets(expressions=sets)])
            select.set("group", group)
        elif block.group:
            select.set("group", exp.Group(expressions=[e.copy() for e in block.group]))
        if block.having:
            select.set("having", exp.Having(this=_and(block.having)))
        if block.distinct is not None:
            select.set("distinct", block.distinct)
        if block.order:
            select.set("order", exp.Order(expressions=block.order))
        if block.limit is not None:
            select.set("limit", exp.Limit(expression=exp.Literal.number(block.limit)))
        if block.offset:
            select.set("offset", exp.Offset(expression=exp.Literal.number(block.offset)))
        return select


def _identifier(name: str) -> exp.Identifier:
    return exp.Identifier(this=name, quoted=True)


def _qualified(alias: str, name: str) -> exp.Column:
    return exp.Column(this=_identifier(name), table=_identifier(alias))


def _aliased(item: exp.Expression, alias: str) -> exp.Expression:
    copied = item.copy()
    copied.set("alias", exp.TableAlias(this=_identifier(alias)))
    return copied


def _named(expression: exp.Expression, name: str) -> exp.Expression:
    if isinstance(expression, exp.Column) and expression.name == name:
        return expression.copy()
    return exp.Alias(this=expression.copy(), alias=_identifier(name))


def _operand(query: exp.Query) -> exp.Query:
    """A set operation's operand; one with its own clauses at the end needs parentheses."""
    ends = ("order", "limit", "offset", "with_")
    if isinstance(query, exp.SetOperation) or any(query.args.get(end) for end in ends):
        return exp.Subquery(this=query)
    return query


def _and(parts: Sequence[exp.Expression], default: bool = False) -> exp.Expression:
    if not parts and default:
        return exp.true()
    # What stands there twice stands where it came last: a test that a date is one, after all that
    # compare it.
    each = [part for among in parts for part in _between_ands(among)]
    result: exp.Expression | None = None
    for part in reversed(dict.fromkeys(reversed(each))):
        piece = exp.Paren(this=part) if isinstance(unparenthesized(part), exp.Or) else part
        result = piece if result is None else exp.And(this=result, expression=piece)
    if result is None:
        raise InternalError("empty conjunction")
    return result


def _between_ands(part: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(part, exp.And):
        yield from _between_ands(part.this)
        yield from _between_ands(part.expression)
    else:
        yield part


def _numbers_matched(plan: nodes.Join) -> tuple[str, str] | None:
    """The left and right column of a condition that is one equality of whole numbers."""
    pair = plan.condition and across(plan.condition, plan.left, plan.right)
    if not pair:
        return None
    numbers = {plan.left.column(pair[0]).type.family, plan.right.column(pair[1]).type.family}
    return pair if numbers == {"integer"} else None


def _is_literal(expression: exp.Expression) -> bool:
    bare = unparenthesized(expression)
    if isinstance(bare, exp.Neg):
        bare = unparenthesized(bare.this)
    return isinstance(bare, exp.Literal | exp.Boolean | exp.Null)


def _looks_outside(query: exp.Query) -> bool:
    inside = {table.alias for table in query.find_all(exp.Table, exp.Subquery)}
    return any(c.table and c.table not in inside for c in query.find_all(exp.Column))


def _without_constant_order(expression: exp.Expression) -> exp.Expression:
    """Literals left out of the orders inside aggregates: they order nothing and are refused."""
    for order in list(expression.find_all(exp.Order)):
        keys = [key for key in order.expressions if not _is_literal(key.this)]
        if order.this is None or len(keys) == len(order.expressions):
            continue
        if keys:
            order.set("expressions", keys)
        else:
            order.replace(order.this)
    return expression


def _is_simple(expression: exp.Expression) -> bool:
    bare = unparenthesized(expression)
    return isinstance(bare, exp.Column | exp.Literal)
