"""Links to a stand-in for Redis in this very process."""

from collections.abc import Callable

import fakeredis
from fakeredis import aioredis

from banditroute.stores.redis import Link


def fake_links() -> Callable[[], Link]:
    """Makes links that all lead to one fake server."""
    server = fakeredis.FakeServer()

    def client() -> aioredis.FakeRedis:
        return aioredis.FakeRedis(server=server, protocol=3)

    return lambda: Link(client(), client())
