"""Functions that analysts miss: a library of macros, and what is known of every function.

* ``macros.sql``: the macros, each with its family, description and examples
* :mod:`~dovetail.functions.macros`: reads that file
* :mod:`~dovetail.functions.expand`: writes the bodies of macros in place of their calls
* :mod:`~dovetail.functions.registry`: all functions, the engine's and ours, for ``functions``
* :mod:`~dovetail.functions.elsewhere`: names from other tools, and what to write instead

A macro is expanded before the query is planned, so its parts are ordinary SQL that can be pushed
to a source. No engine and no source ever knows a macro.
"""
