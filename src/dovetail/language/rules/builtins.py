"""The names that are built in: goals, control, and what is refused with its replacement."""

from __future__ import annotations

from dovetail.language.rules.terms import Compound, Term

CONTROL = frozenset([",", ";", "->", "*->", "\\+", "!", "{}"])
COMPARING = frozenset(
    [
        "=",
        "\\=",
        "==",
        "\\==",
        "=:=",
        "=\\=",
        "<",
        ">",
        "=<",
        ">=",
        "is",
        "=@=",
        "\\=@=",
        "@<",
        "@=<",
        "@>",
        "@>=",
    ]
)

BUILT_INS: dict[str, tuple[int, ...]] = {
    "json_record": (1, 2),
    "group_by": (3, 4),
    "aggregate_all": (3, 4),
    "findall": (3,),
    "forall": (2,),
    "member": (2,),
    "between": (3,),
    "is_null": (1,),
    "is_not_null": (1,),
    "coalesce": (2,),
    "contains": (2,),
    "starts_with": (2,),
    "ends_with": (2,),
    "like": (2,),
    "ilike": (2,),
    "matches": (2,),
    "string_lower": (2,),
    "string_upper": (2,),
    "string_length": (2,),
    "trim": (2,),
    "string_concat": (3,),
    "substring": (4,),
    "replace": (4,),
    "atom_number": (2,),
    "sql_fn": (3,),
    "param": (2,),
    "order_by": (2,),
    "limit": (2,),
    "offset": (2,),
    "distinct": (1, 2),
    "true": (0,),
    "false": (0,),
    "fail": (0,),
}

REFUSED: dict[str, tuple[tuple[int, ...], str]] = {
    "!": ((0,), "limit(1, Goal) gives one solution; ( C -> T ; E ) chooses"),
    "*->": ((2,), "write ( C, T ) for the solutions of C, or ( C -> T ; E ) to choose"),
    "{}": ((1,), "write comparisons as goals"),
    "not": ((1,), "write \\+ Goal"),
    "once": ((1,), "limit(1, Goal), or distinct(Goal)"),
    "ignore": ((1,), "( Goal -> true ; true ), or an aggregate_all"),
    "call": (tuple(range(1, 9)), "write the goal itself"),
    "bagof": ((3,), "group_by(Keys, Goal, collect_list(X), L), or findall(X, Goal, L)"),
    "setof": ((3,), "group_by(Keys, Goal, collect_set(X), L), or aggregate_all(set(X), Goal, L)"),
    "aggregate": (
        (3, 4),
        "aggregate_all/3 aggregates over all solutions; group_by(Keys, Goal, Op, R) per key",
    ),
    "json_get": ((2, 3), "json_record([user.address.city-C]) or json_record([[tags, 0]-T])"),
    "assert": ((1,), "a program is read-only: write a fact or a rule"),
    "asserta": ((1,), "a program is read-only: write a fact or a rule"),
    "assertz": ((1,), "a program is read-only: write a fact or a rule"),
    "retract": ((1,), "a program is read-only: filter with \\+"),
    "retractall": ((1,), "a program is read-only: filter with \\+"),
    "write": ((1, 2), "rows are the only output: put the value in the head"),
    "writeln": ((1, 2), "rows are the only output: put the value in the head"),
    "print": ((1, 2), "rows are the only output: put the value in the head"),
    "format": ((1, 2, 3), "rows are the only output; string_concat/3 builds text"),
    "nl": ((0, 1), "rows are the only output"),
    "read": ((1, 2), "declare a source: :- source(Name, Location)."),
    "op": ((3,), "operators are fixed"),
    "length": ((2,), "sql_fn(len, [L], N)"),
    "nth0": ((3,), "json_record([[field, 0]-X]), or sql_fn(list_extract, [L, 1], X)"),
    "nth1": ((3,), "sql_fn(list_extract, [L, 1], X)"),
    "append": ((3,), "sql_fn(list_concat, [A, B], L)"),
    "msort": ((2,), "sql_fn(list_sort, [A], B)"),
    "sort": ((2, 4), "order_by([asc(X)], Goal)"),
    "var": ((1,), "is_null(X) tests for NULL"),
    "nonvar": ((1,), "is_not_null(X) tests for a value"),
    "tab": ((1, 2), "rows are the only output"),
    "halt": ((0, 1), "leave it out"),
}


def is_built_in(name: str, arity: int) -> bool:
    """Whether name/arity belongs to the language, refused forms included."""
    if name in CONTROL:
        return True
    if name in COMPARING and arity == 2:
        return True
    if arity in BUILT_INS.get(name, ()):
        return True
    return name in REFUSED and arity in REFUSED[name][0]


def scopes(term: Compound) -> tuple[str | None, tuple[Term, ...]] | None:
    """The goals inside a control goal, with what it does to them: negation or aggregation.

    None for a goal that holds no goals.
    """
    name, args = term.name, term.args
    match name, len(args):
        case (("," | ";"), 2):
            return None, args
        case "->", 2:
            return None, args
        case "*->", 2:
            return None, args
        case "\\+", 1:
            return "negation", args
        case "forall", 2:
            return "negation", args
        case "group_by", 3 | 4:
            return "aggregation", (args[1],)
        case "aggregate_all", 3:
            return "aggregation", (args[1],)
        case "aggregate_all", 4:
            return "aggregation", (args[2],)
        case "findall", 3:
            return "aggregation", (args[1],)
        case (("limit" | "offset" | "order_by"), 2):
            return "aggregation", (args[1],)
        case "distinct", 1:
            return None, args
        case "distinct", 2:
            return None, (args[1],)
    return None
