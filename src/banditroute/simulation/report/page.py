"""A study as one HTML page that needs no network, no other file and no script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import isinf
from string import Template

from banditroute.simulation.report import numbers, tables
from banditroute.simulation.report.figures import Picture
from banditroute.simulation.report.markup import Markup, joined, tag, text
from banditroute.simulation.results import Chapter, Results

DARK = "screen and (prefers-color-scheme: dark)"  # paper is light
READING = (
    "Means per request. ± and [ ] are 95 % intervals over seeds (Student's t); differences are "
    "paired by seed, and bold where the interval leaves 0 out. Regret is what the best single "
    "arm at the time is expected to earn, less what was earned: lower is better."
)
ALONE = "One seed was run, so there are no intervals."


@dataclass(frozen=True, slots=True)
class Rendering:
    """One picture in both themes, as SVG documents, with its size in points."""

    picture: Picture
    light: str
    dark: str
    width: float
    height: float


def page(results: Results, drawn: Mapping[str, tuple[Chapter, Sequence[Rendering]]]) -> str:
    """The page; ``drawn`` has every chapter, with its pictures, by its anchor."""
    chapters = [chapter for chapter, _ in drawn.values()]
    body = [
        tag("header", tag("h1", results.title), _links(drawn)),
        tag("main", _about(results, chapters), *(_chapter(a, *d) for a, d in drawn.items())),
        _notes(results.notes),
    ]
    folder = files("banditroute.simulation.report")
    template = Template((folder / "page.html").read_text(encoding="utf-8"))
    style = (folder / "style.css").read_text(encoding="utf-8").rstrip()
    return template.substitute(title=text(results.title), style=style, body="\n".join(body))


def _links(drawn: Mapping[str, tuple[Chapter, Sequence[Rendering]]]) -> Markup:
    links = [
        tag("li", tag("a", chapter.scenario, href=f"#{anchor}"))
        for anchor, (chapter, _) in drawn.items()
    ]
    return tag("nav", tag("ul", *links), aria_label="Scenarios") if len(links) > 1 else Markup("")


def _about(results: Results, chapters: Sequence[Chapter]) -> Markup:
    policies = dict.fromkeys(policy for chapter in chapters for policy in chapter.policies)
    runs = sum(len(chapter.runs) for chapter in chapters)
    facts = {
        "Study": results.name,
        "Data": results.data,
        "Policies": ", ".join(policies),
        "Scenarios": ", ".join(chapter.scenario for chapter in chapters),
        "Runs": f"{runs:,}: every policy with every seed in every scenario",
    }
    return tag("section", tag("h2", "What was run", id="run"), _facts(facts), aria_labelledby="run")


def _facts(facts: Mapping[str, str]) -> Markup:
    return tag("dl", *(joined(tag("dt", key), tag("dd", said)) for key, said in facts.items()))


def _chapter(anchor: str, chapter: Chapter, drawn: Sequence[Rendering]) -> Markup:
    seeds = len({run.seed for run in chapter.runs})
    return tag(
        "section",
        tag("h2", chapter.scenario, id=anchor),
        tag("p", chapter.about, class_="lead"),
        _facts(_course(chapter, seeds)),
        tag("h3", "In numbers"),
        tables.results(chapter),
        tag("p", READING if seeds > 1 else ALONE, class_="note"),
        tag("h3", "In pictures"),
        *(_figure(rendering, chapter) for rendering in drawn),
        tag("h3", "Arms"),
        tables.arms(chapter),
        aria_labelledby=anchor,
    )


def _course(chapter: Chapter, seeds: int) -> dict[str, str]:
    worth, budget = chapter.answer_value_usd, chapter.budget_usd
    value = f"{numbers.given(worth)} for a perfect answer: utility is quality − cost / value"
    facts = {
        "Requests": f"{chapter.requests:,} a run",
        "Seeds": f"{seeds}",
        "Arms": f"{len(chapter.arms)}",
        "Reward": "quality alone" if isinf(worth) else value,
    }
    if budget is not None:
        facts["Budget"] = f"{numbers.given(1_000.0 * budget)} per 1,000 requests"
    if chapter.marks:
        facts["Changes"] = "; ".join(f"at request {at:,}: {what}" for at, what in chapter.marks)
    return facts


def _figure(rendering: Rendering, chapter: Chapter) -> Markup:
    picture = rendering.picture
    image = tag(
        "picture",
        tag("source", media=DARK, srcset=_data(rendering.dark)),
        tag(
            "img",
            src=_data(rendering.light),
            alt=picture.alt(chapter),
            width=f"{rendering.width:.0f}",
            height=f"{rendering.height:.0f}",
        ),
    )
    name = f"{picture.title}, {chapter.scenario}"
    box = tag("div", image, class_="wide", role="region", tabindex="0", aria_label=name)
    caption = tag("figcaption", tag("b", f"{picture.title}."), f" {picture.reading}")
    return tag("figure", box, caption)


def _data(document: str) -> str:
    return f"data:image/svg+xml;base64,{b64encode(document.encode()).decode()}"


def _notes(notes: Sequence[str]) -> Markup:
    if not notes:
        return Markup("")
    listed = tag("ul", *(tag("li", note) for note in notes))
    return tag("footer", tag("h2", "Notes"), listed)
