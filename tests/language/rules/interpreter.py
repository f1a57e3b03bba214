"""A small interpreter of rules, to hold the compiler to the language.

Predicates are evaluated bottom-up, whole relation by whole relation; a recursive group is repeated
from empty sets until nothing is new. A body is solved one row at a time by nested loops. No plan,
no SQL, no index, no shortcut: slow, and meant to be read. It takes valid programs only: what is
wrong with a program is the compiler's to say.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.language.rules import aggregates
from tests.language.rules.builtins import (
    COMPARISONS,
    FUNCTIONS,
    OTHER_OPERATIONS,
    TESTS,
    TEXT_TESTS,
    WINDOWS,
    Key,
)
from tests.language.rules.order import (
    calls,
    conjuncts,
    is_test,
    key_names,
    operations,
    ordered,
    produced,
    without_result,
)
from tests.language.rules.reader import Clause, Path, Term, Text, Var, read, read_goal, variables
from tests.language.rules.values import (
    Value,
    arithmetic,
    arrange,
    calculate,
    compare,
    equal,
    hashable,
    identical,
    moment,
)

Row = dict[str, Value]


class TooLarge(Exception):
    """The program takes more steps than nested loops in Python should take."""


@dataclass(frozen=True)
class Table:
    """A source: its columns in order, and one value per column and row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass
class Answer:
    """What a goal gives: snake_case columns and rows, in order when the goal orders them."""

    columns: list[str]
    rows: list[tuple[Value, ...]]


def run(
    program: str,
    goal: str | None,
    tables: Mapping[str, Table],
    params: Mapping[str, Value] | None = None,
) -> Answer:
    """Run ``goal``, or the program's own, over ``tables`` (source name → rows)."""
    text = read(program)
    interpreter = Interpreter(text, tables, params or {})
    if goal is not None:
        return interpreter.answer(read_goal(goal))
    if text.goals:
        return interpreter.answer(text.goals[0])
    head = text.clauses[0].head
    shown = [a if isinstance(a, Var) else Var(f"Arg{n}") for n, a in enumerate(head.args, 1)]
    return interpreter.answer(Term(head.name, tuple(shown)))


