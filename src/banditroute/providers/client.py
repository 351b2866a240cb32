"""The HTTP client of one upstream: where it calls, what it sends along, how it connects."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from banditroute.errors import ConfigError

MAX_CONNECTIONS = 1000  # the HTTP server's own limit is what holds requests back, not this
KEEPALIVE_S = 30.0
CONNECT_S = 10.0  # a host that drops packets is given up long before a slow model is

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


def endpoint(name: str, base_url: str) -> str:
    """The URL of chat completions under ``base_url``. Raises ConfigError if it is no URL."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError([f"provider {name}: base_url must be an http:// or https:// URL"])
    return str(url.copy_with(path=url.path.rstrip("/") + "/chat/completions"))


def call_headers(name: str, api_key: str | None, extra: Mapping[str, str]) -> dict[str, str]:
    """What every call sends; the operator's own headers win.

    Raises ConfigError naming the headers that cannot be sent, never their values.
    """
    key = (api_key or "").strip()  # keys read from files end in a newline
    headers = {"accept-encoding": "identity", "content-type": "application/json"}
    headers |= {"user-agent": "banditroute"} | ({"authorization": f"Bearer {key}"} if key else {})
    headers |= {header.lower(): value.strip() for header, value in extra.items()}
    bad = [h for h, v in headers.items() if not _is_header(h, v)]
    if bad:
        raise ConfigError([f"provider {name}: header {h!r} must be printable ASCII" for h in bad])
    return headers


def _is_header(header: str, value: str) -> bool:
    return bool(_HEADER_NAME.fullmatch(header) and _HEADER_VALUE.fullmatch(value))


def open_client(
    headers: Mapping[str, str],
    ssl_context: ssl.SSLContext,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """A client for the running loop; over aiohttp, at half the CPU of httpx's own transport."""

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=ssl_context
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return httpx.AsyncClient(
        headers=headers,
        transport=transport or AiohttpTransport(verify=ssl_context, client=session),
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )
