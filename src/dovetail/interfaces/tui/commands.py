"""The actions of the application that belong to no single pane, and the ``:`` commands."""

from __future__ import annotations

from dovetail.interfaces.tui.command_catalog import CatalogKeys
from dovetail.interfaces.tui.command_editing import Editing
from dovetail.interfaces.tui.command_line import CommandLine
from dovetail.interfaces.tui.command_running import Running
from dovetail.interfaces.tui.command_screens import Screens


class Commands(Running, Editing, Screens, CatalogKeys, CommandLine):
    """What the application does on its own keys."""
