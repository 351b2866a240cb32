"""Durations and addresses, one value at a time."""

import pytest

from banditroute.config.units import HalfLife, duration_s, half_life, written
from banditroute.config.urls import store_url, upstream_url, without_password


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *(("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600)),
        *(("1.5h", 5400), (" 10 s ", 10), (45, 45), (0.5, 0.5)),
    ],
)
def test_a_duration_is_read_in_seconds(written, seconds):
    assert duration_s(written) == seconds


@pytest.mark.parametrize("written", ["soon", "", "30", "d", "-1d", "1d2h", "1 month", True, None])
def test_what_is_no_duration_is_refused_with_examples(written):
    with pytest.raises(ValueError, match='"30d"'):
        duration_s(written)


@pytest.mark.parametrize(
    ("told", "life"),
    [
        ("off", HalfLife()),
        ("14d", HalfLife(s=1_209_600.0)),
        (2000, HalfLife(n=2000.0)),
        (50, HalfLife(n=50.0)),
    ],
)
def test_a_half_life_is_time_or_readings_or_off_and_is_written_so_that_it_reads_back(told, life):
    assert half_life(told) == life
    assert half_life(written(life)) == life


@pytest.mark.parametrize("told", ["on", "", "-1d", "0s", 49, 0, -5, float("inf"), True, None])
def test_what_is_no_half_life_is_refused_with_examples(told):
    with pytest.raises(ValueError, match='"14d"'):
        half_life(told)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:11434/v1",
        "http://[::1]:8000",
        "http://vllm/",
        "https://x.openai.azure.com/openai/deployments/d/?api-version=2024-10-21",
    ],
)
def test_an_upstream_may_be_anywhere_with_a_host(url):
    assert upstream_url(url) == url


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fd00:ec2::254]",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_metadata_addresses_are_refused_in_every_spelling(host):
    with pytest.raises(ValueError, match="link-local or metadata"):
        upstream_url(f"http://{host}/v1")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "api.openai.com/v1",
        "https://",
        "",
        "https://user:CANARY@host/v1",
        "https://host/v1?key=CANARY",
        "https://host/v1?a=b&access_token=CANARY",
        "https://host/v1#CANARY",
        "https://ho st/CANARY",
        "https://host/\nCANARY",
        "https://host:CANARY/v1",
        "https://[::1/CANARY",
    ],
)
def test_an_unusable_upstream_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match=r"must|is not a URL") as caught:
        upstream_url(url)
    assert "CANARY" not in str(caught.value)


STORES = {
    "memory://": "memory://",
    "sqlite:///b.db": "sqlite:///b.db",
    "sqlite:////var/lib/b.db": "sqlite:////var/lib/b.db",
    "redis://host": "redis://host",
    "redis://[::1]:6379/2": "redis://[::1]:6379/2",
    "rediss://me:pass%40@host:1/0?ca=/ca.pem": "rediss://me:***@host:1/0?ca=/ca.pem",
    "valkey://:pass@host": "valkey://:***@host",
    "unix:///run/redis.sock?db=1": "unix:///run/redis.sock?db=1",
    "redis+cluster://:pass@a:1,b:2": "redis+cluster://:***@a:1,b:2",
    "redis+sentinel://u:pass@a:1,b/main/3?sentinel_password=too": (
        "redis+sentinel://u:***@a:1,b/main/3?sentinel_password=***"
    ),
}


@pytest.mark.parametrize("url", STORES)
def test_a_store_is_named_by_its_url(url):
    assert store_url(url) == url


@pytest.mark.parametrize(("url", "shown"), STORES.items())
def test_a_stores_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://", "HOST:PORT"),
        ("redis://a,b", "cluster"),
        ("redis://:SECRET@", "HOST:PORT"),
        ("redis+sentinel://a:1,b:2", "SERVICE"),
        ("redis+cluster://a:1/3", "cluster"),
        ("unix://", "unix:///PATH"),
        ("redis+other://host", "must be"),
        ("sqlite://b.db", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("memory://x", "must be"),
        ("postgres://u:SECRET@h", "must be"),
        ("", "must be"),
    ],
)
def test_other_stores_are_refused_without_repeating_them(url, words):
    with pytest.raises(ValueError, match=words) as caught:
        store_url(url)
    assert "SECRET" not in str(caught.value)
