"""Expressions: columns and parameters get what they stand for, subqueries become plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from dovetail.language.sql.bound import BindQuery, Definitions
from dovetail.language.sql.scope import Names, NotModelled, Scope
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    PlanSubquery,
    duckdb_sql,
    enclosed,
    is_volatile,
    unparenthesized,
)
from dovetail.plan.reference import Reference
from dovetail.types import Type, parse_type


class Resolved(exp.Expression):
    """A SELECT item that a star stands for: already resolved, must not be looked up again."""

    arg_types = {"this": True}  # noqa: RUF012

    @staticmethod
    def of(expression: exp.Expression) -> exp.Expression:
        """A copy of ``expression``, marked."""
        return Resolved(this=expression.copy())


class Aliases:
    """SELECT aliases by name, for clauses that may use them."""

    def __init__(self, raw: list[exp.Expression], names: list[str | None]) -> None:
        self._raw = raw
        self._names = names

    def before(self, index: int) -> Aliases:
        """Only the aliases of items before ``index``."""
        return Aliases(self._raw[:index], self._names[:index])

    def index(self, name: str) -> int:
        """The place of the first item of that alias, which there must be."""
        wanted = name.lower()
        return next(i for i, n in enumerate(self._names) if n and n.lower() == wanted)

    def find(self, name: str) -> exp.Expression | None:
        """The unbound expression of that alias; a bare column of the same name is no alias."""
        wanted = name.lower()
        found = [
            tree
            for tree, alias in zip(self._raw, self._names, strict=True)
            if alias and alias.lower() == wanted and not isinstance(tree, Resolved)
        ]
        found = [t for t in found if not (isinstance(t, exp.Column) and t.name.lower() == wanted)]
        if len(found) > 1:
            raise NotModelled(f"alias {name} is given twice")
        return found[0] if found else None


class Expressions:
    """Binds the expressions of one statement; ``query`` binds the subqueries in them.

    ``names`` makes the columns of its plan, ``parameters`` are values by name in lower case.
    """

    def __init__(
        self,
        names: Names,
        reference: Reference,
        parameters: Mapping[str, exp.Expression],
        query: BindQuery,
    ) -> None:
        self.names = names
        self._reference = reference
        self._parameters = parameters
        self._query = query

    def bind(
        self,
        tree: exp.Expression,
        scope: Scope,
        definitions: Definitions,
        aliases: Aliases | None = None,
        strict: bool = False,
    ) -> exp.Expression:
        """``tree`` with columns resolved, parameters bound and subqueries turned into plans."""

        def visit(node: exp.Expression) -> exp.Expression:
            match node:
                case Resolved():
                    resolved: exp.Expression = node.this.copy()
                    return resolved
                case exp.Column():
                    return self._column(node, scope, definitions, aliases, strict)
                case exp.Exists():
                    return exp.Exists(this=self._subquery(node.this, scope, definitions))
                case exp.In() if node.args.get("query") is not None:
                    return exp.In(
                        this=self.bind(node.this, scope, definitions, aliases, strict),
                        query=self._subquery(node.args["query"], scope, definitions),
                    )
                case exp.Any() | exp.All() if isinstance(unparenthesized(node.this), exp.Query):
                    return type(node)(this=self._subquery(node.this, scope, definitions))
                case exp.Query():
                    return self._subquery(node, scope, definitions)
                case exp.Placeholder() | exp.Parameter():
                    return self.parameter(node)
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
        definitions: Definitions,
        aliases: Aliases | None,
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
                value = self.bind(alias, scope, definitions)
                if value != local:
                    raise NotModelled(f"{parts[0]} is both a column and an alias")
            return local.copy()
        if alias is not None:
            assert aliases is not None
            inner = aliases.before(aliases.index(parts[0]))
            value = self.bind(alias, scope, definitions, inner, strict)
            if is_volatile(value):
                raise NotModelled("alias of a volatile expression")
            return enclosed(value)
        outer = scope.find_outer(parts)
        if outer is None:
            raise NotModelled(f"{'.'.join(parts)} is not found")
        return outer.copy()

    def _subquery(
        self, tree: exp.Expression, scope: Scope, definitions: Definitions
    ) -> PlanSubquery:
        bare = unparenthesized(tree)
        if not isinstance(bare, exp.Query):
            raise NotModelled("subquery of another kind")
        bound = self._query(bare, scope, definitions)
        return PlanSubquery(plan=bound.plan)

    def parameter(self, node: exp.Expression) -> exp.Expression:
        """The value of a parameter; any other node as it is."""
        if not isinstance(node, exp.Placeholder | exp.Parameter):
            return node
        name = node.this if isinstance(node.this, str) else getattr(node.this, "name", "")
        if not name or str(name).lower() not in self._parameters:
            raise NotModelled("parameter without a name")
        return self._parameters[str(name).lower()].copy()

    def types(self, expressions: Sequence[exp.Expression]) -> list[Type]:
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

    def items(
        self, expressions: Sequence[exp.Expression], names: Sequence[str | None]
    ) -> list[nodes.Item]:
        """Items for bound expressions, each called ``name`` or, without one, after itself."""
        types = self.types(expressions)
        result = []
        for expression, name, type_ in zip(expressions, names, types, strict=True):
            bare = unparenthesized(expression)
            if isinstance(bare, exp.Column):
                made = self.names.like(self.names.columns[bare.name], name)
            else:
                made = self.names.column(name or _readable(bare), type_)
            result.append(nodes.Item(made, bare))
        return result

    def item(self, expression: exp.Expression) -> nodes.Item:
        """An item for one bound expression, named after it."""
        return self.items([expression], [None])[0]


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
