"""``param(Name, V)``: values bound from outside, never spliced into text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlglot import exp

from dovetail.catalog.catalogs import near_names
from dovetail.language.rules.diagnostics import did_you_mean, fail
from dovetail.language.rules.directives import Parameter
from dovetail.language.rules.terms import Compound, Number, Term, Text, shown
from dovetail.language.rules.values import Value, cast_to, constant, moment
from dovetail.types import VARCHAR


def check_given(declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    """Raises RulesError, R003, for a value of a parameter that the program does not declare."""
    for name in given:
        if name not in declared:
            near = near_names(name, declared)
            raise fail(
                "R003",
                f"no parameter {name}{did_you_mean(near)}",
                None,
                f"the program declares {', '.join(declared) or 'none'}; "
                f":- param({name}, integer). declares it",
                near,
            )


def parameter_value(
    goal: Compound, declared: Mapping[str, Parameter], given: Mapping[str, Any]
) -> Value:
    """The value of a parameter: the one given, or its default.

    Raises:
        RulesError: R003 for an unknown parameter, R017 for a value of another type.
    """
    written = goal.args[0]
    name = written.value if isinstance(written, Text) else shown(written)
    parameter = declared.get(name)
    if parameter is None:
        near = near_names(name, declared)
        raise fail(
            "R003",
            f"no parameter {name}{did_you_mean(near)}",
            written.span,
            f"declare it: :- param({name}, integer).",
            near,
        )
    if name not in given and parameter.default is None:
        raise fail("R017", f"the parameter {name} has no value", written.span, f"-p {name}=VALUE")
    term = _term(given[name], written) if name in given else parameter.default
    assert term is not None
    return _typed(parameter, term, written)


def _term(value: Any, written: Term) -> Term:
    match value:
        case bool():
            return Text("true" if value else "false", written.span)
        case None:
            return Text("null", written.span)
        case int() | Decimal() | float():
            return Number(repr(value) if isinstance(value, float) else str(value), written.span)
        case date() | datetime():
            return Text(
                value.isoformat(" ") if isinstance(value, datetime) else (value.isoformat()),
                written.span,
                quoted=True,
            )
        case _:
            return Text(str(value), written.span, quoted=True)


def _typed(parameter: Parameter, term: Term, written: Term) -> Value:
    family = parameter.type.family
    origin = f"parameter {parameter.name}"
    if isinstance(term, Text) and term.bare("null"):
        return Value(exp.Null(), parameter.type, origin, term, written.span)
    text = term.value if isinstance(term, Text) else getattr(term, "text", shown(term))
    problem = fail(
        "R017",
        f"the parameter {parameter.name} is {parameter.written}, not {text!r}",
        written.span,
    )
    if family == "text":
        made: exp.Expression = exp.Literal.string(text)
        return Value(made, VARCHAR, origin, Text(text, written.span, quoted=True), written.span)
    if family in ("integer", "decimal", "float"):
        try:
            number = Decimal(text)
        except ArithmeticError:
            raise problem from None
        if not number.is_finite() or (family == "integer" and number != int(number)):
            raise problem
        if family == "integer":
            text = str(int(number))
        value = constant(Number(text, written.span))
        assert value is not None
        same = value.type == parameter.type
        expression = value.expression if same else cast_to(value.expression, parameter.type)
        return Value(expression, parameter.type, origin, Number(text, written.span), written.span)
    if family == "boolean":
        if text.lower() not in ("true", "false"):
            raise problem
        made = exp.Boolean(this=text.lower() == "true")
        return Value(made, parameter.type, origin, Text(text.lower(), written.span), written.span)
    if family in ("date", "timestamp"):
        made = moment(Text(text, written.span, quoted=True), parameter.type)
        return Value(cast_to(made, parameter.type), parameter.type, origin, term, written.span)
    value = constant(term)
    if value is None or value.type != parameter.type:
        raise problem
    return value
