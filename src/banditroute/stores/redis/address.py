"""A store's url, read into where to connect and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from banditroute.errors import StoreUnusable

FORMS = (
    "redis://host:6379/0, rediss://… (TLS), unix:///path/to/redis.sock, "
    "redis+sentinel://host:26379,host:26379/service or redis+cluster://host:6379,host:6379"
)
_DEFAULT_PORT = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_OPTIONS = {"ca", "sentinel_password"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis or Valkey is. Passwords stay out of its ``repr``.

    ``hosts`` are servers, sentinels or some of a cluster's nodes; ``path`` is a socket's.
    ``ca`` names a file of certificates to trust with ``tls``.
    """

    kind: Literal["single", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    db: int = 0
    service: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None


def parse_address(url: str) -> Address:
    """The address in a url. Raises StoreUnusable, which never repeats the url: it may hold
    a password.
    """
    scheme, _, rest = url.partition("://")
    base, _, kind = scheme.replace("valkey", "redis", 1).partition("+")
    try:
        if scheme == "unix":
            return _socket(url)
        if base not in {"redis", "rediss"} or kind not in {"", "sentinel", "cluster"}:
            raise ValueError("no such scheme")
        return _network(rest, kind or "single", tls=base == "rediss")
    except ValueError as error:
        raise StoreUnusable(f"[store] url cannot be used ({error}): write {FORMS}") from None


def _socket(url: str) -> Address:
    parts = urlsplit(url)
    if not parts.path.strip("/"):
        raise ValueError("no path")
    db = parse_qs(parts.query).get("db", ["0"])[0]
    return Address("single", path=parts.path, db=_number(db), password=_plain(parts.password))


def _network(rest: str, kind: str, *, tls: bool) -> Address:
    assert kind in {"single", "sentinel", "cluster"}  # noqa: S101 - of parse_address
    rest, _, query = rest.partition("?")
    netloc, _, path = rest.partition("/")
    login, _, hosts = netloc.rpartition("@")
    username, _, password = login.partition(":")
    options = {name: values[0] for name, values in parse_qs(query).items()}
    if unknown := set(options) - _OPTIONS:
        raise ValueError(f"unknown option {min(unknown)}")
    found = tuple(_host(host, _DEFAULT_PORT[kind]) for host in hosts.split(","))
    if kind == "single" and len(found) > 1:
        raise ValueError("several hosts are of a redis+sentinel:// or redis+cluster://")
    service, db = _path(path, kind)
    return Address(
        kind,  # type: ignore[arg-type]  # it is one of the three
        hosts=found,
        db=db,
        service=service,
        username=_plain(username),
        password=_plain(password),
        sentinel_password=options.get("sentinel_password"),
        tls=tls,
        ca=options.get("ca"),
    )


def _path(path: str, kind: str) -> tuple[str, int]:
    """The sentinel's service, and the database's number."""
    if kind == "sentinel":
        service, _, db = path.partition("/")
        if not service:
            raise ValueError("no service after the sentinels")
        return unquote(service), _number(db)
    if kind == "cluster" and path.strip("/0"):
        raise ValueError("a cluster has database 0 only")
    return "", _number(path)


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    try:
        return parts.hostname, parts.port or default_port
    except ValueError:
        raise ValueError("no such port") from None


def _number(text: str) -> int:
    if text and not text.isdecimal():
        raise ValueError("the database has a number")
    return int(text or 0)


def _plain(quoted: str | None) -> str | None:
    return unquote(quoted) if quoted else None
