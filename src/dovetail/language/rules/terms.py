"""Terms: what the parser makes of a text, before anything has a meaning.

Every term knows its place. Operators are compounds named by their symbol (``','/2``, ``is/2``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.language.rules.diagnostics import Span


@dataclass(frozen=True)
class Var:
    """A variable. ``_`` alone is a wildcard: a fresh variable each time."""

    name: str
    span: Span

    @property
    def is_wildcard(self) -> bool:
        """Whether it is ``_``."""
        return self.name == "_"


@dataclass(frozen=True)
class Number:
    """A number as written, without digit separators: ``42``, ``2.5``, ``1.0e-3``."""

    text: str
    span: Span

    @property
    def is_integer(self) -> bool:
        """Whether it has neither a point nor an exponent."""
        return not set(self.text) & set(".eE")


@dataclass(frozen=True)
class Text:
    """A text or bare name; ``quoted`` tells ``'true'`` (text) from ``true`` (boolean)."""

    value: str
    span: Span
    quoted: bool = False

    def bare(self, *names: str) -> bool:
        """Whether it is one of these names, unquoted."""
        return not self.quoted and self.value in names


@dataclass(frozen=True)
class Dotted:
    """A dotted name: ``crm.public.users``, ``user.address.city``."""

    parts: tuple[str, ...]
    span: Span


@dataclass(frozen=True)
class Compound:
    """``name(args…)`` or an operator; ``name_span`` is the place of the name alone.

    ``path`` holds the parts of a dotted name: ``crm.public.users(Id, Name)``.
    """

    name: str
    args: tuple[Term, ...]
    span: Span
    name_span: Span
    path: tuple[str, ...] = ()

    @property
    def signature(self) -> str:
        """``name/arity``."""
        return f"{self.name}/{len(self.args)}"

    def called(self, name: str, arity: int) -> bool:
        """Whether it is ``name/arity``."""
        return self.name == name and len(self.args) == arity


@dataclass(frozen=True)
class ListTerm:
    """``[items…]`` or ``[items…|tail]``."""

    items: tuple[Term, ...]
    span: Span
    tail: Term | None = None


Term = Var | Number | Text | Dotted | Compound | ListTerm


@dataclass(frozen=True)
class Clause:
    """One clause: ``kind`` is fact, rule, directive or goal; ``body`` is the part after ``:-``."""

    kind: str
    head: Term | None
    body: Term | None
    span: Span


def children(term: Term) -> tuple[Term, ...]:
    """The terms directly inside."""
    match term:
        case Compound():
            return term.args
        case ListTerm():
            return term.items if term.tail is None else (*term.items, term.tail)
        case _:
            return ()


def walk(term: Term) -> Iterator[Term]:
    """The term and all inside it, from left to right."""
    yield term
    for child in children(term):
        yield from walk(child)


def occurrences(term: Term) -> Iterator[Var]:
    """Every named variable, each time it occurs."""
    for inner in walk(term):
        if isinstance(inner, Var) and not inner.is_wildcard:
            yield inner


def variables(*terms: Term) -> dict[str, Var]:
    """The named variables by name, in order of first appearance."""
    found: dict[str, Var] = {}
    for term in terms:
        for variable in occurrences(term):
            found.setdefault(variable.name, variable)
    return found


def conjuncts(term: Term) -> list[Term]:
    """The goals of a conjunction."""
    if isinstance(term, Compound) and term.called(",", 2):
        return [*conjuncts(term.args[0]), *conjuncts(term.args[1])]
    return [term]


def branches(term: Term) -> list[Term]:
    """The branches of a disjunction; an if-then-else is one branch, whatever stands beside it."""
    if isinstance(term, Compound) and term.called(";", 2) and not is_choice(term):
        return [*branches(term.args[0]), *branches(term.args[1])]
    return [term]


def is_choice(term: Term) -> bool:
    """Whether it is ``( C -> T ; E )``."""
    if not isinstance(term, Compound) or not term.called(";", 2):
        return False
    first = term.args[0]
    return isinstance(first, Compound) and first.called("->", 2)


def shown(term: Term) -> str:
    """The term as it was written, on one line."""
    return " ".join(term.span.text.split())
