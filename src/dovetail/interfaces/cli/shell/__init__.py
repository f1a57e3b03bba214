"""``dovetail shell``: a line-based shell over a session.

* :mod:`~dovetail.interfaces.cli.shell.shell`: the loop and what it remembers
* :mod:`~dovetail.interfaces.cli.shell.commands`: ``.tables``, ``\\d`` and their kin
* :mod:`~dovetail.interfaces.cli.shell.prompt`: editing, completion and search, by prompt_toolkit
* :mod:`~dovetail.interfaces.cli.shell.foreground`: work that Ctrl-C ends
"""
