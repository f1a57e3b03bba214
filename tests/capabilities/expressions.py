"""DuckDB expressions that exercise the entries of a capability table.

Made from the table itself: every entry yields expressions over all pairs of its operand classes
(columns against columns, columns against constants both ways). An operator this module does not
know raises, so an entry cannot be added without being tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.capabilities.hostile import Pair

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from")
ARITHMETIC = ("+", "-", "*")
PATTERNS = (
    "", "%", "_", "a%", "%a", "%A%", "a_", "_%_", "a", "ä", "Ä%", "%ss", "%ß%", "a %", "% ", "'%",
    "%😀%", "b%", "__", "%'%", "A", "a_b", "a%b",
)  # fmt: skip


def constant(text: str, type_: str) -> str:
    """A DuckDB constant as people write it: bare where that has the type, else cast."""
    quoted = "'" + text.replace("'", "''") + "'"
    if type_ == "VARCHAR":
        return quoted
    if type_ in ("BIGINT", "INTEGER") or type_.startswith("DECIMAL"):
        return text
    if type_ == "BOOLEAN":
        return text
    return f"{type_} {quoted}" if type_ in ("DATE", "TIMESTAMP") else f"CAST({quoted} AS {type_})"


def constants(pair: Pair) -> Iterator[str]:
    """Every value of a pair but NULL, as a constant."""
    for text in dict.fromkeys(pair.values):
        if text is not None:
            yield constant(text, pair.local)


def of_entry(operator: str, classes: tuple[str, ...], pairs: Sequence[Pair]) -> Iterator[str]:
    """Expressions for one entry.

    Every native type and every constant meets each class once per thorough operator; how a
    constant is written and what a native type is cast to do not depend on the operator.
    """
    use = "arithmetic" if operator in ARITHMETIC else "compare"
    columns = {c: [p for p in pairs if p.operand == c and use in p.uses] for c in classes}
    if operator in (*COMPARISONS, *ARITHMETIC, "||"):
        left, right = classes
        thorough = operator in ("=", "<", *ARITHMETIC, "||")
        if columns[left] and columns[right]:
            first, second = columns[left][0], columns[right][0]
            yield f"({first.a} {operator} {second.b})"
            if thorough:
                yield from (f"({other.a} {operator} {second.b})" for other in columns[left])
                yield from (f"({first.a} {operator} {other.b})" for other in columns[right])
        # A constant is never of a "loose" class, nor a char(n).
        if not right.endswith("loose") and right != "char":
            for shape in _constant_pairs(right, pairs, use):
                listed = list(constants(shape))
                for pair in columns[left][: 1 if thorough else 0]:
                    yield from (f"({pair.a} {operator} {c})" for c in listed)
                yield from (f"({p.a} {operator} {c})" for p in columns[left] for c in listed[2:4])
        if not left.endswith("loose") and left != "char":
            for shape in _constant_pairs(left, pairs, use)[:1]:
                listed = list(constants(shape))
                yield from (f"({c} {operator} {p.b})" for p in columns[right] for c in listed[3:5])
    elif operator == "like":
        for pair in columns[classes[0]]:
            for pattern in PATTERNS:
                yield f"({pair.a} LIKE {constant(pattern, 'VARCHAR')})"
    elif operator.startswith("extract "):
        for pair in columns[classes[0]]:
            yield f"extract({operator.split()[1]} from {pair.a})"
    elif operator in ("year", "month", "day", "quarter"):
        for pair in columns[classes[0]]:
            yield f"{operator}({pair.a})"
    elif operator in ("substring", "substr"):
        for pair in columns[classes[0]]:
            for start in (1, 2, 3, 100):
                if len(classes) == 2:
                    yield f"{operator}({pair.a}, {start})"
                else:
                    yield from (f"{operator}({pair.a}, {start}, {n})" for n in (1, 2, 50))
    else:
        raise AssertionError(f"no expressions are known for the entry {operator} {classes}")


def _constant_pairs(operand: str, pairs: Sequence[Pair], use: str) -> list[Pair]:
    """The pairs whose values are written as constants of a class."""
    found = [p for p in pairs if p.operand == operand and use in p.uses]
    if operand == "text":
        found = found or [p for p in pairs if p.operand == "text loose"]
    return found[:1] if operand not in ("decimal", "integer") else found[:2]
