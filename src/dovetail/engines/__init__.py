"""Engines run the residual plan: DuckDB in this process."""
