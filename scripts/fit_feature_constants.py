"""Measure unlabelled prompts, and write the constants that context features are made with.

    python scripts/fit_feature_constants.py --data DIR [DIR ...]

Every DIR holds a ``prompts.parquet`` with a column ``prompt``; other columns are not read.
Each folder weighs the same, however many prompts it has. The same folders give the same
``constants.py`` and ``projection.npy``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import arro3.io
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from banditroute.core.context.grams import BUCKETS, grams
from banditroute.core.context.likeness import look, portrait
from banditroute.core.context.request import Prompt, read
from banditroute.core.context.shape import SHAPE, STRUCTURE, shape, standardised
from banditroute.core.context.text import TEXT_DIMENSION, Projection, weigh
from banditroute.core.context.words import Words

Table: TypeAlias = NDArray[np.float64]
Sample: TypeAlias = tuple[Prompt, Words]
Corpus: TypeAlias = list[list[Sample]]  # folder by folder

PACKAGE = Path(__file__).parents[1] / "src" / "banditroute" / "core" / "context"
CLIP = 4.0
RAREST = 1e-3  # added to document frequencies: what was seen once is no more telling than this
LOUDEST = 0.9  # quantile: a word that meets the marks of one folder in a bucket is no such mark
EXAMPLES, PORTRAITS, ASKED = 3, 50, 500  # a portrait's prompts; a folder's portraits and questions

# What prompts alone cannot show gets a mean of 0 and a unit chosen by hand: one tool, image or
# turn more, three orders of magnitude of history, a factor of 4 in max_tokens.
CHOSEN_SDS = {"history": 3.0, "max_tokens": 1.4}

# The least spread allowed to a number, so that data without it (the folders hold no Chinese and
# few lists) does not make the first prompt with it an outlier. Capitals are kept quiet, since
# writing in lower case changes no question.
LEAST_SDS = {
    "length": 1.5,
    "uppercase": 0.3,
    "non_ascii": 0.25,
    "digits": 0.1,
    "punctuation": 0.1,
    "brackets": 0.1,
    "operators": 0.1,
    "word_length": 0.15,
    "code": 0.15,
    "maths": 0.15,
    "writing": 0.15,
}
LEAST_COUNT_SD = 0.5  # of every other number, all of them logarithms of counts


def main() -> None:
    options = _parser().parse_args()
    corpus = [_samples(folder, options.per_folder, options.seed) for folder in options.data]
    raw = [np.array([shape(*sample) for sample in samples]) for samples in corpus]
    means, sds = _shape_constants(raw)
    forms = [standardised(folder, means, sds, CLIP) for folder in raw]
    scale = 1 / np.sqrt(_average([(folder**2).sum(axis=1) for folder in forms]))
    table = _projection(corpus)
    cosines = _background(corpus, forms, Projection.of(table), options.seed)
    _write(means, sds, float(scale), cosines, table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--per-folder", type=int, default=4000, help="prompts read of a folder")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _samples(folder: Path, most: int, seed: int) -> list[Sample]:
    texts = arro3.io.read_parquet(folder / "prompts.parquet").read_all()["prompt"].to_pylist()
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:most])
    prompts = [read({"messages": [{"role": "user", "content": texts[i]}]}) for i in chosen]
    return [(prompt, Words.of(prompt.text)) for prompt in prompts]


def _average(folders: Sequence[Table]) -> Table:
    """The mean over prompts, every folder weighing the same."""
    return np.mean([folder.mean(axis=0) for folder in folders], axis=0)


def _shape_constants(raw: Sequence[Table]) -> tuple[Table, Table]:
    means = _average(raw)
    sds = np.sqrt(_average([(folder - means) ** 2 for folder in raw]))
    sds = np.maximum(sds, [LEAST_SDS.get(name, LEAST_COUNT_SD) for name in SHAPE])
    unseen = [i for i, name in enumerate(SHAPE) if name in STRUCTURE and name != "length"]
    means[unseen] = 0.0
    sds[unseen] = [CHOSEN_SDS.get(SHAPE[i], 1.0) for i in unseen]
    return means.round(4), sds.round(4)


def _projection(corpus: Corpus) -> NDArray[np.float16]:
    """The rows idf, mean and directions of ``projection.npy``."""
    counts = [np.array([grams(words) for _, words in samples]) for samples in corpus]
    idf = -np.log(_average([folder > 0 for folder in counts]) + RAREST).astype(np.float16)
    weights = [
        np.array([weigh(row, idf.astype(np.float32)) for row in folder]) for folder in counts
    ]
    mean = _average(weights)
    second = np.mean([folder.T @ folder / len(folder) for folder in weights], axis=0)
    directions = _directions(second.astype(np.float64) - np.outer(mean, mean))
    return np.vstack([idf, mean, directions]).astype(np.float16)


def _directions(covariance: Table) -> Table:
    """The leading eigenvectors over the fourth root of their variance, largest first.

    Signs are fixed by the largest component. Buckets are not let speak louder than LOUDEST,
    and the whole is scaled so that the squared length of a prompt's coordinates is 1 on average.
    """
    variances, vectors = eigh(covariance, subset_by_index=[BUCKETS - TEXT_DIMENSION, BUCKETS - 1])
    variances, vectors = variances[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(TEXT_DIMENSION)])
    directions = vectors / variances**0.25
    loudness = np.linalg.norm(directions, axis=1)
    loudest = np.quantile(loudness, LOUDEST)
    directions *= (loudest / np.maximum(loudness, loudest))[:, np.newaxis]
    return directions.T / np.sqrt(np.trace(directions.T @ covariance @ directions))


def _background(corpus: Corpus, forms: Sequence[Table], projection: Projection, seed: int) -> Table:
    """Cosines of prompts (rows) with portraits of a few prompts of one folder (columns)."""
    looks = [
        np.array(
            [
                look(*projection.project(words), form)
                for (_, words), form in zip(samples, rows, strict=True)
            ]
        )
        for samples, rows in zip(corpus, forms, strict=True)
    ]
    rng = np.random.default_rng(seed)
    portraits = [
        portrait(rng.choice(folder, EXAMPLES, replace=False))
        for folder in looks
        for _ in range(PORTRAITS)
    ]
    asked = np.concatenate([rng.choice(folder, ASKED) for folder in looks])
    return asked @ np.array(portraits).T


def _write(
    means: Table, sds: Table, scale: float, cosines: Table, table: NDArray[np.float16]
) -> None:
    packed = BytesIO()
    np.save(packed, table, allow_pickle=False)
    (PACKAGE / "projection.npy").write_bytes(packed.getvalue())
    body = f"""\
SHAPE_MEANS = (
{_rows(means)})
SHAPE_SDS = (
{_rows(sds)})
SHAPE_SCALE = {scale:.4f}

LIKENESS_MEAN = {cosines.mean():.4f}
LIKENESS_SD = {cosines.std():.4f}
CONTRAST_SD = {(cosines - cosines.mean(axis=1, keepdims=True)).std():.4f}
"""
    digest = blake2b(body.encode() + packed.getvalue(), digest_size=6).hexdigest()
    head = f'''\
"""What was measured on unlabelled prompts. Made by ``scripts/fit_feature_constants.py``.

Means and standard deviations of the shape numbers in their order; the factor that gives the
standardised group a mean squared length of 1; how alike prompts in general are to a few others,
and what is left of that without what a prompt has in common with all of them. ``VERSION`` is
a digest of these numbers and of ``projection.npy``.
"""

VERSION = "{digest}"

'''
    (PACKAGE / "constants.py").write_text(head + body, encoding="utf-8")


def _rows(values: Table) -> str:
    return "".join(f"    {value},  # {name}\n" for value, name in zip(values, SHAPE, strict=True))


if __name__ == "__main__":
    main()
