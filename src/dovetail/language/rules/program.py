"""Clauses → a program: predicates, sources, parameters, goals; what refers to what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dovetail.language.rules.builtins import CONTROL, is_built_in, scopes
from dovetail.language.rules.diagnostics import Diagnostic, RulesError, SourceText, Span, fail
from dovetail.language.rules.directives import Directives
from dovetail.language.rules.syntax import parse_program
from dovetail.language.rules.terms import (
    Clause,
    Compound,
    Term,
    Text,
    Var,
    branches,
    occurrences,
    walk,
)

Key = tuple[str, int]
Include = Callable[[str, Span], SourceText]
_MAX_INCLUDES = 20


@dataclass
class Predicate:
    """All clauses of ``name/arity``, in file order."""

    name: str
    arity: int
    clauses: list[Clause] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """Name and arity."""
        return self.name, self.arity

    @property
    def shown(self) -> str:
        """``name/arity``."""
        return f"{self.name}/{self.arity}"


@dataclass
class Program:
    """A parsed program. ``warnings`` never stop it; errors have been raised."""

    source: SourceText
    predicates: dict[Key, Predicate] = field(default_factory=dict)
    directives: Directives = field(default_factory=Directives)
    goals: list[Clause] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """A place where a body calls a predicate. ``through`` names negation or aggregation."""

    key: Key
    span: Span
    through: str | None


def read_program(source: SourceText, include: Include) -> Program:
    """Parse a program and what it includes.

    Raises:
        RulesError: all mistakes found so far, in file order.
    """
    program = Program(source)
    errors: list[Diagnostic] = []
    _read(source, include, program, errors, (source.name,))
    for predicate in program.predicates.values():
        try:
            _check_name(predicate, program)
        except RulesError as error:
            errors.extend(error.diagnostics)
    if errors:
        raise RulesError(errors)
    program.warnings[:0] = program.directives.warnings
    _warn(program)
    return program


def _read(
    source: SourceText,
    include: Include,
    program: Program,
    errors: list[Diagnostic],
    chain: tuple[str, ...],
) -> None:
    clauses, found = parse_program(source)
    errors.extend(found)
    for clause in clauses:
        try:
            if clause.kind == "directive":
                assert clause.body is not None
                path = program.directives.read(clause.body)
                if path is not None:
                    included = include(path.value, path.span)
                    if included.name in chain or len(chain) > _MAX_INCLUDES:
                        steps = " includes ".join((*chain, included.name))
                        raise fail("R012", f"includes go round in a circle: {steps}", path.span)
                    _read(included, include, program, errors, (*chain, included.name))
            elif clause.kind == "goal":
                program.goals.append(clause)
            else:
                _add(program, clause)
        except RulesError as error:
            errors.extend(error.diagnostics)


def _add(program: Program, clause: Clause) -> None:
    head = clause.head
    if isinstance(head, Compound):
        key = (head.name, len(head.args))
    elif isinstance(head, Text):
        key = (head.value, 0)
    else:
        assert head is not None
        raise fail("R001", "the head of a clause is a name with arguments: p(X, Y)", head.span)
    if isinstance(head, Compound) and head.name in CONTROL:
        raise fail("R001", f'"{head.name}" cannot be the head of a clause', head.name_span)
    predicate = program.predicates.setdefault(key, Predicate(*key))
    predicate.clauses.append(clause)


def _check_name(predicate: Predicate, program: Program) -> None:
    span = head_span(predicate.clauses[0])
    if is_built_in(predicate.name, predicate.arity):
        raise fail(
            "R015",
            f"{predicate.shown} is built in and cannot be defined; rename this predicate",
            span,
        )
    declared = program.directives.sources.get(predicate.name)
    if declared is not None:
        line = predicate.clauses[0].span.line
        raise fail(
            "R015",
            f"{predicate.name} is both a source (line {declared.span.line}) and the predicate "
            f"{predicate.shown} (line {line}); rename one",
            span,
        )


def head_span(clause: Clause) -> Span:
    """The name in the head of a clause."""
    head = clause.head
    return head.name_span if isinstance(head, Compound) else clause.span


def head_args(clause: Clause) -> tuple[Term, ...]:
    """The arguments of the head."""
    return clause.head.args if isinstance(clause.head, Compound) else ()


def references(body: Term, through: str | None = None) -> Iterator[Reference]:
    """Every call of a predicate (or source) in a body."""
    if isinstance(body, Text):
        if not body.quoted and not is_built_in(body.value, 0):
            yield Reference((body.value, 0), body.span, through)
        return
    if not isinstance(body, Compound):
        return
    inner = scopes(body)
    if inner is not None:
        role, goals = inner
        for goal in goals:
            yield from references(goal, role or through)
        if body.name == "->" or body.name == ";":
            return
        return
    if not is_built_in(body.name, len(body.args)):
        yield Reference((body.name, len(body.args)), body.name_span, through)


def clause_references(clause: Clause) -> list[Reference]:
    """The calls in the body of a clause."""
    return list(references(clause.body)) if clause.kind == "rule" and clause.body else []


def recursive_groups(program: Program) -> tuple[list[list[Key]], set[Key]]:
    """Predicates in an order where each group comes after what it needs; and those in a cycle.

    Raises:
        RulesError: R006 for a predicate that depends on itself through negation or aggregation.
    """
    graph: dict[Key, list[Reference]] = {}
    for key, predicate in program.predicates.items():
        calls = [r for clause in predicate.clauses for r in clause_references(clause)]
        graph[key] = [r for r in calls if r.key in program.predicates]
    order = _components(graph)
    recursive: set[Key] = set()
    for group in order:
        members = set(group)
        if len(group) > 1 or any(r.key == group[0] for r in graph[group[0]]):
            recursive |= members
        for key in group:
            for reference in graph[key]:
                if reference.key in members and reference.through is not None:
                    raise _unstratified(key, reference, graph, members)
    return order, recursive


def _components(graph: dict[Key, list[Reference]]) -> list[list[Key]]:
    """Tarjan's strongly connected components, dependencies first; without recursion."""
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    on_stack: set[Key] = set()
    stack: list[Key] = []
    found: list[list[Key]] = []
    for root in graph:
        if root in index:
            continue
        work: list[tuple[Key, Iterator[Reference]]] = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            key, edges = work[-1]
            for edge in edges:
                if edge.key not in index:
                    index[edge.key] = low[edge.key] = len(index)
                    stack.append(edge.key)
                    on_stack.add(edge.key)
                    work.append((edge.key, iter(graph[edge.key])))
                    break
                if edge.key in on_stack:
                    low[key] = min(low[key], index[edge.key])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[key])
                if low[key] == index[key]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member == key:
                            break
                    found.append(sorted(group, key=list(graph).index))
    return found


