"""Logic rules: Prolog syntax, compiled to the same relational plan as SQL.

``syntax`` (text → clauses of terms), ``program`` (clauses → predicates, sources, goals),
``compiler`` and its helpers (bodies → plan nodes). What is refused is a
:class:`~dovetail.language.rules.diagnostics.RulesError` with a code and a place.
"""
