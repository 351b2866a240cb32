"""The store of one process, which forgets everything at the end.

``store`` is what the outside sees; ``router`` holds what is kept of one router.
"""

from banditroute.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
