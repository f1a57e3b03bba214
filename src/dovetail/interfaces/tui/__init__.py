"""``dovetail tui``: the full-screen interface, on Textual.

* :mod:`~dovetail.interfaces.tui.app`: the application: start, end, messages, faults; with its
  :mod:`~dovetail.interfaces.tui.layout`, :mod:`~dovetail.interfaces.tui.status` lines,
  :mod:`~dovetail.interfaces.tui.commands` (what keys do) and
  :mod:`~dovetail.interfaces.tui.runner` (statements, one after another)
* :mod:`~dovetail.interfaces.tui.buffers`, :mod:`~dovetail.interfaces.tui.buffer`: editors as tabs,
  each with its results and the runs of its queries
* :mod:`~dovetail.interfaces.tui.editor`, :mod:`~dovetail.interfaces.tui.catalog`,
  :mod:`~dovetail.interfaces.tui.result`: the three panes
* :mod:`~dovetail.interfaces.tui.view`, :mod:`~dovetail.interfaces.tui.analyst`,
  :mod:`~dovetail.interfaces.tui.cells`, :mod:`~dovetail.interfaces.tui.grid`: a result on screen:
  how it is looked at, answered about, written, painted
* :mod:`~dovetail.interfaces.tui.keymap`, :mod:`~dovetail.interfaces.tui.keys`: all keys, as data
* :mod:`~dovetail.interfaces.tui.screens`: what lies over the panes: help, history, plan, export
"""
