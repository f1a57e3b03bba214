"""Scripts of several statements, over one session.

* :mod:`~dovetail.script.statements`: a text as statements, each of a kind that may run
* :mod:`~dovetail.script.desk`: runs them, and keeps the temporary tables and views they make
"""
