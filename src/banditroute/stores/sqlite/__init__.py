"""The embedded store: everything in one SQLite file.

``store`` is what the outside sees; ``group_commit`` is its one writer, ``schema`` opens the
file; ``ledger``, ``upkeep`` and ``transfer`` are what is done in it, as SQL.
"""

from banditroute.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
