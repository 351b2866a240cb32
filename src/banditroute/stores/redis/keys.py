"""Where everything is kept. Documented for operators in ``docs/replicas.md``.

Every key of a router holds ``{router}``: Redis Cluster hashes that part alone, so that one
router lives in one slot and its scripts may touch all of its keys.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = "br1"
"""The layout's version, in front of every key. Another layout is another prefix."""

ROUTERS = f"{SCHEMA}:routers"
"""A set of the routers that have anything; the one key that belongs to no router."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one router's keys.

    ``meta`` hash: fingerprint, head (last position), nonce (of the last append), born (of the
    router itself, here) · ``log`` stream: entry ``POSITION-0`` with e (packed evidence), n
    (nonce of its append) · ``ids`` sorted set of decision ids, in order · ``saved`` hash:
    position → when its checkpoint was saved · ``news`` set of the ids of all that was announced.
    """

    router: str

    @property
    def meta(self) -> str:
        """The hash that says which log this is."""
        return self._key("meta")

    @property
    def log(self) -> str:
        """The stream of evidence."""
        return self._key("log")

    @property
    def ids(self) -> str:
        """The sorted set of decision ids."""
        return self._key("ids")

    @property
    def saved(self) -> str:
        """The hash of when each checkpoint was saved."""
        return self._key("saved")

    @property
    def news(self) -> str:
        """The set of ids of an operator's news."""
        return self._key("news")

    def checkpoint(self, position: int) -> str:
        """A checkpoint, a hash: fingerprint, payload, nonce."""
        return self._key(f"checkpoint:{position}")

    def decision(self, decision_id: str) -> str:
        """A decision, a hash with a time to live: body, outcome, marks, all packed."""
        return self._key(f"decision:{decision_id}")

    def arm(self, arm_id: str) -> str:
        """What was learned of an arm, a hash that people and other tools may read."""
        return self._key(f"arm:{arm_id}")

    def _key(self, name: str) -> str:
        return f"{SCHEMA}:{{{self.router}}}:{name}"
