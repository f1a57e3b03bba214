"""Migrations of the store; :mod:`dovetail.workspace.schema` runs them."""