@dataclass
class Interpreter:
    """The relations of one program over fixed tables."""

    text: Text
    tables: Mapping[str, Table]
    params: Mapping[str, Value] = field(default_factory=dict)
    # Predicates already complete; inside a recursion, what the members hold so far.
    _relations: dict[Key, list[tuple[Value, ...]]] = field(default_factory=dict)
    # Solutions of goals that see nothing of the rows around them.
    _closed: dict[int, list[Row]] = field(default_factory=dict)
    _steps: int = 0

    def __post_init__(self) -> None:
        self._clauses: dict[Key, list[Clause]] = {}
        for clause in self.text.clauses:
            self._clauses.setdefault(clause.head.key, []).append(clause)

    def answer(self, goal: Any) -> Answer:
        """The rows of a query goal, over its named variables in order of first appearance."""
        offered = produced(goal)
        shown = [v for v in variables(_visible(goal)) if v in offered]
        names = [v.name for v in shown if not v.name.startswith("_")]
        solutions = list(self.solve(goal, {}))
        if not names:
            return Answer(["answer"], [(bool(solutions),)])
        return Answer(_columns(names), [tuple(row[name] for name in names) for row in solutions])

    # -- relations ------------------------------------------------------------------------------

    def relation(self, key: Key) -> list[tuple[Value, ...]]:
        """All rows of a predicate: a bag, or a set when it is recursive."""
        if key not in self._relations:
            members = [other for other in self._needed(key) if key in self._needed(other)]
            if members:
                self._fixpoint(members)
            else:
                self._relations[key] = [
                    row for clause in self._clauses[key] for row in self._derived(clause)
                ]
        return self._relations[key]

    def _fixpoint(self, members: Sequence[Key]) -> None:
        for key in members:
            self._relations[key] = []
        grown = True
        while grown:
            grown = False
            self._closed.clear()
            found = {k: [r for c in self._clauses[k] for r in self._derived(c)] for k in members}
            for key, rows in found.items():
                merged = {tuple(map(hashable, r)): r for r in (*self._relations[key], *rows)}
                grown = grown or len(merged) > len(self._relations[key])
                self._relations[key] = list(merged.values())
        self._closed.clear()

    def _derived(self, clause: Clause) -> Iterator[tuple[Value, ...]]:
        for row in self.solve(clause.body, {}):
            yield tuple(self.value(arg, row) for arg in clause.head.args)

    def _needed(self, key: Key) -> set[Key]:
        """The predicates that a predicate depends on, directly or not."""
        found: set[Key] = set()
        waiting = [key]
        while waiting:
            for clause in self._clauses[waiting.pop()]:
                fresh = {k for k in calls(clause.body) if k in self._clauses} - found
                found |= fresh
                waiting += fresh
        return found

    # -- bodies ---------------------------------------------------------------------------------

    def solve(self, goal: Any, row: Row) -> Iterator[Row]:
        """Every way to make ``goal`` true that agrees with ``row``, as ``row`` with more values."""
        goals = conjuncts(goal)
        if len(goals) == 1:
            yield from self._solve_one(goals[0], row)
            return
        inorder = ordered(goals, frozenset(row))
        if inorder is None:
            raise ValueError(f"a variable is never bound in {goal}")

        def rest(number: int, known: Row) -> Iterator[Row]:
            if number == len(inorder):
                yield known
                return
            for found in self._solve_one(inorder[number], known):
                yield from rest(number + 1, found)

        yield from rest(0, row)

    def holds(self, goal: Any, row: Row) -> bool:
        return next(self.solve(goal, row), None) is not None

    def _solve_one(self, goal: Term, row: Row) -> Iterator[Row]:
        self._steps += 1
        if self._steps > 150_000:
            raise TooLarge
        name, args = goal.name, goal.args
        if name == ",":
            yield from self.solve(goal, row)
        elif name == "\\+":
            if not self.holds(args[0], row):
                yield row
        elif name == "forall":
            if not self.holds(Term(",", (args[0], Term("\\+", (args[1],)))), row):
                yield row
        elif name == ";":
            yield from self._disjunction(goal, row)
        elif name == "->":
            if self.holds(args[0], row):
                yield from self.solve(args[1], row)
        elif goal.key == ("=", 2):
            yield from self._unify(args, row)
        elif name == "is":
            yield from self.match(args[0], self.number(args[1], row), row)
        elif name in COMPARISONS or goal.key in TESTS:
            if self._test(goal, row):
                yield row
        elif goal.key == ("member", 2):
            yield from self._member(args, row)
        elif goal.key == ("between", 3):
            yield from self._between(args, row)
        elif goal.key in FUNCTIONS:
            values = [self.value(arg, row) for arg in args[:-1]]
            for value in FUNCTIONS[goal.key](*values):
                yield from self.match(args[-1], value, row)
        elif name == "group_by":
            yield from self._join(goal, row, self._grouped)
        elif name in ("aggregate_all", "findall"):
            yield from self._aggregate_all(_as_aggregate_all(goal), row)
        elif name in ("order_by", "limit", "offset", "distinct"):
            yield from self._join(goal, row, self._sequence)
        elif name == "param":
            yield from self.match(args[1], self.params[args[0].name], row)
        elif name == "json_record" and goal.key not in self._clauses:
            yield from self._record(args, row)
        else:
            rows = self.relation(goal.key) if goal.key in self._clauses else self.tables[name].rows
            for values in rows:
                yield from self._match_all(args, values, row)

    def _match_all(self, args: Sequence[Any], values: Sequence[Value], row: Row) -> Iterator[Row]:
        if not args:
            yield row
            return
        for found in self.match(args[0], values[0], row):
            yield from self._match_all(args[1:], values[1:], found)

    def match(self, pattern: Any, value: Value, row: Row) -> Iterator[Row]:
        """``row`` with the pattern's variable bound, or as it is when the values are equal.

        A constant NULL tests for NULL; a NULL that was bound elsewhere equals nothing (D13).
        """
        if isinstance(pattern, Var) and pattern.name not in row:
            yield {**row, pattern.name: value}
        elif isinstance(pattern, Term) and pattern.args and isinstance(value, tuple):
            yield from self._match_all(pattern.args, value, row)  # r(N, M) of aggregate_all
        elif _is_null(pattern):
            if value is None:
                yield row
        elif equal(self.value(pattern, row), value):
            yield row

    def _unify(self, args: Sequence[Any], row: Row) -> Iterator[Row]:
        left, right = args
        if isinstance(right, Var) and right.name not in row:
            left, right = right, left
        if _is_null(left):
            left, right = right, left
        if _is_null(right) and not (isinstance(left, Var) and left.name not in row):
            if self.value(left, row) is None:
                yield row
        else:
            yield from self.match(left, self.value(right, row), row)

    def _disjunction(self, goal: Term, row: Row) -> Iterator[Row]:
        left, right = goal.args
        if isinstance(left, Term) and left.name == "->":
            yield from self.solve(left.args[1] if self.holds(left.args[0], row) else right, row)
        elif is_test(goal, frozenset(row)):
            if self.holds(left, row) or self.holds(right, row):
                yield row
        else:
            yield from self.solve(left, row)
            yield from self.solve(right, row)

    def _member(self, args: Sequence[Any], row: Row) -> Iterator[Row]:
        items = self.value(args[1], row) or ()
        if isinstance(args[0], Var) and args[0].name not in row:
            for item in items:
                yield {**row, args[0].name: item}
        elif any(equal(self.value(args[0], row), item) for item in items):
            yield row

    def _between(self, args: Sequence[Any], row: Row) -> Iterator[Row]:
        low, high = (self.number(arg, row) for arg in args[:2])
        if isinstance(args[2], Var) and args[2].name not in row:
            for number in range(low, high + 1) if None not in (low, high) else ():
                yield {**row, args[2].name: number}
        else:
            value = self.value(args[2], row)
            if compare("=<", low, value) and compare("=<", value, high):
                yield row

    def _record(self, args: Sequence[Any], row: Row) -> Iterator[Row]:
        fields = args[-1]
        table = self._source(args[0] if len(args) == 2 else None)
        patterns = [field.args[1] for field in fields]
        for record in table.rows:
            whole = dict(zip(table.columns, record, strict=True))
            values = [_at(whole, _path(field.args[0])) for field in fields]
            yield from self._match_all(patterns, values, row)

    def _source(self, name: Any) -> Table:
        if name is not None:
            return self.tables[name.name if isinstance(name, Term) else name]
        for directive in self.text.directives:
            if directive.name == "default_source":
                return self.tables[directive.args[0].name]
        return next(iter(self.tables.values()))

    def _test(self, goal: Term, row: Row) -> bool:
        name, args = goal.name, goal.args
        if name in ("true", "false", "fail"):
            return name == "true"
        if name.startswith("is_"):
            return (self.value(args[0], row) is None) == (name == "is_null")
        if name in ("\\=", "=:=", "=\\=", "==", "\\=="):
            left, right = (self.number(arg, row) for arg in args)
            if name in ("==", "\\=="):
                return identical(left, right) == (name == "==")
            if name == "\\=" and (_is_null(args[0]) or _is_null(args[1])):
                return left is not None or right is not None
            if left is None or right is None:
                return False
            return equal(left, right) == (name == "=:=")
        if name in ("<", ">", "=<", ">="):
            return compare(name, self.number(args[0], row), self.number(args[1], row))
        left, right = (self.value(arg, row) for arg in args)
        if left is None or right is None:
            return False
        if name.startswith("@"):
            return compare(name[1:], left, right)
        if name in ("=@=", "\\=@="):
            return bool(left.lower() == right.lower()) == (name == "=@=")
        return TEXT_TESTS[name](left, right)

    # -- groups, windows, sequences -------------------------------------------------------------

    def _join(self, goal: Term, row: Row, solve: Any) -> Iterator[Row]:
        """Solve a goal on its own, then keep what agrees with ``row``."""
        if id(goal) not in self._closed:
            self._closed[id(goal)] = list(solve(goal))
        for found in self._closed[id(goal)]:
            if all(equal(row[name], value) for name, value in found.items() if name in row):
                yield {**row, **found}

    def _grouped(self, goal: Term) -> Iterator[Row]:
        keys = key_names(goal)
        ops = operations(goal)
        solutions = list(self.solve(goal.args[1], {}))
        groups: dict[Any, list[Row]] = {}
        for row in solutions:
            groups.setdefault(tuple(hashable(row[key]) for key in keys), []).append(row)
        windowed = any(op.name in WINDOWS for op in ops)
        if not keys and not windowed:
            groups.setdefault((), [])
        for rows in groups.values():
            if windowed:
                yield from self._windowed(ops, rows, variables(goal.args[1]))
            else:
                visible = {key: rows[0][key] for key in keys}
                results = {
                    op.args[-1].name: self._aggregate(without_result(op), rows) for op in ops
                }
                yield {**visible, **results}

    def _aggregate(self, op: Term, rows: Sequence[Row]) -> Value:
        """One aggregate without its result argument, over the rows of a group."""
        if op.name == "filter":
            kept = [row for row in rows if self.holds(op.args[1], row)]
            return self._aggregate(op.args[0], kept)
        if op.key == ("count", 0):
            return len(rows)
        if op.name == "count_if":
            return sum(self.holds(op.args[0], row) for row in rows)
        if op.name in ("collect_list", "bag"):
            keys = self._sort_keys(op.args[1]) if len(op.args) == 2 else []
            keys.append((lambda row: self.number(op.args[0], row), False))
            listed = [self.number(op.args[0], row) for row in arrange(rows, keys)]
            found = tuple(aggregates.known(listed))
            return found if found or op.name == "bag" else None
        columns = [[self.number(arg, row) for row in rows] for arg in op.args]
        if op.name == "percentile":
            return aggregates.percentile(columns[0], self.number(op.args[1], {}))
        if op.name == "string_agg":
            found = aggregates.ascending(columns[0])
            return self.value(op.args[1], {}).join(found) if found else None
        if op.key in (("max", 2), ("min", 2)):
            pairs = [p for p in zip(*columns, strict=True) if p[0] is not None]
            if not pairs:
                return None
            best = (max if op.name == "max" else min)(p[0] for p in pairs)
            witnesses = [w for v, w in pairs if v == best and w is not None]
            return best, min(witnesses, default=None)
        if op.name in ("collect_set", "set"):
            found = tuple(aggregates.ascending(aggregates.distinct(columns[0])))
            return found if found or op.name == "set" else None
        return aggregates.PLAIN[op.name][1](*columns)

    def _windowed(
        self, ops: Sequence[Term], rows: Sequence[Row], order: Sequence[Var]
    ) -> Iterator[Row]:
        results: list[Row] = [{} for _ in rows]
        numbered = list(enumerate(rows))
        for op in ops:
            name = op.args[-1].name
            if op.name not in WINDOWS:
                value = self._aggregate(without_result(op), rows)
                for result in results:
                    result[name] = value
                continue
            place = 1 if op.name == "ntile" else 0
            keys = self._sort_keys(op.args[place])
            ties = [(lambda row, v=v: row[v.name], False) for v in order if v.name in rows[0]]
            tied = [] if op.name in ("rank", "dense_rank") else ties
            lifted = [(lambda pair, f=f: f(pair[1]), down) for f, down in (*keys, *tied)]
            arranged = arrange(numbered, lifted)
            in_order = [row for _, row in arranged]
            values = self._window(op, in_order, keys)
            for (number, _), value in zip(arranged, values, strict=True):
                results[number][name] = value
        for row, result in zip(rows, results, strict=True):
            yield {**row, **result}

    def _window(self, op: Term, rows: Sequence[Row], keys: Any) -> Sequence[Value]:
        """The value of one window operation for each of the rows, which stand in its order."""
        count = len(rows)
        peers = [tuple(f(row) for f, _ in keys) for row in rows]
        if op.name == "row_number":
            return range(1, count + 1)
        if op.name in ("rank", "percent_rank"):
            ranks = aggregates.ranks(peers)
            return ranks if op.name == "rank" else [(r - 1) / max(1, count - 1) for r in ranks]
        if op.name == "dense_rank":
            return aggregates.dense_ranks(peers)
        if op.name == "cume_dist":
            return [(count - peers[::-1].index(peer)) / count for peer in peers]
        if op.name == "ntile":
            return aggregates.tiles(count, self.number(op.args[0], {}))
        if op.name == "running_count":
            return range(1, count + 1)
        values = [self.number(op.args[1], row) for row in rows]
        if op.name in ("lag", "lead"):
            step = self.number(op.args[2], {}) if len(op.args) > 3 else 1
            default = self.value(op.args[3], {}) if len(op.args) > 4 else None
            places = [n - step if op.name == "lag" else n + step for n in range(count)]
            return [values[p] if 0 <= p < count else default for p in places]
        if op.name in ("first_value", "last_value"):
            return [values[0 if op.name == "first_value" else -1]] * count
        if op.name == "nth_value":
            place = self.number(op.args[2], {}) - 1
            return [values[place] if place < count else None] * count
        kind, aggregate = op.name.split("_")
        function = aggregates.PLAIN[aggregate][1]
        if kind == "running":
            return [function(values[: n + 1]) for n in range(count)]
        frame = _frame(op.args[2])
        spans = [
            aggregates.framed(frame, n, [p[0] for p in peers], keys[0][1]) for n in range(count)
        ]
        return [function([values[n] for n in span]) for span in spans]

    def _sort_keys(self, term: Any) -> list[Any]:
        """(value of a row, descending) for a variable, an expression, asc, desc or a list."""
        if isinstance(term, tuple):
            return [key for item in term for key in self._sort_keys(item)]
        directed = isinstance(term, Term) and term.key in (("asc", 1), ("desc", 1))
        by = term.args[0] if directed else term
        return [(lambda row: self.number(by, row), directed and term.name == "desc")]

    def _sequence(self, goal: Term) -> Iterator[Row]:
        inner = goal.args[-1]
        rows = list(self.solve(inner, {}))
        if goal.name in ("limit", "offset"):
            amount = self.number(goal.args[0], {})
            yield from rows[:amount] if goal.name == "limit" else rows[amount:]
        elif goal.name == "order_by":
            order = [v.name for v in variables(inner) if not v.wild and rows and v.name in rows[0]]
            ties = [(lambda row, name=name: row[name], False) for name in order]
            yield from arrange(rows, [*self._sort_keys(goal.args[0]), *ties])
        else:
            by = goal.args[0] if len(goal.args) == 2 else inner
            seen: set[Any] = set()
            for row in rows:
                names = [v.name for v in variables(by) if not v.wild and v.name in row]
                witness = tuple(hashable(row[name]) for name in names)
                if witness not in seen:
                    seen.add(witness)
                    yield row

    def _aggregate_all(self, goal: Term, row: Row) -> Iterator[Row]:
        template, inner, pattern = goal.args[0], goal.args[-2], goal.args[-1]
        rows = list(self.solve(inner, row))
        if len(goal.args) == 4:
            value = template.args[0] if template.args else goal.args[1]
            parts = (goal.args[1], value)
            once = {tuple(hashable(self.number(p, r)) for p in parts): r for r in reversed(rows)}
            rows = list(once.values())
        found = self._template(template, rows)
        if found is not None:
            yield from self.match(pattern, found[0], row)

    def _template(self, template: Term, rows: Sequence[Row]) -> tuple[Value] | None:
        """The value of an aggregate_all template in a box, or None where there is no solution.

        NULLs are skipped, so rows that hold only NULL are as good as none (RL-AGG-8).
        """
        known = {"count", "sum", "bag", "set"}
        if template.name not in known | set(aggregates.PLAIN) | OTHER_OPERATIONS:
            parts = [self._template(part, rows) for part in template.args]
            return None if None in parts else (tuple(p[0] for p in parts if p is not None),)
        found = self._aggregate(template, rows)
        if found is None and template.name == "sum":
            found = 0
        return None if found is None else (found,)

    # -- values ---------------------------------------------------------------------------------

    def value(self, term: Any, row: Row) -> Value:
        """The value of a variable or a constant."""
        if isinstance(term, Var):
            return row[term.name]
        if isinstance(term, tuple):
            return tuple(self.value(item, row) for item in term)
        if isinstance(term, Term):
            if term.name == "date" and term.args:
                return date.fromisoformat(self.value(term.args[0], row))
            if term.name == "timestamp" and term.args:
                return moment(self.value(term.args[0], row))
            if term.args:
                return self.number(term, row)
            return {"true": True, "false": False, "null": None}.get(term.name, term.name)
        return term

    def number(self, term: Any, row: Row) -> Value:
        """The value of an expression; a term without arithmetic is its own value."""
        if isinstance(term, Term) and arithmetic(term.name, len(term.args)):
            return calculate(term.name, [self.number(arg, row) for arg in term.args])
        return self.value(term, row)


