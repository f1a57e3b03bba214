"""Names from other tools: what DuckDB calls the same, and what is left out on purpose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """``write`` is what to write here; ``mind`` what is different, or why there is none."""

    name: str
    write: str
    mind: str = ""


def _of(text: str) -> dict[str, Elsewhere]:
    found = {}
    for line in text.strip().splitlines():
        names, write, mind = (part.strip(" |") for part in (*line.split(" | "), "")[:3])
        for name in names.split(", "):
            found[name] = Elsewhere(name, write, mind)
    return found


NAMES = _of("""
var_population | var_pop(x) | variance is the sample form
stddev_list | list_stddev_samp([1, 2, 3]) | of a list in one row
skew | skewness(x) | an aggregate over rows
quotient | a // b | whole part of a division
iif | if(condition, a, b) |
greatest_label | arg_max(label, value) | over rows
indexof | instr(s, part) | counts from 1; 0 is not found
mid | substring(s, start, length) | counts from 1
edit_distance | levenshtein(a, b) |
textjoin | concat_ws(separator, a, b) | passes over NULL
tokenize | regexp_extract_all(s, '[^ ]+') |
format_number | format('{:,.2f}', x) |
format_date | strftime(d, '%Y-%m-%d') |
parse_datetime | strptime(s, '%Y-%m-%d %H:%M:%S') | try_strptime gives NULL instead of an error
unix_timestamp | epoch(ts) | seconds, with a fraction
from_unixtime | to_timestamp(seconds) | with a time zone
week_of_year | week(d) | ISO weeks
sequence, series | generate_series(1, 50) | range leaves the end out
split_to_table | unnest(string_split(s, ',')) | a row for each part
hex_to_int | ('0x' || s)::BIGINT | from_hex gives a BLOB
bigadd, bigmul, bigpow | HUGEINT arithmetic: a::HUGEINT + b | or the BIGNUM type, of any size
nvl, isnull | coalesce(a, b) |
len_bytes | octet_length(s::BLOB) | length counts characters
getdate, sysdate | now() | one value per query
to_char | strftime(d, format) | its letters begin with %
to_date | strptime(s, format)::DATE |
charindex, locate | instr(s, part) | the text first, then the part
listagg_within | string_agg(x, ',' ORDER BY y) |
rownum | row_number() OVER () |
top | LIMIT n |
""")
"""By name, in small letters."""

_PUZZLE = "not an analyst's question, so it was left out"
_CONSTANT = "one-letter and constant names collide with columns, so they were left out"

LEFT_OUT = _of(f"""
is_prime, next_prime, fibonacci, collatz, sum_series | range(…) with a WHERE | {_PUZZLE}
speed_of_light, avogadro, planck, boltzmann, gravity, orbital_period | a number | {_CONSTANT}
int_max, int_min, bigint_max | 2147483647 and so on | {_CONSTANT}
bit_string_and, bit_string_or | BIT values: '101'::BIT & '011'::BIT | DuckDB has a type for it
morse, pig_latin, rot13, scramble, lorem_ipsum | translate(s, from, to) | {_PUZZLE}
roman, to_roman, number_to_words, to_words | format('{{:,}}', x) | a library's work
currency_name | a table of currencies, joined | changes with time and language
soundex | jaro_winkler_similarity(a, b) | made for English surnames only
sha512 | sha256(s) | not in the engine
irr, xirr | npv(rate, flows) at some rates | needs iteration, which SQL has not
""")
"""Functions of other tools that there are not here, with the nearest that there is."""
