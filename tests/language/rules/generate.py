"""Random valid programs over random tables, drawn with hypothesis so that failures shrink.

Types are tracked while a program grows, so what comes out is safe, stratified and well typed:
every refusal by the compiler is a finding. Choices stand simplest first, since shrinking goes
towards the first. Left out is only what the language leaves open (``limit`` without an order).
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from tests.language.rules.values import Value

# Strings that break careless quoting, comparing, trimming, joining of keys or JSON.
TEXTS = ("a", "b", "A", "", "a ", "ä", "O'Brien", 'say "x"', "x|y", "back\\slash", "new\nline")
TEXTS += ("%", "_", "null", "42", "日本", "🙂")
VALUES: dict[str, tuple[Value, ...]] = {
    "int": (0, 1, 2, 3, -1, -7, 4, 9, 10**12, -(10**12) - 1),
    "text": TEXTS,
    "num": tuple(map(Decimal, ("0.5", "1.25", "0.0", "-0.5", "2.0", "-7.75", "100.5"))),
    "bool": (False, True),
    "date": (date(2024, 2, 29), date(1969, 12, 31), date(2024, 3, 1)),
}
NUMERIC = ("int", "num", "real")


@dataclass(frozen=True)
class Source:
    """One table: typed columns and rows; ``place`` says where the program finds it."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Value, ...], ...]
    place: str


@dataclass(frozen=True)
class Program:
    """``clauses`` without the facts and directives that bring in the tables; one goal."""

    sources: tuple[Source, ...]
    clauses: tuple[str, ...]
    goal: str
    ordered: bool


@dataclass(frozen=True)
class Predicate:
    """A name that may be called, and the type of each argument."""

    name: str
    kinds: tuple[str, ...]


Scope = dict[str, str]  # variable → type


class Choices:
    """Draws, in few words."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self._names = 0

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.number(0, len(options) - 1)] if len(options) > 1 else options[0]

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def chance(self, percent: int) -> bool:
        return self.number(0, 99) >= 100 - percent

    def some(self, options: Sequence[Any], least: int, most: int) -> list[Any]:
        """Between ``least`` and ``most`` different options, in any order."""
        most = min(most, len(options))
        count = self.number(min(least, most), most)
        return list(self.draw(st.permutations(options)))[:count] if options else []

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        return list(self.draw(st.permutations(items)))

    def variable(self) -> str:
        """A new variable: A … Z, A1 …"""
        number, letter = divmod(self._names, 26)
        self._names += 1
        return string.ascii_uppercase[letter] + (str(number) if number else "")

    def constant(self, kind: str) -> str:
        return written(self.pick(VALUES["num" if kind == "real" else kind]))


def written(value: Value) -> str:
    """A constant as a program writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, date):
        return f"date('{value}')"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
        return f"'{escaped}'"
    return str(value)


@st.composite
def programs(
    draw: Any, places: Sequence[str] = ("facts", "json"), given: Sequence[Source] = ()
) -> Program:
    """Programs of one to four rules over one to three tables, drawn or from ``given``.

    Drawn tables lie in ``places``; the first place must be able to hold any table but one of facts
    that has a column without a value.
    """
    return _Maker(Choices(draw)).program(places, given)


def random_source(name: str, place: str, rng: random.Random, kinds: Sequence[str]) -> Source:
    """A table of one to three columns of ``kinds``, without hypothesis: for fixed worlds."""
    chosen = [rng.choice(kinds)] * 2 + [rng.choice(kinds)] * rng.randint(0, 1)
    rows = tuple(
        tuple(None if rng.random() < 0.12 else rng.choice(VALUES[kind]) for kind in chosen)
        for _ in range(rng.choice((0, 3, 6, 9)))
    )
    return Source(name, tuple((f"c{n}", kind) for n, kind in enumerate(chosen)), rows, place)


