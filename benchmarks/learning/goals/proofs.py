"""G9, G11, G12: what the log proves, what order and delay do to learning, and idle edits."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from lab import SETS, Lab, Table, mean_error, problem, router, shown, shuffled
from logs import World, logged, mostly

from banditroute.core.beliefs import Objective
from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.feedback import apply
from banditroute.core.fold import RouterState
from banditroute.core.identity import decision_id
from banditroute.core.offpolicy import (
    doubly_robust,
    foreseen_variance,
    mean_interval,
    promoted,
    value_sequence,
)
from banditroute.core.posterior import FeatureGroups
from banditroute.datasets import load_dataset
from banditroute.simulation import Scenario, play
from banditroute.values import (
    Feedback,
    Mark,
    QualityEvidence,
    Request,
    Tuning,
    Vector,
    Wishes,
)

LOGS, ROUNDS, ARMS = 1_000, 400, 4
LOG_FLOOR = 0.2  # the floor a team sets that means to evaluate: each arm gets a twentieth
DELAY = 1_000
REPLICAS, EVENTS = 8, 2_000


@dataclass(frozen=True, slots=True)
class Proof:
    """What one simulated log showed of one target policy."""

    covered: bool
    always: bool
    promoted: bool
    off: float


def prove(seed: int, *, alike: bool, best: bool) -> Proof:
    """Log a run, and estimate a target policy whose value is known.

    The target mostly follows one arm: the best one, or the first.
    """
    log = logged(World(ROUNDS, ARMS, LOG_FLOOR, alike), seed)
    chances, truth = log.rounds.probabilities, log.truth
    off = float(np.abs(chances.sum(axis=1) - 1.0).max())
    arm = int(truth.mean(axis=0).argmax()) if best else 0
    rounds = replace(log.rounds, target=mostly(arm, truth.shape))
    running = log.value(rounds.target)
    interval = mean_interval(doubly_robust(rounds), foreseen=foreseen_variance(rounds))
    low, high = value_sequence(rounds)
    return Proof(
        covered=interval.low <= running[-1] <= interval.high,
        always=bool(np.all((low <= running) & (running <= high))),
        promoted=promoted(rounds),
        off=off,
    )


def g9(lab: Lab) -> Table:
    """Probabilities add up, intervals cover, and the gate seldom promotes what is not better."""
    proofs = lab.map(partial(prove, alike=False, best=True), range(LOGS))
    alike = lab.map(partial(prove, alike=True, best=False), range(LOGS))
    off = max(proof.off for proof in [*proofs, *alike])
    covered = float(np.mean([proof.covered for proof in proofs]))
    always = float(np.mean([proof.always for proof in proofs]))
    wrong = float(np.mean([proof.promoted for proof in alike]))
    rows = (
        ("how far Σπ is from 1, at most", "≤ 1e-9", f"{off:.1e}", _met(off <= 1e-9)),
        ("DR 95% intervals that cover", "≥ 95%", f"{covered:.1%}", _met(covered >= 0.95)),
        ("95% confidence sequences, at all times", "≥ 95%", f"{always:.1%}", _met(always >= 0.95)),
        ("A/A runs in which the gate promotes", "≤ 5%", f"{wrong:.1%}", _met(wrong <= 0.05)),
    )
    return Table(
        f"G9: proofs, {LOGS:,} simulated logs each", ("what", "goal", "measured", ""), rows
    )


def scrambled(seed: int) -> tuple[float, bool]:
    """The largest difference of statistics after chaos, and whether replicas agree to the bit.

    Every decision is judged; a third is judged again; every word is sent up to three times, in
    any order, through eight replicas that fold one log in batches of their own.
    """
    rng, groups = random.Random(seed), FeatureGroups(("bias", *("shape",) * 9))
    draws = np.random.default_rng(seed)
    ids = [decision_id("r", 1_750_000_000_000 + at, rng.randbytes(8)) for at in range(EVENTS)]
    x = {one: np.append(1.0, draws.normal(size=9) / 3.0).astype("f4").astype("f8") for one in ids}
    arm = {one: f"arm-{rng.randrange(5)}" for one in ids}
    words = [Feedback(f"{at:08}-a", one, rng.random()) for at, one in enumerate(ids)]
    again = [Feedback(f"{at:08}-b", one, rng.random()) for at, one in enumerate(ids) if not at % 3]
    last = {word.decision_id: word for word in [*words, *again]}
    sent = [word for word in [*words, *again] for _ in range(rng.randint(1, 3))]
    rng.shuffle(sent)
    log = _log(sent, x, arm)
    states = [_folded(log, groups, random.Random(replica)) for replica in range(REPLICAS)]
    straight = _log([last[one] for one in ids], x, arm)
    sums = _folded(straight, groups, random.Random(0)).quality.sums
    order = [_folded(straight, groups, random.Random(0)).rows[name] for name in states[0].rows]
    worst = max(
        float(np.abs(getattr(states[0].quality.sums, name) - getattr(sums, name)[order]).max())
        for name in ("n", "gram", "moment", "square")
    )
    first = states[0].quality
    agree = all(
        np.array_equal(first.means, other.quality.means)
        and np.array_equal(first.covariances, other.quality.covariances)
        for other in states[1:]
    )
    return worst, agree


def _log(words: list[Feedback], x: dict[str, Vector], arm: dict[str, str]) -> list[QualityEvidence]:
    """What a store's log says after these words came in this order."""
    marks: dict[str, dict[str, Mark]] = {}
    log: list[QualityEvidence] = []
    for word in words:
        one = word.decision_id
        applied = apply(marks.get(one, {}), word)
        marks[one] = dict(applied.marks)
        if applied.old != applied.new:
            place = (len(log) + 1, one, arm[one], x[one])
            log.append(QualityEvidence(*place, applied.old, applied.new))
    return log


