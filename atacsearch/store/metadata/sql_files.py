"""Finds the SQL files: beside the package in a wheel, in the repository root in a checkout.

One statement group a file: `migrations/<number>_<what>.sql` make the schema, `queries/<name>.sql` answer.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]


@cache
def sql_folder() -> Path:
    """The folder that holds `migrations/` and `queries/`."""
    for folder in (_PACKAGE / "sql", _PACKAGE.parent / "sql"):
        if (folder / "migrations").is_dir():
            return folder
    raise FileNotFoundError(f"the SQL files of atacsearch are missing: neither {_PACKAGE}/sql nor beside it")


@cache
def query(name: str) -> str:
    """Text of `queries/<name>.sql`."""
    return (sql_folder() / "queries" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def migrations() -> tuple[tuple[int, str, str], ...]:
    """All migrations in order, as (version, name, text)."""
    files = sorted((sql_folder() / "migrations").glob("*.sql"))
    return tuple((int(f.stem.split("_")[0]), f.stem, f.read_text(encoding="utf-8")) for f in files)
