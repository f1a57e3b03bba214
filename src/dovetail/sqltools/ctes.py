"""``sql extract-cte``: one common table expression as a query of its own."""

from __future__ import annotations

from sqlglot import exp

from dovetail.sqltools.stars import unknown_cte
from dovetail.sqltools.text import read, write


def extracted(sql: str, name: str) -> str:
    """A query that selects everything of the expression ``name``, with those that it needs.

    Raises:
        UnknownNameError: there is no such expression.
    """
    tree = read(sql)
    ctes = {cte.alias_or_name.lower(): cte for cte in tree.find_all(exp.CTE)}
    wanted = name.lower()
    if wanted not in ctes:
        raise unknown_cte(name, [cte.alias_or_name for cte in ctes.values()])
    needed = {wanted}
    open_ = [wanted]
    while open_:
        for table in ctes[open_.pop()].find_all(exp.Table):
            other = table.name.lower()
            if not table.args.get("db") and other in ctes and other not in needed:
                needed.add(other)
                open_.append(other)
    recursive = any(
        with_.args.get("recursive")
        for with_ in tree.find_all(exp.With)
        if any(cte.alias_or_name.lower() in needed for cte in with_.expressions)
    )
    kept = [cte.copy() for key, cte in ctes.items() if key in needed]
    inner = {c.alias_or_name.lower() for cte in kept for c in cte.this.find_all(exp.CTE)}
    kept = [cte for cte in kept if cte.alias_or_name.lower() not in inner]
    made = exp.select("*").from_(exp.to_identifier(ctes[wanted].alias_or_name))
    made.set("with_", exp.With(expressions=kept, recursive=recursive))
    return write(made, sql)
