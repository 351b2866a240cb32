"""``banditroute keys``: a key is shown once, and the table that goes with it is sound."""

import io
import re

import pytest

from banditroute.cli.app import run
from banditroute.config import default_text, parse
from banditroute.http.keyring import hash_of


def test_a_new_key_fits_the_table_that_is_printed(capsys):
    assert run(["keys", "new", "team-search", "--roles", "client, admin"]) == 0
    printed = capsys.readouterr().out
    [key] = re.findall(r"^br-[\w-]{43}$", printed, re.MULTILINE)
    table = printed[printed.index("[[keys]]") :]
    assert key not in table
    [settings] = parse(default_text() + "\n" + table, {}).keys
    assert (settings.name, settings.roles) == ("team-search", ("client", "admin"))
    assert settings.hash == hash_of(key)


def test_two_keys_are_never_the_same(capsys):
    assert run(["keys", "new", "a"]) == run(["keys", "new", "a"]) == 0
    keys = re.findall(r"^br-\S+$", capsys.readouterr().out, re.MULTILINE)
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    "arguments", [["two words"], ["a", "--roles", "root"], ["a", "--roles", ""]]
)
def test_what_the_configuration_would_refuse_is_refused_here(arguments, capsys):
    assert run(["keys", "new", *arguments]) == 2
    assert "br-" not in capsys.readouterr().out


def test_a_key_of_ones_own_is_hashed(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("my-own-key\n"))
    assert run(["keys", "hash"]) == 0
    assert capsys.readouterr().out.strip() == hash_of("my-own-key")


@pytest.mark.parametrize("sent", ["", "\n", "two words\n", "schlüssel\n"])
def test_what_is_no_key_is_not_hashed(sent, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(sent))
    assert run(["keys", "hash"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "stdin" in said.err
