"""The ``dovetail`` command.

* :mod:`~dovetail.interfaces.cli.main`: from the arguments to an exit code
* :mod:`~dovetail.interfaces.cli.app`: the commands and their flags
* :mod:`~dovetail.interfaces.cli.diagnostics`: the one module that writes to stderr
* :mod:`~dovetail.interfaces.cli.interrupt`: Ctrl-C, SIGTERM, and what they end

Data goes to stdout and nothing else does. Start-up time is a feature: no module here imports
anything heavy at its top; DuckDB, Arrow, sqlglot and the drivers load when a command needs them.
"""