def _folded(log: list[QualityEvidence], groups: FeatureGroups, rng: random.Random) -> RouterState:
    state = RouterState.empty(groups)
    state.quality.tune(Tuning("", 0.0, detect_drift=False))
    at = 0
    while at < len(log):
        step = rng.randint(1, 50)
        state.fold(log[max(at - 3, 0) : at + step])  # some entries are handed over twice
        at += step
    return state


def g11(lab: Lab) -> Table:
    """Chaos changes no statistic, and late feedback little."""
    chaos = lab.map(scrambled, lab.seeds)
    worst, agree = max(w for w, _ in chaos), all(a for _, a in chaos)
    rows = [
        (
            *(f"{REPLICAS} replicas, shuffled, repeated, amended", "≤ 1e-9"),
            f"{worst:.1e}, replicas {'agree' if agree else 'DIFFER'}",
            _met(worst <= 1e-9 and agree),
        )
    ]
    for data in SETS:
        whole, heard = np.array(lab.map(delayed, [(lab, data, seed) for seed in lab.seeds])).T
        met = _met(mean_error(heard)[0] <= 0.0025)
        said = f"{shown(heard)} (in all {shown(whole)})"
        rows.append((f"{data}: feedback {DELAY:,} requests late", "≤ 0.0025", said, met))
    verdict = (
        f"In all, a delay costs at least the first {DELAY:,} requests, in which nobody has heard "
        "anything; the goal is held at the same number of words heard, on the same prompts: the "
        f"delayed run from request {DELAY:,} on against a prompt one that begins there."
    )
    return Table("G11: order and delay", ("what", "goal", "measured", ""), tuple(rows), verdict)


def delayed(job: tuple[Lab, str, int]) -> tuple[float, float]:
    """What late feedback costs in mean quality: in all, and at the same number of words heard."""
    lab, data, seed = job
    posed = problem(lab.data, data)
    order = shuffled(posed, seed)

    def quality(of: list[int], delay: int) -> Vector:
        course = Scenario(feedback_delay=delay)
        return play(router(posed, seed), posed, of, seed, course).quality

    prompt, begun, late = quality(order, 0), quality(order[DELAY:], 0), quality(order, DELAY)
    return float(prompt.mean() - late.mean()), float(begun.mean() - late[DELAY:].mean())


Edit = Callable[[str, random.Random], str]


def _typos(text: str, rng: random.Random) -> str:
    """Two neighbouring letters change places in one word of thirty."""
    words = text.split(" ")
    for at, word in enumerate(words):
        if len(word) > 3 and word.isalpha() and rng.random() < 1 / 30:
            place = rng.randrange(1, len(word) - 2)
            swapped = word[place + 1] + word[place]
            words[at] = word[:place] + swapped + word[place + 2 :]
    return " ".join(words)


EDITS: dict[str, Edit] = {
    "small letters": lambda text, _: text.lower(),
    "double spaces": lambda text, _: text.replace(" ", "  "),
    "blank lines around": lambda text, _: f"\n\n{text}\n\n",
    "typos": _typos,
    "please": lambda text, _: f"Please help me with this. {text} Thank you!",
}


def edited(job: tuple[Lab, str, int]) -> dict[str, float]:
    """Of a router that has seen a whole set: how often an edit changes the arm it prefers."""
    lab, data, seed = job
    posed = problem(lab.data, data)
    player = router(posed, seed)
    play(player, posed, shuffled(posed, seed), seed)
    knowledge, rng = player.state.knowledge(), random.Random(seed)
    told = load_dataset(lab.data / data)
    names = sorted({task for task in told.tasks if task})
    featurizer = Featurizer(tasks=[TaskSpec(name) for name in names])
    sample = rng.sample(range(len(posed)), 300)

    def best(text: str, row: int) -> int:
        wishes = Wishes(task=told.tasks[row])
        context = featurizer.context(Request({"messages": [_user(text)]}, wishes))
        objective = Objective(float("inf"), float("inf"))
        return int(np.argmax(knowledge.beliefs(posed.roster, context, objective, 0.0).utility))

    before = {row: best(told.prompts[row], row) for row in sample}
    return {
        name: float(np.mean([best(edit(told.prompts[r], rng), r) != before[r] for r in sample]))
        for name, edit in EDITS.items()
    }


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def g12(lab: Lab) -> Table:
    """Meaningless edits of a prompt, and the arm that is preferred for it."""
    rows = []
    for data in SETS:
        found = lab.map(edited, [(replace(lab), data, seed) for seed in lab.seeds])
        shares = {name: float(np.mean([one[name] for one in found])) for name in EDITS}
        mean = float(np.mean(list(shares.values())))
        cells = tuple(f"{share:.1%}" for share in [*shares.values(), mean])
        rows.append((data, *cells, _met(mean <= 0.05)))
    columns = ("set", *EDITS, "all", "≤ 5%")
    return Table("G12: how often an idle edit changes the preferred arm", columns, tuple(rows))


def _met(holds: bool) -> str:
    return "met" if holds else "not met"
