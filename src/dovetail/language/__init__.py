"""The languages a query can be written in; each compiles to the same plan."""
