from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from banditroute.providers.sse import EventParser, EventTooLongError


def parse(*pieces, limit=10_000):
    parser = EventParser(limit)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\ndata\n\n", [b"\n"]),
        (b"data:\n\n", [b""]),
        (b": comment\n\ndata: a\n\n", [b"a"]),
        (b"data: a\n: comment\ndata: b\n\n", [b"a\nb"]),
        (b"event: error\nid: 7\nretry: 3\ndata: a\n\n", [b"a"]),
        (b"database: no\n\n", []),
        (b"\n\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"", []),
    ],
)
def test_events_are_taken_apart_as_the_standard_says(stream, events):
    assert parse(stream) == events


def test_an_event_is_given_out_as_soon_as_its_empty_line_has_come():
    parser = EventParser(1000)
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\nda") == [b"a"]
    assert parser.feed(b"ta: b\r\n\r\n") == [b"b"]


def test_a_carriage_return_at_the_edge_of_a_piece_may_be_half_of_a_newline():
    parser = EventParser(1000)
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\ndata: b\r\n\r\n") == [b"a\nb"]


def test_a_lone_carriage_return_ends_its_line_when_more_has_come():
    parser = EventParser(1000)
    assert parser.feed(b"data: a\r\r") == []
    assert parser.feed(b"x") == [b"a"]


LINES = st.lists(
    st.sampled_from(
        [b"data: {}", b"data: \xf0\x9f\x90\x8e", b":", b"x: y", b"", b"", b"\n", b"\r", b"\r\n"]
    ),
    max_size=30,
)


@given(lines=LINES, newline=st.sampled_from([b"\n", b"\r\n", b"\r"]), data=st.data())
@example(lines=[b"data: a", b""], newline=b"\r\n", data=None)
def test_where_the_network_cuts_makes_no_difference(lines, newline, data):
    stream = newline.join([*lines, b""])
    cuts = range(1, len(stream))
    if data is not None:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert parse(*pieces) == parse(stream)


@given(st.lists(st.binary(max_size=50)))
def test_no_bytes_break_the_parser(pieces):
    parse(*pieces)


@pytest.mark.parametrize("piece", [b"x" * 60, b"data: " + b"x" * 54 + b"\n"])
def test_an_event_that_never_ends_is_refused(piece):
    parser = EventParser(100)
    assert parser.feed(piece) == []
    with pytest.raises(EventTooLongError):
        parser.feed(piece)


def test_many_small_events_never_reach_the_limit():
    parser = EventParser(10)
    assert sum(len(parser.feed(b"data: 1234567\n\n")) for _ in range(100)) == 100
