"""The shared store: many replicas, one log per router, in Redis or Valkey.

``store`` is what the outside sees; ``address`` reads the url, ``link`` speaks to the server,
``scripts`` holds the few scripts that do all writing, ``keys`` says where what is kept.
"""

from banditroute.stores.redis.address import Address, parse_address
from banditroute.stores.redis.link import Link, connect
from banditroute.stores.redis.store import RedisStore

__all__ = ["Address", "Link", "RedisStore", "connect", "parse_address"]