@dataclass
class _Maker:
    choices: Choices
    known: list[Predicate] = field(default_factory=list)
    sources: tuple[Source, ...] = ()
    clauses: list[str] = field(default_factory=list)

    def program(self, places: Sequence[str], given: Sequence[Source]) -> Program:
        pick = self.choices.pick
        count = self.choices.number(1, 3)
        sources = tuple(self.choices.some(given, 1, count))
        drawn = count - len(sources)
        sources += tuple(self._source(f"t{number}", places) for number in range(drawn))
        self.sources = sources
        self.known = [Predicate(s.name, tuple(kind for _, kind in s.columns)) for s in sources]
        shapes = (self._joined, self._recursive, self._grouped, self._windowed, self._totalled)
        shapes += (self._sequenced, self._nested, self._joined, self._merged)
        for number in range(self.choices.number(1, 4)):
            self.known.append(pick(shapes)(f"p{number}"))
        goal, ordered = self._goal()
        return Program(sources, tuple(self.clauses), goal, ordered)

    def _source(self, name: str, places: Sequence[str]) -> Source:
        choices = self.choices
        kinds = [choices.pick(("int", "text", "int", "num", "bool", "date")) for _ in range(2)]
        if choices.chance(60):
            kinds[1] = kinds[0]  # two columns alike: something to recurse over
        kinds += [choices.pick(("int", "num", "text")) for _ in range(choices.number(0, 1))]
        # Few different values, so that joins meet; sometimes all of the hostile ones.
        width = choices.pick((3, 4, 20))
        count = choices.pick((3, 1, 2, 4, 5, 6, 8, 5, 6, 0))
        rows = tuple(
            tuple(
                None if choices.chance(12) else choices.pick(VALUES[kind][:width]) for kind in kinds
            )
            for _ in range(count)
        )
        place = choices.pick(places)
        # A predicate without a fact does not exist, and one of NULLs only has no types.
        typed = all(any(row[n] is not None for row in rows) for n in range(len(kinds)))
        if place == "facts" and not typed:
            place = next((p for p in places if p != "facts"), "json")
        return Source(name, tuple((f"c{n}", kind) for n, kind in enumerate(kinds)), rows, place)

    # -- shapes of rules ------------------------------------------------------------------------

    def _joined(self, name: str) -> Predicate:
        """One or two clauses over joins and tests."""
        scope, goals = self._body()
        head = self._head(scope)
        kinds = tuple(scope[variable] for variable in head)
        if self.choices.chance(15):
            kinds += (self.choices.pick(("int", "text")),)
            head.append(self.choices.constant(kinds[-1]))
        self._add(name, head, goals)
        if any(kind.startswith("list") for kind in kinds):
            return Predicate(name, kinds)
        if self.choices.chance(30):
            other, more = self._body()
            args = [self._of_kind(other, kind) for kind in kinds]
            self._add(name, args, more)
        return Predicate(name, kinds)

    def _merged(self, name: str) -> Predicate:
        """A disjunction of branches that bind: UNION ALL inside a clause."""
        scope, goals = self._body(atoms=1)
        result = self.choices.variable()
        kind = self.choices.pick(("int", "text"))
        branches = []
        for _ in range(2):
            other, more = self._body(atoms=1, outer=scope)
            branch = f"{result} = {self._of_kind(other, kind)}"
            branches.append(f"( {', '.join([*more, branch])} )")
        goals.append(f"( {' ; '.join(branches)} )")
        head = [*self._head(scope), result]
        self._add(name, head, self.choices.shuffled(goals))
        return Predicate(name, (*(scope[v] for v in head[:-1]), kind))

    def _recursive(self, name: str) -> Predicate:
        """Closures of two columns of one type: right, left, non-linear, mutual, bounded."""
        pairs = [
            (predicate, i, j)
            for predicate in self.known
            for i, a in enumerate(predicate.kinds)
            for j, b in enumerate(predicate.kinds)
            if i != j and a == b and a in ("int", "text", "bool", "date", "num")
        ]
        if not pairs:
            return self._joined(name)
        predicate, i, j = self.choices.pick(pairs)
        kind = predicate.kinds[i]

        def edge(a: str, b: str) -> str:
            args = ["_"] * len(predicate.kinds)
            args[i], args[j] = a, b
            return f"{predicate.name}({', '.join(args)})"

        shape = self.choices.pick(
            ("right", "left", "both", "one clause", "from", "hops", "mutual", "filtered")
        )
        if shape in ("from", "hops"):
            start = self.choices.constant(kind)
            if shape == "from":
                self._add(name, ["X"], [edge(start, "X")])
                self._add(name, ["Y"], self.choices.shuffled([f"{name}(X)", edge("X", "Y")]))
                return Predicate(name, (kind,))
            bound = self.choices.number(1, 4)
            self._add(name, ["X", "1"], [edge(start, "X")])
            step = [f"{name}(X, M)", f"M < {bound}", edge("X", "Y"), "N is M + 1"]
            self._add(name, ["Y", "N"], self.choices.shuffled(step))
            return Predicate(name, (kind, "int"))
        if shape == "one clause":
            body = f"( {edge('X', 'Z')} ; {edge('X', 'Y')}, {name}(Y, Z) )"
            self._add(name, ["X", "Z"], [body])
            return Predicate(name, (kind, kind))
        self._add(name, ["X", "Y"], [edge("X", "Y")])
        tests = [self._test({"X": kind, "Z": kind})] if shape == "filtered" else []
        if shape == "mutual":
            self._add(name, ["X", "Z"], [edge("X", "Y"), f"{name}_odd(Y, Z)"])
            self._add(f"{name}_odd", ["X", "Z"], [f"{name}(X, Y)", edge("Y", "Z")])
            return Predicate(name, (kind, kind))
        steps = {"left": [f"{name}(X, Y)", edge("Y", "Z")]}
        steps["both"] = [f"{name}(X, Y)", f"{name}(Y, Z)"]
        step = steps.get(shape, [edge("X", "Y"), f"{name}(Y, Z)"])
        self._add(name, ["X", "Z"], self.choices.shuffled([*step, *tests]))
        return Predicate(name, (kind, kind))

    def _grouped(self, name: str) -> Predicate:
        """Keys, operations, and constraints on both."""
        goal, visible = self._group(windowed=False)
        return self._constrained(name, goal, visible)

    def _windowed(self, name: str) -> Predicate:
        goal, visible = self._group(windowed=True)
        return self._constrained(name, goal, visible)

    def _nested(self, name: str) -> Predicate:
        """A group_by directly inside a group_by."""
        inner, visible = self._group(windowed=False)
        goal, results = self._group_over(inner, visible, windowed=False)
        return self._constrained(name, goal, results)

    def _constrained(self, name: str, goal: str, visible: Scope) -> Predicate:
        goals = [goal]
        plain = _plain(visible)
        if plain:
            goals += [self._test(plain) for _ in range(self.choices.pick((0, 0, 1, 2)))]
        head = self.choices.some(list(visible), 1, 4)
        self._add(name, head, self.choices.shuffled(goals))
        return Predicate(name, tuple(visible[v] for v in head))

    def _totalled(self, name: str) -> Predicate:
        """aggregate_all, alone or once per row of what stands around it."""
        choices = self.choices
        result = choices.variable()
        outer: Scope = {}
        goals: list[str] = []
        if choices.chance(60):
            outer, goals = self._body(atoms=1)
        inner, more = self._body(atoms=1, outer=outer)
        local = {v: k for v, k in inner.items() if v not in outer} or inner
        op, kind = choices.pick(self._totals(local))
        goal = f"( {', '.join(more)} )"
        results = {result: kind}
        if choices.chance(30):
            second, its_kind = choices.pick(self._totals(local))
            results[choices.variable()] = its_kind
            shape = f"r({', '.join(results)})"
            goals.append(f"aggregate_all(r({op}, {second}), {goal}, {shape})")
        else:
            goals.append(f"aggregate_all({op}, {goal}, {result})")
        head = [*(self._head(outer) if outer else []), *results]
        self._add(name, head, choices.shuffled(goals))
        return Predicate(name, tuple({**outer, **results}[v] for v in head))

    def _totals(self, scope: Scope) -> list[tuple[str, str]]:
        found = [("count", "int")]
        for variable, kind in scope.items():
            if kind in ("int", "num"):
                found += [(f"sum({variable})", kind), (f"avg({variable})", "real")]
            if kind in VALUES:
                found += [(f"{op}({variable})", kind) for op in ("max", "min")]
                found += [(f"{op}({variable})", f"list {kind}") for op in ("bag", "set")]
        return found

    def _sequenced(self, name: str) -> Predicate:
        """distinct, order_by, limit, offset in the shapes that have one answer."""
        choices = self.choices
        scope, goals = self._body()
        if not _plain(scope):
            return self._joined(name)
        goal = f"( {', '.join(goals)} )"
        named = list(_plain(scope))
        keys = ", ".join(self._sort_keys(scope))
        ordered = f"order_by([{keys}], {goal})"
        shape = choices.pick(("distinct", "limit", "offset", "page", "first", "ordered"))
        amount, skipped = choices.number(0, 4), choices.number(0, 2)
        text = {
            "distinct": f"distinct({goal})",
            "limit": f"limit({amount}, {ordered})",
            "offset": f"offset({skipped}, {ordered})",
            "page": f"limit({amount}, offset({skipped}, {ordered}))",
            "first": f"distinct({choices.pick(named)}, {ordered})",
            "ordered": ordered,
        }[shape]
        head = self._head(scope)
        self._add(name, head, [text])
        return Predicate(name, tuple(scope[v] for v in head))

    def _goal(self) -> tuple[str, bool]:
        """A call of the last predicate, as it is, narrowed, or ordered."""
        choices = self.choices
        last = self.known[-1]
        variables = [choices.variable() for _ in last.kinds]
        scope = dict(zip(variables, last.kinds, strict=True))
        plain = _plain(scope)
        call = f"{last.name}({', '.join(variables)})"
        shape = choices.pick(("plain", "plain", "test", "order", "constant"))
        if not plain or shape == "plain":
            return call, False
        if shape == "test":
            return f"{call}, {self._test(plain)}", False
        if shape == "constant":
            place = variables.index(choices.pick(list(plain)))
            if last.kinds[place] == "real":
                return call, False
            variables[place] = choices.constant(last.kinds[place])
            return f"{last.name}({', '.join(variables)})", False
        ordered = f"order_by([{', '.join(self._sort_keys(plain))}], {call})"
        return choices.pick((ordered, f"limit({choices.number(0, 5)}, {ordered})")), True

    # -- bodies ---------------------------------------------------------------------------------

    def _body(self, atoms: int = 0, outer: Scope | None = None) -> tuple[Scope, list[str]]:
        """Atoms that share variables, then tests and new values; in any order."""
        choices = self.choices
        scope: Scope = {}
        goals: list[str] = []
        for _ in range(atoms or choices.pick((1, 2, 2, 3))):
            goals.append(self._atom(scope, outer or {}))
        seen = {**(outer or {}), **scope}
        if _plain(seen):
            goals += [self._test(seen) for _ in range(choices.pick((0, 0, 0, 1, 1, 2)))]
        if choices.chance(40):
            goals.append(self._value(scope))
        return scope, choices.shuffled(goals)

    def _atom(self, scope: Scope, outer: Scope, fresh: bool = True) -> str:
        """A call; ``scope`` learns its new variables. At least one argument is a variable."""
        choices = self.choices
        predicate = choices.pick(self.known)
        args: list[str] = []
        for place, kind in enumerate(predicate.kinds):
            if kind.startswith("list"):
                args.append(choices.variable() if fresh else "_")
                if fresh:
                    scope[args[-1]] = kind
                continue
            shared = [v for v, k in {**outer, **scope}.items() if k == kind]
            must = fresh and not scope and place == len(predicate.kinds) - 1
            roll = choices.number(0, 9) if fresh else choices.pick((5, 5, 9, 8))
            if must or (fresh and roll < 4):
                args.append(choices.variable())
                scope[args[-1]] = kind
            elif shared and roll < 8:
                args.append(choices.pick(shared))
            elif roll == 8 and kind != "real":
                args.append(choices.constant(kind))
            else:
                args.append("_")
        source = next((s for s in self.sources if s.name == predicate.name), None)
        if source is not None and source.place == "json" and choices.chance(50):
            pairs = [f"{c}-{a}" for (c, _), a in zip(source.columns, args, strict=True)]
            return f"json_record({source.name}, [{', '.join(choices.shuffled(pairs))}])"
        return f"{predicate.name}({', '.join(args)})"

    def _test(self, scope: Scope, depth: int = 0) -> str:
        """A goal that binds nothing."""
        choices = self.choices
        scope = _plain(scope)
        if depth < 2 and choices.chance(35):
            inner = [self._test(scope, depth + 1) for _ in range(3)]
            shapes = [
                f"\\+ {_closed(inner[0])}",
                f"( {inner[0]} ; {inner[1]} )",
                f"( {inner[0]}, {inner[1]} ; {inner[2]} )",
                f"( {inner[0]} -> {inner[1]} ; {inner[2]} )",
                f"\\+ {self._atom(dict(scope), {}, fresh=False)}",
                f"\\+ ( {self._atom(dict(scope), {}, fresh=False)}, {inner[0]} )",
                f"forall({self._atom(dict(scope), {}, fresh=False)}, {inner[0]})",
            ]
            return str(choices.pick(shapes))
        variable = choices.pick(list(scope))
        kind = scope[variable]
        other = choices.pick([v for v, k in scope.items() if k == kind])
        right = choices.pick((choices.constant(kind), other))
        word = choices.pick(("<", "=", "\\=", ">=", "==", "\\==", "null", "special"))
        if word == "null":
            shapes = [f"is_null({variable})", f"is_not_null({variable})"]
            shapes += [f"{variable} = null", f"{variable} \\= null"]
            return str(choices.pick(shapes))
        if word != "special":
            return f"{variable} {word} {right}"
        listed = ", ".join(choices.constant(kind) for _ in range(choices.number(1, 3)))
        shapes = [f"member({variable}, [{listed}])", f"{variable} =< {right}"]
        if kind == "text":
            constant = choices.constant("text")
            words = ("contains", "starts_with", "ends_with")
            shapes += [f"{choices.pick(words)}({variable}, {constant})"]
            shapes += [f"{variable} =@= {constant}", f"like({variable}, {constant})"]
        if kind in NUMERIC:
            low = choices.number(-2, 2)
            shapes += [f"{variable} =:= {right}", f"{variable} =\\= {right}"]
            shapes += [f"{variable} + {low} > {right}", f"between({low}, {low + 4}, {variable})"]
        return str(choices.pick(shapes))

    def _value(self, scope: Scope) -> str:
        """A goal that binds a new variable, which ``scope`` learns."""
        choices = self.choices
        new = choices.variable()
        lists = [(v, k.split()[1]) for v, k in scope.items() if k.startswith("list")]
        if lists and choices.chance(60):
            variable, scope[new] = choices.pick(lists)
            return f"member({new}, {variable})"
        if not _plain(scope):
            scope[new] = "int"
            return f"{new} = 1"
        variable = choices.pick(list(_plain(scope)))
        kind = scope[variable]
        constant, another = choices.constant(kind), choices.constant(kind)
        given = "num" if kind == "real" else kind
        options = [
            (f"{new} = {variable}", kind),
            (f"( {self._test(scope)} -> {new} = {constant} ; {new} = {another} )", given),
            (f"between(1, {choices.number(1, 3)}, {new})", "int"),
            (f"member({new}, ['x', 'y'])", "text"),
        ]
        if kind != "real":
            options.append((f"coalesce([{variable}, {constant}], {new})", kind))
        if kind == "text":
            options += [
                (f"string_length({variable}, {new})", "int"),
                (f"string_lower({variable}, {new})", "text"),
                (f"string_concat({variable}, 'z', {new})", "text"),
                (f"substring({variable}, 1, 2, {new})", "text"),
            ]
        if kind == "int":
            options += [(f"{new} is {variable} {op}", "int") for op in ("+ 1", "* -2", "- 3")]
            options += [
                (f"{new} is {variable} {op} {choices.number(-3, 3)}", "int") for op in _WHOLE
            ]
            options.append((f"{new} is abs({variable})", "int"))
        if kind in NUMERIC:
            divisor = choices.number(-2, 3)
            options.append((f"{new} is {variable} / {divisor}", "real"))
        goal, scope[new] = choices.pick(options)
        return str(goal)

    def _head(self, scope: Scope) -> list[str]:
        return self.choices.some(list(scope), 1, 3)

    def _of_kind(self, scope: Scope, kind: str) -> str:
        """A variable of that type, or a constant."""
        found = [v for v, k in scope.items() if k == kind]
        return str(self.choices.pick(found) if found else self.choices.constant(kind))

    def _sort_keys(self, scope: Scope) -> list[str]:
        chosen = self.choices.some(list(_plain(scope)), 1, 2)
        return [self.choices.pick((f"asc({v})", f"desc({v})")) for v in chosen]

    def _add(self, name: str, head: Sequence[str], goals: Sequence[str]) -> None:
        self.clauses.append(f"{name}({', '.join(head)}) :-\n    " + ",\n    ".join(goals) + ".")

    # -- groups ---------------------------------------------------------------------------------

    def _group(self, windowed: bool) -> tuple[str, Scope]:
        scope, goals = self._body()
        return self._group_over(f"( {', '.join(goals)} )", scope, windowed)

    def _group_over(self, goal: str, scope: Scope, windowed: bool) -> tuple[str, Scope]:
        choices = self.choices
        plain = _plain(scope)
        keys = choices.some([v for v, k in plain.items() if k != "real"], 0, 2)
        ops: list[str] = []
        results: Scope = {}
        for number in range(choices.number(1, 3)):
            options = self._plain_operations(plain)
            if windowed and plain and (number == 0 or choices.chance(50)):
                options = self._window_operations(plain)
            op, kind = choices.pick(options)
            result = choices.variable()
            results[result] = kind
            ops.append(_with_result(op, result))
        visible = dict(scope) if windowed and plain else {key: scope[key] for key in keys}
        shown = keys[0] if len(keys) == 1 else f"[{', '.join(keys)}]"
        return f"group_by({shown}, {goal}, [{', '.join(ops)}])", {**visible, **results}

    def _plain_operations(self, scope: Scope) -> list[tuple[str, str]]:
        found = [("count", "int")]
        test = self._test(scope) if scope else "true"
        found += [(f"count_if({test})", "int"), (f"filter(count, {test})", "int")] if scope else []
        for variable, kind in scope.items():
            found.append((f"count({variable})", "int"))
            found.append((f"count_distinct({variable})", "int"))
            if kind in NUMERIC:
                real = ("avg", "stddev", "var_pop", "median")
                found += [(f"{op}({variable})", "real") for op in real]
                found.append((f"percentile({variable}, {self.choices.pick((25, 90))})", "real"))
            if kind in ("int", "num"):
                found += [(f"sum({variable})", kind), (f"filter(sum({variable}), {test})", kind)]
                found.append((f"sum({variable} * 2)", kind))
            if kind in VALUES:
                found += [(f"{op}({variable})", kind) for op in ("min", "max", "mode")]
                lists = ("collect_list", "collect_set")
                found += [(f"{op}({variable})", f"list {kind}") for op in lists]
                by = self.choices.pick([v for v, k in scope.items() if k in VALUES])
                found.append((f"arg_max({variable}, {by})", kind))
                found.append((f"collect_list({variable}, desc({by}))", f"list {kind}"))
            if kind == "text":
                found.append((f"string_agg({variable}, '; ')", "text"))
        return found

    def _window_operations(self, scope: Scope) -> list[tuple[str, str]]:
        choices = self.choices
        keys = self._sort_keys(scope)
        order = keys[0] if len(keys) == 1 else f"[{', '.join(keys)}]"
        found = [(f"{op}({order})", "int") for op in ("row_number", "rank", "dense_rank")]
        found += [(f"{op}({order})", "real") for op in ("percent_rank", "cume_dist")]
        found.append((f"ntile({choices.number(1, 3)}, {order})", "int"))
        found.append((f"running_count({order})", "int"))
        start = choices.pick(("preceding(1)", "unbounded_preceding", "current_row"))
        end = choices.pick(("current_row", "following(1)", "unbounded_following"))
        frame = f"frame(rows, {start}, {end})"
        for variable, kind in scope.items():
            if kind in VALUES:
                found += [(f"{op}({order}, {variable})", kind) for op in _EDGES]
                found.append((f"lag({order}, {variable}, 2, {choices.constant(kind)})", kind))
                found.append((f"nth_value({order}, {variable}, 2)", kind))
                found += [(f"moving_min({order}, {variable}, {frame})", kind)]
                found.append((f"moving_count({order}, {variable}, {frame})", "int"))
                found.append((f"running_max({order}, {variable})", kind))
            if kind in ("int", "num"):
                found.append((f"running_sum({order}, {variable})", kind))
                found.append((f"moving_sum({order}, {variable}, {frame})", kind))
                found.append((f"moving_avg({order}, {variable}, {frame})", "real"))
                ranged = f"frame(range, {start}, {end})"
                directed = choices.pick(("asc", "desc"))
                ranged = f"moving_sum({directed}({variable}), {variable}, {ranged})"
                found.append((ranged, kind))
        return found


_WHOLE = ("//", "mod", "rem")
_EDGES = ("lag", "lead", "first_value", "last_value")


def _plain(scope: Scope) -> Scope:
    """The variables that hold no list."""
    return {v: k for v, k in scope.items() if not k.startswith("list")}


def _closed(goal: str) -> str:
    """A goal that may stand after ``\\+``."""
    return f"( {goal} )"


def _with_result(op: str, result: str) -> str:
    """``sum(X)`` → ``sum(X, R)``; ``count`` → ``count(R)``; the result of a filter is inside."""
    if op.startswith("filter("):
        inside, _, test = op.removeprefix("filter(").partition(", ")
        return f"filter({_with_result(inside, result)}, {test}"
    return f"{op[:-1]}, {result})" if op.endswith(")") else f"{op}({result})"