# -- the parts of a goal ------------------------------------------------------------------------


def _as_aggregate_all(goal: Term) -> Term:
    if goal.name == "findall":
        return Term("aggregate_all", (Term("bag", goal.args[:1]), *goal.args[1:]))
    return goal


def _visible(goal: Any) -> Any:
    """A goal without its sort keys and witnesses."""
    if isinstance(goal, Term):
        if goal.name in ("order_by", "limit", "offset", "distinct"):
            return _visible(goal.args[-1])
        return Term(goal.name, tuple(_visible(arg) for arg in goal.args))
    return goal


def _frame(term: Term) -> aggregates.Frame:
    def bound(part: Term) -> tuple[str, int]:
        return part.name, part.args[0] if part.args else 0

    return term.args[0].name, bound(term.args[1]), bound(term.args[2])


def _path(term: Any) -> Sequence[Any]:
    if isinstance(term, Path):
        return term.parts
    if isinstance(term, tuple):
        return [step.name if isinstance(step, Term) else step for step in term]
    return [term.name if isinstance(term, Term) else term]


def _at(value: Value, path: Sequence[Any]) -> Value:
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, tuple) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _is_null(term: Any) -> bool:
    return isinstance(term, Term) and term.key == ("null", 0)


def _columns(names: Sequence[str]) -> list[str]:
    columns: list[str] = []
    for name in names:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
        numbered = (snake if n == 0 else f"{snake}_{n}" for n in itertools.count())
        columns.append(next(column for column in numbered if column not in columns))
    return columns
