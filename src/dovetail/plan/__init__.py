"""What a query means: frozen relational nodes, the expressions in them, and their SQL."""
