"""A small company to try things on: made up, and the same on every machine.

* :mod:`~dovetail.demo.company`: the customers, products, orders, shipments and returns
* :mod:`~dovetail.demo.storage`: the company spread over a SQLite file, a DuckDB file, CSV, JSON
  lines and Parquet, with a ``dovetail.yaml`` beside them
* :mod:`~dovetail.demo.servers`: part of it on a PostgreSQL and a MariaDB or MySQL server
* :mod:`~dovetail.demo.tour`: the queries that ``dovetail demo`` runs and suggests

It is a package of its own because the command line, the tests and later the other interfaces all
use the same company.
"""