def _unstratified(
    start: Key, reference: Reference, graph: dict[Key, list[Reference]], members: set[Key]
) -> RulesError:
    """The whole cycle: from ``start`` through ``reference`` back to ``start``."""
    steps = [(start, reference)]
    paths: dict[Key, list[tuple[Key, Reference]]] = {reference.key: []}
    queue = [reference.key]
    while queue and start not in paths:
        key = queue.pop(0)
        for edge in graph[key]:
            if edge.key in members and edge.key not in paths:
                paths[edge.key] = [*paths[key], (key, edge)]
                queue.append(edge.key)
    if reference.key != start:
        steps += paths[start]
    lines = []
    for key, edge in steps:
        how = f"the {edge.through} of" if edge.through else "a call of"
        target = f"{edge.key[0]}/{edge.key[1]}"
        lines.append(f"{key[0]}/{key[1]} needs {how} {target} (line {edge.span.line})")
    name = f"{start[0]}/{start[1]}"
    return fail(
        "R006",
        f"{name} depends on itself through {reference.through}: {'; '.join(lines)}",
        reference.span,
        "break the cycle: compute one of these predicates without the other",
    )


def _warn(program: Program) -> None:
    seen: dict[str, Span] = {}
    for predicate in program.predicates.values():
        for clause in predicate.clauses:
            if clause.kind == "fact":
                text = " ".join(clause.span.text.split())
                if text in seen:
                    program.warnings.append(
                        Diagnostic(
                            "W104",
                            f"this fact repeats line {seen[text].line}; it counts twice",
                            clause.span,
                        )
                    )
                seen.setdefault(text, clause.span)
            else:
                program.warnings.extend(singletons(clause))


def singletons(clause: Clause) -> Iterator[Diagnostic]:
    """W101 for named variables that occur once in a clause."""
    counts: dict[str, list[Var]] = {}
    for term in (clause.head, clause.body):
        if term is not None:
            for variable in occurrences(term):
                counts.setdefault(variable.name, []).append(variable)
    negated = {
        v.name
        for term in walk(clause.body or Text("", clause.span))
        if isinstance(term, Compound) and term.called("\\+", 1)
        for v in occurrences(term)
    }
    for name, found in counts.items():
        if len(found) == 1 and not name.startswith("_") and name not in negated:
            yield Diagnostic(
                "W101",
                f"the variable {name} is used once",
                found[0].span,
                f"_{name} or _ says that this is meant",
            )


def split_disjunction(clause: Clause) -> list[Clause]:
    """A clause whose whole body is a disjunction, as one clause per branch."""
    if clause.kind != "rule" or clause.body is None:
        return [clause]
    parts = branches(clause.body)
    if len(parts) == 1 or any(isinstance(p, Compound) and p.name == "->" for p in parts):
        return [clause]
    return [Clause("rule", clause.head, part, clause.span) for part in parts]
