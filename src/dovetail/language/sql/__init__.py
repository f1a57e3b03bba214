"""SQL in DuckDB's dialect (others by option): judge, parse, bind."""
