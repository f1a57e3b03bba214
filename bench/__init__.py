"""Side-by-side benchmarks: Dovetail, DuckDB's own scanners, ConnectorX. See ``bench/README.md``."""
