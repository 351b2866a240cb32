"""A store's url, read into where to connect."""

from __future__ import annotations

import pytest

from banditroute.errors import StoreUnusable
from banditroute.stores.redis import Address, parse_address

FORMS = {
    "redis://host": Address("single", (("host", 6379),)),
    "redis://host/": Address("single", (("host", 6379),)),
    "valkey://host:1/3": Address("single", (("host", 1),), db=3),
    "redis://[::1]:2": Address("single", (("::1", 2),)),
    "redis://me:a%40b%2F@host": Address(
        "single", (("host", 6379),), username="me", password="a@b/"
    ),
    "rediss://:pw@host?ca=/etc/ca.pem": Address(
        "single", (("host", 6379),), password="pw", tls=True, ca="/etc/ca.pem"
    ),
    "unix:///run/r.sock?db=2": Address("single", path="/run/r.sock", db=2),
    "unix://:pw@/run/r.sock": Address("single", path="/run/r.sock", password="pw"),
    "redis+sentinel://a,b:3/main": Address("sentinel", (("a", 26379), ("b", 3)), service="main"),
    "redis+sentinel://u:pw@a/main/4?sentinel_password=too": Address(
        "sentinel",
        (("a", 26379),),
        db=4,
        service="main",
        username="u",
        password="pw",
        sentinel_password="too",
    ),
    "rediss+cluster://a:1,b:2/0": Address("cluster", (("a", 1), ("b", 2)), tls=True),
    "valkeys+cluster://a": Address("cluster", (("a", 6379),), tls=True),
}


@pytest.mark.parametrize(("url", "address"), FORMS.items())
def test_a_url_says_where_to_connect(url: str, address: Address):
    assert parse_address(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host", "no such scheme"),
        ("redis+proxy://host", "no such scheme"),
        ("redis://:SECRET@", "no host"),
        ("redis://host:port-SECRET", "cannot be used"),
        ("redis://host/SECRET", "cannot be used"),
        ("redis://a,b", "several hosts"),
        ("redis://host?SECRET=1", "unknown option"),
        ("redis+sentinel://u:SECRET@a:1", "no service"),
        ("redis+cluster://a/3", "database 0 only"),
        ("unix://", "no path"),
    ],
)
def test_any_other_url_is_refused_without_repeating_a_value(url: str, words: str):
    with pytest.raises(StoreUnusable, match=words) as caught:
        parse_address(url)
    said = str(caught.value).replace("unknown option SECRET", "")  # a name, not a value
    assert "SECRET" not in said
    assert "redis+cluster://host" in said


def test_passwords_are_not_shown():
    address = parse_address("redis+sentinel://u:SECRET@a/main?sentinel_password=SECRET")
    assert "SECRET" not in repr(address)
