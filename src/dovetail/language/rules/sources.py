"""Goals that read sources: positional atoms and ``json_record``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from dovetail.catalog.catalogs import near_names
from dovetail.catalog.model import ColumnInfo, TableInfo
from dovetail.errors import DovetailError
from dovetail.language.rules.diagnostics import Diagnostic, RulesError, Span, did_you_mean, fail
from dovetail.language.rules.directives import Directives, SourceDeclaration
from dovetail.language.rules.state import Table
from dovetail.language.rules.terms import (
    Compound,
    Dotted,
    ListTerm,
    Number,
    Term,
    Text,
    Var,
    shown,
)
from dovetail.language.rules.values import Typing, Value, of_column, sql
from dovetail.language.sql.scope import Names
from dovetail.plan import nodes
from dovetail.plan.expressions import column

_LISTED = 20


class Resolver(Protocol):
    """Finds tables. What it raises is a :class:`~dovetail.errors.DovetailError`."""

    def path(self, path: str, declaration: SourceDeclaration) -> TableInfo:
        """The table of a file, glob or URL."""
        ...

    def stdin(self, declaration: SourceDeclaration) -> TableInfo | None:
        """Standard input, or None when there is none."""
        ...

    def table(self, parts: tuple[str, ...]) -> TableInfo:
        """A table of a configured source."""
        ...

    def query(self, text: str, names: Names) -> tuple[nodes.Plan, list[str]]:
        """The plan of a SELECT and the names of its columns."""
        ...

    def kinds(self, table: TableInfo, name: str) -> list[tuple[str, int]]:
        """The kinds of JSON values of a field, each with the first line that has it."""
        ...

    def declared(self, table: TableInfo, declaration: SourceDeclaration) -> bool:
        """Whether the columns are those of the schema, without a look at the file."""
        ...

    def empty(self, table: TableInfo) -> bool:
        """Whether the table is a file without rows and without known columns."""
        ...


@dataclass
class Used:
    """A declared source that the program reads: which fields it names."""

    declaration: SourceDeclaration
    table: TableInfo
    fields: set[str] = field(default_factory=set)


@dataclass
class Sources:
    """Scans of the sources of one program. ``used`` tells which were read, by name."""

    directives: Directives
    resolver: Resolver
    names: Names
    typing: Typing
    warnings: list[Diagnostic]
    used: dict[str, Used] = field(default_factory=dict)
    _tables: dict[str, TableInfo] = field(default_factory=dict)
    _queries: dict[str, tuple[nodes.Plan, list[str]]] = field(default_factory=dict)

    # -- goals ----------------------------------------------------------------------------------

    def declared(self, name: str) -> SourceDeclaration | None:
        """The declaration of a source."""
        return self.directives.sources.get(name)

    def positional(self, goal: Compound | Text, declaration: SourceDeclaration) -> Table:
        """``users(Id, Name)``: one value per column, in source order."""
        plan, columns, used = self._scan(declaration, goal.span)
        self._check_arity(goal, declaration.name, [name for name, _ in columns])
        args = goal.args if isinstance(goal, Compound) else ()
        if used is not None:
            used.fields |= {name for name, _ in columns}
        values = []
        for (name, value), pattern in zip(columns, args, strict=True):
            if not (isinstance(pattern, Var) and pattern.is_wildcard):
                self._check_readable(declaration.name, name, value, used, pattern.span)
            values.append(value)
        return Table(plan, tuple(values))

    def configured(self, goal: Compound) -> Table:
        """``crm.public.users(Id, Name)`` without a declaration."""
        declaration = SourceDeclaration(
            goal.name, Dotted(goal.path, goal.name_span), goal.name_span
        )
        return self.positional(goal, declaration)

    def records(self, goal: Compound) -> tuple[Table, tuple[Term, ...]]:
        """``json_record([Field-Pattern, …])``: the values and what they are matched with."""
        declaration = self._record_source(goal)
        listed = goal.args[-1]
        if not isinstance(listed, ListTerm) or listed.tail is not None:
            raise fail(
                "R010",
                "json_record takes a list of Field-Pattern",
                listed.span,
                "json_record([city-City, user.address.zip-Zip])",
            )
        plan, columns, used = self._scan(declaration, goal.name_span)
        known = dict(columns)
        values: list[Value] = []
        patterns: list[Term] = []
        extra: list[nodes.Item] = []
        for item in listed.items:
            if not isinstance(item, Compound) or not item.called("-", 2):
                raise fail(
                    "R010",
                    f"{shown(item)} is not a Field-Pattern",
                    item.span,
                    "json_record([city-City])",
                )
            value = self._field(declaration, known, used, item.args[0], plan)
            if not isinstance(value.expression, exp.Column):
                made = self.names.column("field", value.type)
                extra.append(nodes.Item(made, value.expression))
                value = of_column(made, value.origin)
            values.append(value)
            patterns.append(item.args[1])
        if extra:
            items = [nodes.Item(c, column(c.name)) for c in plan.columns]
            plan = nodes.Project(plan, (*items, *extra))
        return Table(plan, tuple(values)), tuple(patterns)

    def _record_source(self, goal: Compound) -> SourceDeclaration:
        sources = self.directives.sources
        if len(goal.args) == 2:
            name = goal.args[0]
            if not isinstance(name, Text) or name.value not in sources:
                near = near_names(shown(name), sources)
                raise fail(
                    "R003",
                    f"no source {shown(name)}{did_you_mean(near)}",
                    name.span,
                    f"the sources are {', '.join(sources) or 'none'}",
                    near,
                )
            return sources[name.value]
        if self.directives.default_source is not None:
            name_, span = self.directives.default_source
            if name_ not in sources:
                near = near_names(name_, sources)
                raise fail("R003", f"no source {name_}{did_you_mean(near)}", span, near=near)
            return sources[name_]
        if len(sources) == 1:
            return next(iter(sources.values()))
        if len(sources) > 1:
            raise fail(
                "R011",
                f"json_record/1 does not say which of the sources {', '.join(sources)} it reads",
                goal.name_span,
                "json_record(Name, [Field-Pattern, …]), or :- default_source(Name).",
            )
        return SourceDeclaration("stdin", Text("stdin", goal.name_span), goal.name_span)

    # -- tables ---------------------------------------------------------------------------------

    def _scan(
        self, declaration: SourceDeclaration, span: Span
    ) -> tuple[nodes.Plan, list[tuple[str, Value]], Used | None]:
        location = declaration.location
        if isinstance(location, Compound) and location.called("sql", 1):
            return self._query(location, declaration)
        table = self._table(declaration, span)
        used = self.used.setdefault(declaration.name, Used(declaration, table))
        infos: Sequence[ColumnInfo]
        try:
            if self.resolver.declared(table, declaration):
                infos = [ColumnInfo(s.field, s.type, s.type.text) for s in declaration.schema]
            else:
                infos = table.columns
        except DovetailError as error:
            if self.resolver.empty(table):
                infos = ()
            else:
                raise RulesError([_record_error(error, declaration)]) from None
        read = []
        columns = []
        for info in infos:
            made = self.names.column(
                info.name,
                info.type,
                label=f"{table.qualified_name}.{info.name}",
                native_type=info.native_type,
                collation=info.collation,
                nullable=info.nullable,
            )
            if info.unreadable is None:
                read.append(nodes.ScanColumn(made, info.source_name))
            origin = f"column {info.name} of {declaration.name}"
            columns.append((info.name, of_column(made, origin)))
        scan = nodes.Scan(table.source, table.qualified_name, table, tuple(read))
        return scan, columns, used

    def _query(
        self, location: Compound, declaration: SourceDeclaration
    ) -> tuple[nodes.Plan, list[tuple[str, Value]], None]:
        text = location.args[0]
        if not isinstance(text, Text):
            raise fail("R012", "sql takes the text of a query", location.span)
        try:
            plan, listed = self.resolver.query(text.value, self.names)
        except DovetailError as error:
            raise fail("R012", f"sql(…): {error.message}", text.span) from None
        columns = [
            (name, of_column(made, f"column {name} of {declaration.name}"))
            for name, made in zip(listed, plan.columns, strict=True)
        ]
        return plan, columns, None

    def _table(self, declaration: SourceDeclaration, span: Span) -> TableInfo:
        known = self._tables.get(declaration.name)
        if known is not None:
            return known
        table = self._found(declaration, span)
        self._tables[declaration.name] = table
        return table

    def _found(self, declaration: SourceDeclaration, span: Span) -> TableInfo:
        location = declaration.location
        try:
            match location:
                case Text() if location.bare("stdin"):
                    table = self.resolver.stdin(declaration)
                    if table is None:
                        raise fail(
                            "R011",
                            "json_record has no source: nothing is declared and standard input "
                            "is a terminal",
                            span,
                            ":- source(Name, 'file.jsonl'). names one",
                        )
                    return table
                case Text():
                    return self.resolver.path(location.value, declaration)
                case Dotted():
                    return self.resolver.table(location.parts)
                case Compound(name="dataset"):
                    raise fail(
                        "R003",
                        f"no dataset {shown(location.args[0])}: datasets are those of a group "
                        "(--group NAME)",
                        location.span,
                    )
        except RulesError:
            raise
        except DovetailError as error:
            code = "R003" if isinstance(location, Dotted) else "R012"
            raise RulesError(
                [Diagnostic(code, error.message, location.span)], error.suggestions
            ) from None
        raise fail(
            "R012",
            f"{shown(location)} is no location",
            location.span,
            "a quoted path, stdin, src.table, src.schema.table, dataset('id') or sql(\"SELECT …\")",
        )

    # -- fields ---------------------------------------------------------------------------------

    def _field(
        self,
        declaration: SourceDeclaration,
        known: Mapping[str, Value],
        used: Used | None,
        written: Term,
        plan: nodes.Plan,
    ) -> Value:
        path = _path(written)
        first = str(path[0])
        value = known.get(first) or next(
            (v for n, v in known.items() if n.lower() == first.lower()), None
        )
        if value is None and used is not None and self.resolver.empty(used.table):
            self._warn_empty(declaration)
            from dovetail.language.rules.kinds import NULL

            return Value(exp.Null(), NULL, f"field {first} of an empty file")
        if value is None:
            near = near_names(first, known)
            listed = ", ".join(list(known)[:_LISTED])
            tail = f"; nearest: {', '.join(near)}" if near else ""
            raise fail(
                "R004",
                f"{declaration.name} has no field {first}{tail}",
                written.span,
                f"its fields are {listed}",
                near,
            )
        if used is not None:
            used.fields.add(first)
        self._check_readable(declaration.name, first, value, used, written.span)
        for number, step in enumerate(path[1:], start=1):
            value = self._step(declaration, value, path[: number + 1], step, written)
        return value

    def _step(
        self,
        declaration: SourceDeclaration,
        value: Value,
        path: Sequence[str | int],
        step: str | int,
        written: Term,
    ) -> Value:
        where = ".".join(str(p) for p in path)
        origin = f"field {where} of {declaration.name}"
        family = value.type.family
        text = exp.Literal.string(str(step))
        if isinstance(step, int) and family == "list":
            made = sql("list_extract(_0, _1)", value.expression, exp.Literal.number(step + 1))
        elif isinstance(step, str) and family == "struct":
            fields = struct_fields(value.type.text)
            match = [f for f in fields if f.lower() == step.lower()]
            if not match:
                near = near_names(step, fields)
                tail = f"; nearest: {', '.join(near)}" if near else ""
                raise fail(
                    "R004",
                    f"{declaration.name} has no field {where}{tail}",
                    written.span,
                    f"the fields of {'.'.join(str(p) for p in path[:-1])} are "
                    f"{', '.join(fields[:_LISTED])}",
                    near,
                )
            made = sql("struct_extract(_0, _1)", value.expression, exp.Literal.string(match[0]))
        elif isinstance(step, str) and family == "map":
            made = sql("map_extract_value(_0, _1)", value.expression, text)
        elif family == "json":
            pointer = exp.Literal.string(f"/{step}")
            made = sql("json_extract(_0, _1)", value.expression, pointer)
        elif family == "null":
            return value
        else:
            raise fail(
                "R004",
                f"{where}: {'.'.join(str(p) for p in path[:-1])} is {value.kind}, so it has no "
                f"{'position' if isinstance(step, int) else 'field'} {step}",
                written.span,
            )
        return Value(made, self.typing.of(made, written.span), origin)

    def _check_readable(
        self, source: str, name: str, value: Value, used: Used | None, span: Span
    ) -> None:
        """Fields with mixed kinds are refused, unless the schema says ``json``."""
        if value.type.family != "json" or used is None:
            return
        if any(s.field == name for s in used.declaration.schema):
            return
        kinds = self.resolver.kinds(used.table, name)
        if len(kinds) < 2:
            return
        told = " and ".join(f"{kind} (first at line {line})" for kind, line in kinds[:2])
        raise fail(
            "R009",
            f"the field {name} of {source} holds {told}",
            span,
            f"declare it: source({source}, …, [schema([{name}-{kinds[0][0]}, …]), "
            "on_error(skip)]), or on_error(null)",
        )

    def _check_arity(self, goal: Compound | Text, name: str, columns: Sequence[str]) -> None:
        given = len(goal.args) if isinstance(goal, Compound) else 0
        if given == len(columns):
            return
        span = goal.name_span if isinstance(goal, Compound) else goal.span
        raise fail(
            "R005",
            f"{name} has {len(columns)} columns, {given} arguments given",
            span,
            f"its columns are {', '.join(columns[:_LISTED])}; json_record({name}, [field-X]) "
            "names only some",
        )

    def _warn_empty(self, declaration: SourceDeclaration) -> None:
        warning = Diagnostic("W107", f"the source {declaration.name} is empty", declaration.span)
        if warning not in self.warnings:
            self.warnings.append(warning)


def _record_error(error: DovetailError, declaration: SourceDeclaration) -> Diagnostic:
    return Diagnostic(
        "R014",
        f"{declaration.name}: {error.message}",
        declaration.location.span,
        "on_error(skip) leaves such records out, on_error(null) reads NULL",
    )


def _path(term: Term) -> list[str | int]:
    match term:
        case Text():
            return [term.value]
        case Dotted():
            return list(term.parts)
        case ListTerm() if term.items and term.tail is None:
            steps: list[str | int] = []
            for item in term.items:
                if isinstance(item, Text) or (isinstance(item, Number) and steps):
                    whole = isinstance(item, Number)
                    steps.append(int(item.text) if whole else item.value)  # type: ignore[union-attr]
                else:
                    break
            else:
                return steps
    raise fail(
        "R010",
        f"{shown(term)} is no field",
        term.span,
        "a field is a name, a quoted name, a dotted path, or a list path with positions from 0",
    )


def struct_fields(text: str) -> list[str]:
    """The names of a struct type's fields, as DuckDB prints the type."""
    inside = text[text.index("(") + 1 : -1]
    fields: list[str] = []
    depth, start, quoted = 0, 0, False
    parts = []
    for place, letter in enumerate(inside):
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in "([":
            depth += 1
        elif not quoted and letter in ")]":
            depth -= 1
        elif not quoted and letter == "," and depth == 0:
            parts.append(inside[start:place])
            start = place + 1
    parts.append(inside[start:])
    for part in parts:
        bare = part.strip()
        if bare.startswith('"'):
            end = bare.index('"', 1)
            while bare[end : end + 2] == '""':
                end = bare.index('"', end + 2)
            fields.append(bare[1:end].replace('""', '"'))
        else:
            fields.append(bare.split(" ", 1)[0])
    return fields
