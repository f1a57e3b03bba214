"""SQL under a person's hands: what the shell and the full-screen interface share.

* :mod:`~dovetail.editing.tokens`: a lexer that takes text which is not finished yet
* :mod:`~dovetail.editing.statements`: the statements of a text, and the one under the cursor
* :mod:`~dovetail.editing.scope`: the tables that a statement has in scope
* :mod:`~dovetail.editing.schema`: names of tables, columns and functions, never waited for
* :mod:`~dovetail.editing.complete`: what could stand at the cursor
* :mod:`~dovetail.editing.history`: the queries that were run, on disk
"""
