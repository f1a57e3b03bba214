"""Aggregates and window operations over Python lists. NULLs are ``None``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

from tests.language.rules.values import Value, compare, hashable

Values = Sequence[Value]


def known(values: Values) -> list[Value]:
    return [value for value in values if value is not None]


def ascending(values: Values) -> list[Value]:
    return sorted(known(values))


def distinct(values: Values) -> list[Value]:
    """Without repeats, in order of first appearance."""
    return list({hashable(value): value for value in values}.values())


def total(values: Values) -> Value:
    found = known(values)
    if any(isinstance(value, float) for value in found):
        return math.fsum(found)
    return sum(found) if found else None


def mean(values: Values) -> Value:
    found = known(values)
    return float(sum(map(Fraction, found)) / len(found)) if found else None


def spread(values: Values, sample: bool, root: bool) -> Value:
    """Variance or standard deviation, of a sample or of a population."""
    found = [Fraction(value) for value in known(values)]
    freedom = len(found) - 1 if sample else len(found)
    if freedom < 1:
        return None
    middle = sum(found) / len(found)
    variance = float(sum((value - middle) ** 2 for value in found) / freedom)
    return math.sqrt(variance) if root else variance


def percentile(values: Values, percent: Value) -> Value:
    """Linear interpolation between the two nearest ranks."""
    found = [Fraction(value) for value in ascending(values)]
    if not found:
        return None
    place = (len(found) - 1) * Fraction(percent) / 100
    below = math.floor(place)
    above = min(below + 1, len(found) - 1)
    return float(found[below] + (found[above] - found[below]) * (place - below))


def correlation(xs: Values, ys: Values) -> Value:
    pairs = [
        (Fraction(x), Fraction(y))
        for x, y in zip(xs, ys, strict=True)
        if x is not None and y is not None
    ]
    if len(pairs) < 2:
        return None
    mx, my = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    sxy = sum((x - mx) * (y - my) for x, y in pairs)
    sxx, syy = sum((x - mx) ** 2 for x, _ in pairs), sum((y - my) ** 2 for _, y in pairs)
    return None if not sxx or not syy else float(sxy) / math.sqrt(sxx * syy)


def mode(values: Values) -> Value:
    """The smallest of the most frequent."""
    counts = Counter(known(values))
    return min((v for v in counts if counts[v] == max(counts.values())), default=None)


def argument(xs: Values, by: Values, largest: bool) -> Value:
    """The X of the largest or smallest By; ties give the smallest X."""
    pairs = [(x, y) for x, y in zip(xs, by, strict=True) if x is not None and y is not None]
    if not pairs:
        return None
    best = (max if largest else min)(y for _, y in pairs)
    return min(x for x, y in pairs if y == best)


# Name → (number of value arguments, function over their columns).
PLAIN: dict[str, tuple[int, Callable[..., Value]]] = {
    "count": (1, lambda xs: len(known(xs))),
    "sum": (1, total),
    "avg": (1, mean),
    "min": (1, lambda xs: min(known(xs), default=None)),
    "max": (1, lambda xs: max(known(xs), default=None)),
    "stddev": (1, lambda xs: spread(xs, sample=True, root=True)),
    "stddev_pop": (1, lambda xs: spread(xs, sample=False, root=True)),
    "variance": (1, lambda xs: spread(xs, sample=True, root=False)),
    "var_pop": (1, lambda xs: spread(xs, sample=False, root=False)),
    "median": (1, lambda xs: percentile(xs, 50)),
    "mode": (1, mode),
    "corr": (2, correlation),
    "count_distinct": (1, lambda xs: len(distinct(known(xs)))),
    "arg_max": (2, lambda xs, by: argument(xs, by, largest=True)),
    "arg_min": (2, lambda xs, by: argument(xs, by, largest=False)),
}

Frame = tuple[str, tuple[str, int], tuple[str, int]]


def ranks(keys: Sequence[tuple[Value, ...]]) -> list[int]:
    """1-based rank with gaps of sorted rows, from their sort keys."""
    return [keys.index(key) + 1 for key in keys]


def dense_ranks(keys: Sequence[tuple[Value, ...]]) -> list[int]:
    order = list(dict.fromkeys(keys))
    return [order.index(key) + 1 for key in keys]


def tiles(rows: int, parts: int) -> list[int]:
    """``ntile``: the first parts are one row longer when the rows do not divide evenly."""
    size, longer = divmod(rows, parts)
    sizes = [size + (part < longer) for part in range(parts)]
    return [part + 1 for part, size in enumerate(sizes) for _ in range(size)]


def framed(frame: Frame, number: int, keys: Values, descending: bool) -> range:
    """The rows of a frame around row ``number``; ``keys`` are the sort values, for ``range``."""
    kind, start, end = frame
    if kind == "rows":
        return range(
            max(0, _row_bound(start, number, 0)),
            min(len(keys), _row_bound(end, number, len(keys) - 1) + 1),
        )
    inside = [
        other
        for other in range(len(keys))
        if _not_before(start, keys, number, other, descending)
        and _not_after(end, keys, number, other, descending)
    ]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def _row_bound(bound: tuple[str, int], number: int, edge: int) -> int:
    word, amount = bound
    if word.startswith("unbounded"):
        return edge
    return number + {"preceding": -amount, "current_row": 0, "following": amount}[word]


def _limit(bound: tuple[str, int], key: Value, descending: bool) -> Value:
    word, amount = bound
    step = {"preceding": -amount, "current_row": 0, "following": amount}[word]
    return key - step if descending else key + step


def _not_before(
    bound: tuple[str, int], keys: Values, number: int, other: int, descending: bool
) -> bool:
    if bound[0].startswith("unbounded"):
        return True
    if keys[number] is None or keys[other] is None:
        # NULLs are last and peers of each other only.
        return keys[other] is None
    limit = _limit(bound, keys[number], descending)
    return compare("=<" if descending else ">=", keys[other], limit)


def _not_after(
    bound: tuple[str, int], keys: Values, number: int, other: int, descending: bool
) -> bool:
    if bound[0].startswith("unbounded"):
        return True
    if keys[number] is None or keys[other] is None:
        return keys[number] is None
    limit = _limit(bound, keys[number], descending)
    return compare(">=" if descending else "=<", keys[other], limit)
