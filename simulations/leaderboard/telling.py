"""Boards as the tables of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from boards import OURS, Board, Score, by_rank, mean_rank

from banditroute.simulation.report.numbers import interval

NONE = "–"


def overall(boards: list[Board]) -> str:
    """Every policy's rank on every board, best mean first."""
    heads = ["policy", "mean rank", *(board.title for board in boards)]
    rows = [
        [
            _named(policy),
            f"{mean_rank(boards, policy):.1f}",
            *(_rank(board.scores[policy]) for board in boards),
        ]
        for policy in by_rank(boards)
        if mean_rank(boards, policy) < float("inf")
    ]
    return _markdown("Ranks", heads, rows)


def table(boards: list[Board]) -> str:
    """One set: reward, rank and regret of every policy on each of its boards."""
    heads = ["policy", *(head for board in boards for head in _heads(board))]
    rows = [
        [_named(policy), *(cell for board in boards for cell in _cells(board.scores[policy]))]
        for policy in by_rank(boards)
    ]
    return _markdown(boards[0].data, heads, rows)


def _heads(board: Board) -> Iterator[str]:
    yield "quality" if board.value_usd is None else f"utility at ${board.value_usd:g}"
    yield from ("rank", "regret a request")


def _cells(score: Score) -> Iterator[str]:
    yield interval(score.reward)
    yield _rank(score)
    yield interval(score.regret)


def _rank(score: Score) -> str:
    return NONE if score.rank is None else str(score.rank)


def _named(policy: str) -> str:
    return f"**{policy}**" if policy in OURS else policy


def _markdown(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])
