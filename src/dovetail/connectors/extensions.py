"""Where the DuckDB extension binaries lie that come as packages; nothing is downloaded."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from dovetail.errors import ConfigError

# The extra of this project that brings a bundled extension; "" when a plain install has it.
_EXTRAS = {"sqlite_scanner": "", "postgres_scanner": "postgres", "mysql_scanner": "", "tpcds": ""}


@lru_cache(maxsize=32)
def extension_path(name: str) -> str:
    """The path of the signed binary of the DuckDB extension ``name``, to be given to ``LOAD``.

    It lies in the package ``duckdb-extension-NAME`` in a folder named after the DuckDB version it
    was built for. Raises :class:`dovetail.errors.ConfigError` when the package is missing (naming
    the extra that brings it) or was built for another version of DuckDB.
    """
    pip_name = f"duckdb-extension-{name.replace('_', '-')}"
    spec = find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        extra = _EXTRAS.get(name)
        install = f"'dovetail[{extra}]'" if extra else pip_name
        raise ConfigError(
            f"the DuckDB extension {name} is not installed; install it with: pip install {install}"
        )
    import duckdb

    version = f"v{duckdb.__version__}"
    folders = [Path(place) / "extensions" for place in spec.submodule_search_locations]
    for folder in folders:
        path = folder / version / f"{name}.duckdb_extension"
        if path.is_file():
            return str(path)
    found = sorted(path.parent.name for f in folders for path in f.glob("*/*.duckdb_extension"))
    raise ConfigError(
        f"the package {pip_name} holds {name} for DuckDB {', '.join(found) or 'no version'}, "
        f"but DuckDB {duckdb.__version__} is installed; install it with: "
        f"pip install {pip_name}=={duckdb.__version__}"
    )
