"""A closed view: the tables of a session under given names, and nothing else.

Neither tables nor errors may tell of anything beyond: a suggestion is always one of the names.
"""

from __future__ import annotations

from collections.abc import Mapping

from dovetail.catalog.catalogs import Catalogs, near_names
from dovetail.catalog.model import TableInfo
from dovetail.errors import RefusedError, StaleCatalogError, UnknownNameError
from dovetail.language.sql.judge import FileFunction, TableRef


class OnlyTables:
    """``tables`` maps a name to ``(source, schema, table)``; schema None is the default one."""

    def __init__(
        self, tables: Mapping[str, tuple[str, str | None, str]], catalogs: Catalogs
    ) -> None:
        self._names = tuple(tables)
        self._places = {name.lower(): place for name, place in tables.items()}
        self._catalogs = catalogs

    def find(self, ref: TableRef) -> TableInfo:
        """The table of that name.

        Raises:
            UnknownNameError: the name is none of these; near ones are listed.
            StaleCatalogError: it is, and its source no longer has the table.
        """
        bare = not ref.catalog and not ref.schema
        place = self._places.get(ref.name.lower()) if bare else None
        if place is None:
            near = near_names(ref.name, self._names)
            valid = ", ".join(sorted(self._names)[:5])
            tail = f"did you mean {' or '.join(near)}?" if near else f"there is {valid or 'none'}"
            raise UnknownNameError(
                f'no table "{ref.text}"; {tail}',
                location=ref.location,
                suggestions=near,
                table=ref.text,
            )
        source, schema, name = place
        table = self._catalogs.get_table(source, schema, name)
        if table is None:
            raise StaleCatalogError(
                f"{ref.name}: source {source} has no table {name} any more",
                source=source,
                table=name,
            )
        return table

    def no_file(self, call: FileFunction) -> RefusedError:
        """The error for a call that reads a file."""
        valid = ", ".join(sorted(self._names)[:5])
        return RefusedError(
            f'"{call.name}" reads files, and this query may read only its tables ({valid})',
            location=call.location,
        )
