"""Logic rules: Prolog syntax, compiled to the same relational plan as SQL.

``syntax`` (text → clauses of terms), ``program`` (clauses → predicates, sources, goals), ``solver``
and what it calls (a body → plan nodes), ``relations`` (predicates → definitions), ``compiler`` (a
goal → one plan). What is refused is a
:class:`~dovetail.language.rules.diagnostics.RulesError` with a code and a place.
"""
