"""``banditroute simulate``: which policy would have done best, on prompts with known answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from banditroute.cli.console import note, out
from banditroute.cli.progress import counting
from banditroute.cli.simulated import chapter_table, chapter_title
from banditroute.datasets import FORMAT_NAMES
from banditroute.simulation.report import check as check_report
from banditroute.simulation.report import write_report
from banditroute.simulation.results import Results
from banditroute.simulation.studies.files import results_view, runs_csv
from banditroute.simulation.studies.plans import Plan, plan_of
from banditroute.simulation.studies.reading import load_study, revised
from banditroute.simulation.studies.running import Progress, run
from banditroute.simulation.studies.scenarios import BUILT_IN
from banditroute.simulation.studies.schema import Study

FAILED = 1
FORMATS = ", ".join(FORMAT_NAMES)
SCENARIOS = ", ".join(BUILT_IN)


def simulate(
    study: Annotated[
        Path | None,
        typer.Argument(metavar="[STUDY.toml]", help="A study file; options count instead of it."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Prompts with every arm's scored answer: a folder or file.")
    ] = None,
    data_format: Annotated[
        str | None,
        typer.Option("--format", help=f"What --data is, where it does not tell: {FORMATS}."),
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="The arms to use, as a,b,c; else the data's own choice.")
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(
            help="As a,b,c: thompson, linucb:2, greedy, fixed:best, context-free, linucb-textbook, "
            "paretobandit, …, or your own file.py:Class. Default: thompson,linucb,context-free."
        ),
    ] = None,
    scenarios: Annotated[
        str | None, typer.Option(help=f"As a,b,c: {SCENARIOS}. Default: stationary.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Shuffles of the prompts. Default: 20.")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Length of a run: every prompt once, unless given.")
    ] = None,
    answer_value_usd: Annotated[
        float | None, typer.Option(help="What a perfect answer is worth, in dollars.")
    ] = None,
    budget_usd_per_request: Annotated[
        float | None, typer.Option(help="Spend so much a request at most, on average.")
    ] = None,
    feedback_rate: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of answers that are judged.")
    ] = None,
    feedback_delay: Annotated[
        int | None, typer.Option(min=0, help="Requests until a judgement arrives.")
    ] = None,
    no_task: Annotated[
        bool, typer.Option("--no-task", help="Hide the task of a prompt from the policies.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Runs to play at the same time.")] = 2,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write report.html, pictures, results.json and runs.csv to this folder."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write runs and baselines to this file as JSON.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write one line a run to this file as CSV.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What the report is called.")] = None,
) -> None:
    """Play policies against each other on prompts whose answers are all known.

    Every policy meets the same requests, and sees only the answers that it
    asks for. A run is a shuffle of the prompts: means come with 95% intervals
    over the shuffles, and differences are paired by shuffle.

    [bold]banditroute simulate --data FOLDER --out report[/]

    FOLDER holds prompts.parquet (prompt_id, prompt, task), outcomes.parquet
    (prompt_id, arm, quality, cost_usd) and pool.json. A study file says the
    same and more, and can make a world up, whose truth is known:

    policies = ["thompson", "linucb:2", "context-free"]
    scenarios = ["stationary", "regression", "outage"]
    answer_value_usd = 0.05
    world = {arms = 8}

    With --out, finished runs are kept: after Ctrl-C, the same command goes on
    from where it was.
    """
    _refuse_unwritable({"--json": json_file, "--csv": csv_file})
    if out_folder is not None:
        check_report(out_folder, "--out")
    given = {
        "policies": _listed(policies),
        "scenarios": _listed(scenarios),
        "seeds": seeds,
        "requests": requests,
        "answer_value_usd": answer_value_usd,
        "budget_usd_per_request": budget_usd_per_request,
        "title": title,
        "task": False if no_task else None,
    }
    feedback = {"feedback_rate": feedback_rate, "feedback_delay": feedback_delay}
    wanted = {"path": data, "format": data_format, "arms": _listed(arms)}
    asked = _study(study, _known(given), _known(feedback), _known(wanted))
    results = _run(plan_of(asked), processes, out_folder)
    _print(results)
    if json_file is not None:
        json_file.write_text(_json(results), encoding="utf-8")
    if csv_file is not None:
        csv_file.write_text(runs_csv(results), encoding="utf-8")
    if out_folder is not None:
        _write(results, out_folder)


def _study(
    file: Path | None,
    given: Mapping[str, Any],
    feedback: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> Study:
    """The study of a file, or the default one, with what the options say."""
    if file is None and "path" not in wanted:
        raise typer.BadParameter(
            "there are no prompts; name a folder of them, or a study file with [data] or [world]",
            param_hint="--data",
        )
    if file is not None:
        return revised(load_study(file), given, feedback, wanted)
    named = {"title": f"Policies on {wanted['path'].resolve().name}"}
    return revised(Study(), named | dict(given), feedback, wanted)


def _run(plan: Plan, processes: int, folder: Path | None) -> Results:
    note(f"{plan.data}; {len(plan.jobs)} runs")
    seen: list[Progress] = []
    try:
        with counting("requests") as bar:

            def watch(progress: Progress) -> None:
                seen[:] = [progress]
                bar(progress.requests, progress.of_requests)

            return run(plan, processes=processes, folder=folder and folder / "runs", watch=watch)
    except KeyboardInterrupt:
        note(_stopped(seen[-1] if seen else None, folder))
        raise typer.Exit(FAILED) from None


def _stopped(progress: Progress | None, folder: Path | None) -> str:
    done = f"{progress.runs} of {progress.of_runs} runs are done" if progress else "nothing is done"
    if folder is None:
        return f"stopped: {done}; with --out FOLDER they would be kept"
    return f"stopped: {done} and kept in {folder / 'runs'}; the same command goes on from there"


def _print(results: Results) -> None:
    console = out()
    for chapter in results.chapters:
        console.print(chapter_title(chapter), markup=False)
        console.print(chapter_table(chapter, console.width))
    for text in results.notes:
        console.print(f"note: {text}", markup=False)


def _write(results: Results, folder: Path) -> None:
    (folder / "results.json").write_text(_json(results), encoding="utf-8")
    (folder / "runs.csv").write_text(runs_csv(results), encoding="utf-8")
    write_report(results, folder)
    note(f"report: {folder / 'report.html'}")


def _json(results: Results) -> str:
    return json.dumps(results_view(results), indent=2) + "\n"


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _refuse_unwritable(files: Mapping[str, Path | None]) -> None:
    for option, file in files.items():
        if file is not None and not file.absolute().parent.is_dir():
            raise typer.BadParameter(f"{file}: there is no such folder", param_hint=option)
