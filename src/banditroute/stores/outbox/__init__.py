"""What a replica promised, on its own disk, until the shared store surely has it.

Whatever is written goes to a local SQLite file first, and from there to the remote store; it
stays in the file for as long as decisions live. So feedback that was acknowledged survives a
remote store that is away, and one that lost its last writes or all of them. ``store`` is what
the outside sees; ``lane`` brings one router's rows over, in order; ``file`` keeps the rows, in
a ``folder`` where every process has a file of its own.
"""

from banditroute.stores.outbox.store import OutboxStore

__all__ = ["OutboxStore"]
