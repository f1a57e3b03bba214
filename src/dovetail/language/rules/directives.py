"""Directives: sources with their options, parameters, includes, the default source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.catalog.catalogs import near_names
from dovetail.language.rules.diagnostics import Diagnostic, Span, did_you_mean, fail
from dovetail.language.rules.terms import (
    Compound,
    Dotted,
    ListTerm,
    Number,
    Term,
    Text,
    shown,
)
from dovetail.types import Type, parse_type

NAMES = ("source", "default_source", "include", "param", "table")
IGNORED = (
    *("use_module", "module", "dynamic", "discontiguous", "multifile", "encoding"),
    "initialization",
)
OPTIONS = ("schema", "on_error", "error_file", "error_threshold", "format", "delimiter", "header")
_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "json": "JSON",
}
POLICIES = ("fail", "skip", "null")


@dataclass(frozen=True)
class Schema:
    """A declared field: its type as written and as DuckDB has it."""

    field: str
    written: str
    type: Type


@dataclass(frozen=True)
class SourceDeclaration:
    """``:- source(Name, Location, Options)``. ``location`` is the term as written."""

    name: str
    location: Term
    span: Span
    schema: tuple[Schema, ...] = ()
    on_error: str = "fail"
    error_file: str | None = None
    error_threshold: int | None = None
    reader: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def checks_records(self) -> bool:
        """Whether every record is looked at before the query runs."""
        return bool(self.schema) or self.on_error != "fail"


@dataclass(frozen=True)
class Parameter:
    """``:- param(Name, Type[, Default])``."""

    name: str
    type: Type
    written: str
    default: Term | None
    span: Span


@dataclass
class Directives:
    """What the directives of a program say. ``warnings`` collects W106."""

    sources: dict[str, SourceDeclaration] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    default_source: tuple[str, Span] | None = None
    warnings: list[Diagnostic] = field(default_factory=list)

    def read(self, term: Term) -> Text | None:
        """Take in one directive; the path of an ``include`` is returned to the caller.

        Raises:
            RulesError: R012 for what is no directive, and for wrong arguments.
        """
        name = term.name if isinstance(term, Compound) else getattr(term, "value", "")
        args = term.args if isinstance(term, Compound) else ()
        span = term.name_span if isinstance(term, Compound) else term.span
        if name in IGNORED:
            self.warnings.append(Diagnostic("W106", f"the directive {name} is ignored", span))
            return None
        match name, len(args):
            case "source", 2 | 3:
                self._source(args, term.span)
            case "default_source", 1 if isinstance(args[0], Text):
                self.default_source = (args[0].value, args[0].span)
            case "include", 1 if isinstance(args[0], Text):
                return args[0]
            case "param", 2 | 3:
                self._parameter(args)
            case "table", _:
                return None  # recursion is always a fixpoint
            case _ if name in NAMES:
                raise fail("R012", f"{name} does not take these arguments", term.span, _form(name))
            case _:
                near = near_names(name, (*NAMES, *IGNORED))
                raise fail(
                    "R012",
                    f'no directive "{name}"{did_you_mean(near)}',
                    span,
                    f"the directives are {', '.join(NAMES)}",
                    near,
                )
        return None

    def _source(self, args: tuple[Term, ...], span: Span) -> None:
        if not isinstance(args[0], Text):
            raise fail("R012", "a source needs a name", args[0].span, _form("source"))
        name = args[0].value
        if name in self.sources:
            raise fail(
                "R015",
                f"source {name} is declared twice; first on line {self.sources[name].span.line}",
                args[0].span,
            )
        options = args[2] if len(args) == 3 else None
        if options is not None and not isinstance(options, ListTerm):
            raise fail("R012", "the options of a source are a list", options.span, _form("source"))
        values: dict[str, Any] = {}
        reader: dict[str, Any] = {}
        for option in options.items if options is not None else ():
            self._option(option, values, reader)
        self.sources[name] = SourceDeclaration(name, args[1], args[0].span, reader=reader, **values)

    def _option(self, option: Term, values: dict[str, Any], reader: dict[str, Any]) -> None:
        if not isinstance(option, Compound) or len(option.args) != 1 or option.name not in OPTIONS:
            name = getattr(option, "name", shown(option))
            near = near_names(name, OPTIONS)
            raise fail(
                "R012",
                f'no option "{name}" of source{did_you_mean(near)}',
                getattr(option, "name_span", option.span),
                f"the options are {', '.join(OPTIONS)}, each with one argument",
                near,
            )
        argument = option.args[0]
        match option.name, argument:
            case "schema", ListTerm():
                values["schema"] = tuple(_field(item) for item in argument.items)
            case "on_error", Text() if argument.value in POLICIES:
                values["on_error"] = argument.value
            case "error_file", Text():
                values["error_file"] = argument.value
            case "error_threshold", Number() if argument.is_integer and int(argument.text) >= 0:
                values["error_threshold"] = int(argument.text)
            case "format", Text():
                reader["format"] = argument.value
            case "delimiter", Text():
                reader["delim"] = argument.value
            case "header", Text() if argument.value in ("true", "false"):
                reader["header"] = argument.value == "true"
            case _:
                raise fail(
                    "R017",
                    f"{option.name} does not take {shown(argument)}",
                    argument.span,
                    f"on_error takes {', '.join(POLICIES)}; error_threshold a count from 0; "
                    "schema a list of field-type",
                )

    def _parameter(self, args: tuple[Term, ...]) -> None:
        if not isinstance(args[0], Text):
            raise fail("R012", "a parameter needs a name", args[0].span, _form("param"))
        type_, written = _type(args[1])
        default = args[2] if len(args) == 3 else None
        name = args[0].value
        self.parameters[name] = Parameter(name, type_, written, default, args[0].span)


def _form(name: str) -> str:
    return {
        "source": ":- source(Name, Location[, [Option, …]]).",
        "param": ":- param(name, type[, default]).",
        "include": ":- include('file.pl').",
        "default_source": ":- default_source(name).",
    }.get(name, "")


def _field(term: Term) -> Schema:
    if not isinstance(term, Compound) or not term.called("-", 2):
        raise fail(
            "R012", "a schema lists field-type", term.span, "schema([city-text, age-integer])"
        )
    name, written = term.args
    if not isinstance(name, Text | Dotted):
        raise fail("R012", "a field needs a name", name.span)
    type_, text = _type(written)
    return Schema(name.value if isinstance(name, Text) else ".".join(name.parts), text, type_)


def _type(term: Term) -> tuple[Type, str]:
    match term:
        case Text() if term.value in _TYPES:
            return Type(_TYPES[term.value]), term.value
        case Text(value="decimal"):
            return parse_type("DECIMAL(38,10)"), "decimal"
        case Compound(name="decimal", args=(Number() as p, Number() as s)):
            if p.is_integer and s.is_integer and 0 <= int(s.text) <= int(p.text) <= 38:
                return parse_type(f"DECIMAL({p.text},{s.text})"), shown(term)
        case Compound(name="list", args=(inner,)):
            element, written = _type(inner)
            return parse_type(f"{element.text}[]"), f"list({written})"
    near = near_names(shown(term), _TYPES)
    raise fail(
        "R012",
        f"no type {shown(term)}{did_you_mean(near)}",
        term.span,
        f"the types are {', '.join(_TYPES)}, decimal(P, S), list(T)",
        near,
    )
