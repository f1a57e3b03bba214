"""SQL tree → plan.

The text has already been judged and bound by DuckDB itself, so the query is known to be valid;
this binder only has to find its meaning. Whatever it does not model, or cannot decide with
certainty, raises :class:`~dovetail.language.sql.scope.NotModelled` and the query takes the
fallback road. Output names and types are taken from DuckDB's own binding by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from dovetail.language.sql.bind_expressions import Expressions
from dovetail.language.sql.bind_from import FromClause, TableResolver
from dovetail.language.sql.bind_select import SelectBlock
from dovetail.language.sql.bind_tail import is_all, limited, sort_key
from dovetail.language.sql.bound import Bound, Definition, Definitions, column_names, only
from dovetail.language.sql.scope import Names, NotModelled, Scope
from dovetail.plan import nodes
from dovetail.plan.expressions import column, data_type, unparenthesized
from dovetail.plan.reference import Reference
from dovetail.types import Type


class Binder:
    """Binds one statement. ``resolve`` finds tables by name parts; ``parameters`` by name."""

    def __init__(
        self,
        resolve: TableResolver,
        reference: Reference,
        parameters: Mapping[str, exp.Expression] | None = None,
    ) -> None:
        self._reference = reference
        self.names = Names()
        self._expressions = Expressions(self.names, reference, parameters or {}, self._query)
        self._from = FromClause(resolve, self._expressions, self._query)
        self._select = SelectBlock(self._from, self._expressions)

    def bind(self, tree: exp.Expression) -> Bound:
        """The plan of a whole statement.

        Raises:
            NotModelled: some part is outside what the plan models.
        """
        return self._query(tree, None, {})

    def _query(self, tree: exp.Expression, parent: Scope | None, definitions: Definitions) -> Bound:
        with_ = tree.args.get("with_")
        if with_ is not None:
            return self._with(tree, with_, parent, definitions)
        match tree:
            case exp.Select():
                return self._select.bind(tree, parent, definitions)
            case exp.SetOperation():
                return self._set_operation(tree, parent, definitions)
            case exp.Subquery():
                only(tree, "this", "alias", "order", "limit", "offset")
                bound = self._query(tree.this, parent, definitions)
                return self._tail(bound, tree)
            case exp.Values():
                plan, names = self._from.values(tree, parent, definitions)
                return Bound(plan, names)
            case _:
                raise NotModelled(f"{type(tree).__name__} as a query")

    def _with(
        self, tree: exp.Expression, with_: exp.With, parent: Scope | None, outer: Definitions
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
                visible = column_names(bound.names, names)
            pairs = tuple(zip(visible, definition.columns, strict=True))
            definitions[alias.lower()] = Definition(unique, pairs)
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
        definitions: dict[str, Definition],
    ) -> tuple[nodes.Plan, list[str | None], nodes.Plan, bool]:
        if not isinstance(query, exp.Union) or query.args.get("by_name"):
            raise NotModelled("recursive WITH that is no union")
        only(query, "this", "expression", "distinct", "by_name")
        anchor = self._query(query.this, parent, definitions)
        visible = column_names(anchor.names, names)
        pairs = tuple(zip(visible, anchor.plan.columns, strict=True))
        inner = {**definitions, alias.lower(): Definition(unique, pairs)}
        step = self._query(query.expression, parent, inner)
        if [c.type for c in step.plan.columns] != [c.type for c in anchor.plan.columns]:
            raise NotModelled("recursive WITH whose types differ between its two parts")
        return anchor.plan, visible, step.plan, not query.args.get("distinct")

    def _set_operation(
        self, tree: exp.SetOperation, parent: Scope | None, definitions: Definitions
    ) -> Bound:
        only(tree, "this", "expression", "distinct", "by_name", "order", "limit", "offset")
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
        return Bound(limited(plan, tree, self._expressions), bound.names)

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
        return sort_key(ordered, column(target.name))


def _ordered_terms(order: exp.Order, columns: Sequence[nodes.Column]) -> list[exp.Ordered]:
    if len(order.expressions) == 1 and is_all(order.expressions[0].this):
        raise NotModelled("ORDER BY ALL over a set operation")
    return list(order.expressions)


def _data_type(type_: Type) -> exp.DataType:
    return data_type(type_.text)
