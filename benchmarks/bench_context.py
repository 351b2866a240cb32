"""How long the context of a request takes, in microseconds.

    python benchmarks/bench_context.py [--repeats 3000]

Five declared tasks with three examples each, text and tags on. Prints p50, p95 and p99 for
prompts of several sizes, then what each step of a 500-token prompt takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter_ns

import numpy as np

from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.context.grams import grams
from banditroute.core.context.request import read
from banditroute.core.context.shape import shape
from banditroute.core.context.text import shipped_projection
from banditroute.core.context.words import Words
from banditroute.values import Request, Wishes

SENTENCES = (
    "A shop sells 24 boxes of pencils for $3.50 each and wants to know its profit. ",
    "Please explain, step by step, how you would sort a list of orders by date. ",
    "The customer writes that the parcel never arrived; what should we answer? ",
    "def total(rows): return sum(row.price for row in rows) fails on an empty list. ",
)
TASKS = tuple(
    TaskSpec(name, tuple(f"{name}: {sentence}" for sentence in SENTENCES[:3]))
    for name in ("support", "code", "maths", "writing", "search")
)
SIZES = {"50 tokens": 200, "500 tokens": 2_000, "5,000 tokens": 20_000, "1 MB": 1_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=3000)
    repeats = parser.parse_args().repeats
    featurizer = Featurizer(tasks=TASKS)
    print(f"dimension {featurizer.dimension}, {repeats} repeats\n{'µs':24}   p50   p95   p99")
    for name, size in SIZES.items():
        request = _request(size)
        _report(name, lambda request=request: featurizer.context(request), repeats)
    print("\nsteps of 500 tokens")
    for name, step in _steps(_request(SIZES["500 tokens"])).items():
        _report(name, step, repeats)


def _request(size: int) -> Request:
    text = ("".join(SENTENCES) * (size // len(SENTENCES[0])))[:size]
    messages = [
        {"role": "system", "content": "You are a helpful assistant of a shop."},
        {"role": "user", "content": text},
    ]
    return Request({"messages": messages, "max_tokens": 512}, Wishes(task="billing", tags=("eu",)))


def _steps(request: Request) -> dict[str, Callable[[], object]]:
    prompt = read(request.body)
    projection = shipped_projection()
    words = Words.of(prompt.text)
    no_text = Featurizer(text="none")
    no_examples = Featurizer(tasks=[TaskSpec(task.name) for task in TASKS])
    return {
        "read the body": lambda: read(request.body),
        "shape": lambda: shape(prompt, words),
        "words": lambda: Words.of(prompt.text),
        "grams": lambda: grams(words),
        "grams, weighted, projected": lambda: projection.project(words),
        "all without text": lambda: no_text.context(request),
        "all without likeness": lambda: no_examples.context(request),
    }


def _report(name: str, run: Callable[[], object], repeats: int) -> None:
    for _ in range(repeats // 10):
        run()
    took = np.empty(repeats)
    for i in range(repeats):
        began = perf_counter_ns()
        run()
        took[i] = perf_counter_ns() - began
    print(f"{name:24}" + "".join(f"{v / 1000:6.0f}" for v in np.percentile(took, (50, 95, 99))))


if __name__ == "__main__":
    main()
