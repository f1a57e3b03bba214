"""``dovetail tui``: the full-screen interface, on Textual.

* :mod:`~dovetail.interfaces.tui.app`: the application; catalog, buffers, status, what keys do
* :mod:`~dovetail.interfaces.tui.buffer`: an editor with its results, and the runs of its queries
* :mod:`~dovetail.interfaces.tui.editor`, :mod:`~dovetail.interfaces.tui.catalog`,
  :mod:`~dovetail.interfaces.tui.result`: the three panes
* :mod:`~dovetail.interfaces.tui.view`, :mod:`~dovetail.interfaces.tui.analyst`,
  :mod:`~dovetail.interfaces.tui.cells`, :mod:`~dovetail.interfaces.tui.grid`: a result on screen:
  how it is looked at, answered about, written, painted
* :mod:`~dovetail.interfaces.tui.keymap`, :mod:`~dovetail.interfaces.tui.keys`: all keys, as data
* :mod:`~dovetail.interfaces.tui.screens`: what lies over the panes: help, history, plan, export
"""
