"""Which addresses a configuration may name. Nothing here touches the network.

The checks see the address as it is written. A host name that resolves to a forbidden
address is not caught here; the operator's resolver is trusted.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import SplitResult, parse_qsl, urlsplit

_METADATA_HOSTS = frozenset({"metadata.google.internal", "metadata"})
_METADATA_V6 = ipaddress.ip_address("fd00:ec2::254")  # the EC2 metadata service over IPv6
_CREDENTIAL = re.compile(r"auth|key|token|secret|cookie|password|credential|^sig", re.IGNORECASE)
_SQLITE = "sqlite:///"
_REDIS_SCHEME = re.compile(r"unix|(?:redis|valkey)s?(?:\+sentinel|\+cluster)?")
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?"
_HOSTS = f"{_HOST}(?:,{_HOST})*"
_REDIS = re.compile(
    r"(?:unix://(?:[^@/\s]*@)?/[^?\s]+|(?:redis|valkey)s?(?:"
    rf"://(?:[^@/\s]*@)?{_HOST}(?:/\d*)?"
    rf"|\+cluster://(?:[^@/\s]*@)?{_HOSTS}(?:/0?)?"
    rf"|\+sentinel://(?:[^@/\s]*@)?{_HOSTS}/[^/?\s]+(?:/\d*)?"
    r"))(?:\?\S*)?"
)
_REDIS_FORMS = (
    'must be "redis://HOST:PORT/DB" (rediss:// for TLS), "unix:///PATH", '
    '"redis+sentinel://HOST:PORT,HOST:PORT/SERVICE" or "redis+cluster://HOST:PORT,HOST:PORT"'
)
_PASSWORDS = re.compile(r"(?<=:)[^:@/]+(?=@)|(?<=password=)[^&]+")


def upstream_url(value: str) -> str:
    """A provider's ``base_url``, unchanged. Raises ValueError if it cannot or must not be used.

    A query stays (Azure wants ``?api-version=``), unless it looks like a credential. No message
    repeats the URL, because people paste keys into URLs.
    """
    parts = _split(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; use api_key or headers")
    if parts.fragment or any(is_credential(name) for name, _ in parse_qsl(parts.query)):
        raise ValueError("must not hold a # or a key; use api_key or headers")
    if _is_metadata(parts.hostname):
        raise ValueError("names a link-local or metadata address, which is never a model's")
    return value


def is_credential(name: str) -> bool:
    """Whether a header or a query parameter of this name would be a secret."""
    return _CREDENTIAL.search(name) is not None


def store_url(value: str) -> str:
    """A store's URL, unchanged. Raises ValueError, which repeats nothing of it, for any other."""
    scheme = value.partition(":")[0]
    if value == "memory://" or (value.startswith(_SQLITE) and len(value) > len(_SQLITE)):
        return value
    if scheme == "sqlite":
        raise ValueError('must name a file: "sqlite:///banditroute.db", "sqlite:////var/lib/b.db"')
    if _REDIS.fullmatch(value):
        return value
    if _REDIS_SCHEME.fullmatch(scheme):
        raise ValueError(_REDIS_FORMS)
    raise ValueError('must be "sqlite:///FILE", "redis://HOST:PORT/DB" or "memory://"')


def without_password(url: str) -> str:
    """A store's URL as it may be shown."""
    return _PASSWORDS.sub("***", url)


def _split(value: str) -> SplitResult:
    """The URL's parts. urlsplit drops line breaks silently and reads the port late: not here."""
    if any(character <= " " or character == "\x7f" for character in value):
        raise ValueError("must not hold spaces or control characters")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL; check the host and the port") from None
    return parts


def _is_metadata(host: str) -> bool:
    """Link-local (169.254.0.0/16, fe80::/10) or a cloud's metadata service, however spelled."""
    host = host.rstrip(".").lower()
    if host in _METADATA_HOSTS:
        return True
    address = _address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and (address.is_link_local or address == _METADATA_V6)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a literal host stands for; None for a name.

    inet_aton knows the spellings that resolvers accept and ipaddress refuses:
    ``2852039166``, ``0xa9fea9fe`` and ``169.254.43518`` are all 169.254.169.254.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
