"""Commands that train: search, resume, replay."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from autorecipe.cli.display import Say
from autorecipe.cli.options import (
    Dataset,
    Device,
    Drop,
    Group,
    JsonEvents,
    Keep,
    Metric,
    Out,
    Quiet,
    Range,
    Resolution,
    Run,
    Seed,
    Target,
    Task,
    Threads,
    Time,
)
from autorecipe.cli.session import run_session
from autorecipe.clock import Budget, parse_budget, start_clock
from autorecipe.errors import InputError
from autorecipe.rundir import RunDir, check_free, open_run, read_mapping

UNLIMITED = Budget(given="none")
Stop = Callable[[], None]


def search(
    dataset: Dataset,
    target: Target = None,
    task: Task = "auto",
    metric: Metric = "auto",
    budget: Annotated[
        str, typer.Option(help="All the time it may take, from start to end (90s, 10m, 1h30m), or epochs (20epochs).")
    ] = "10m",
    out: Out = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What each stage may try: your copy of search_spaces/*.yaml.")
    ] = None,
    from_recipe: Annotated[
        Path | None,
        typer.Option("--from", metavar="RECIPE", help="A recipe.yaml to start from instead of the smallest network."),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    precision: Annotated[str, typer.Option(help="auto (the fastest here), fp32 or bf16.")] = "auto",
    no_cohorts: Annotated[
        bool, typer.Option("--no-cohorts", help="Train trials one after another, also where together is faster.")
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An Optuna storage, such as sqlite:///studies.db; else RUN/study.journal."),
    ] = None,
    max_width: Annotated[int | None, typer.Option(min=1, metavar="N", help="The widest network that is tried.")] = None,
    max_depth: Annotated[int | None, typer.Option(min=1, metavar="N", help="The most blocks that are tried.")] = None,
    max_params: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The most parameters that are tried.")
    ] = None,
    keep: Keep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    resolution: Resolution = None,
    bounds: Range = "auto",
    reserve: Annotated[
        float, typer.Option(min=0.1, max=0.9, help="Share of the budget that is kept for the final training.")
    ] = 0.5,
    audit: Annotated[
        bool, typer.Option("--audit", help="Train some stopped trials to their end: how many were stopped wrongly?")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on although the loop cannot overfit one batch.")] = False,
    quiet: Quiet = False,
    as_json: JsonEvents = False,
) -> None:
    """Grow a network on DATASET within the budget.

    The run's folder then holds a trained model and the recipe it took: every decision with its evidence.
    Ctrl-C saves the best so far.
    """
    allowed = parse_budget(budget)
    clock = start_clock(allowed, since_process_start=True)
    if out is not None:
        check_free(RunDir(out))

    def job(say: Say, stop: Stop) -> RunDir:
        from autorecipe.search.agent import run_search
        from autorecipe.search.settings import Settings

        settings = Settings(
            source=dataset,
            target=target,
            task=task,
            metric=metric,
            budget=budget,
            space=None if space is None else str(space),
            from_recipe=None if from_recipe is None else str(from_recipe),
            seed=seed,
            device=device,
            threads=threads,
            precision=precision,
            cohorts=not no_cohorts,
            storage=storage,
            max_width=max_width,
            max_depth=max_depth,
            max_params=max_params,
            keep=tuple(keep or ()),
            drop=tuple(drop or ()),
            group=group,
            time=time,
            resolution=resolution,
            range=bounds,
            reserve=reserve,
            audit=audit,
            force=force,
        )
        return run_search(settings, out, clock, say=say, stop=stop)

    run_session(job, clock, quiet=quiet, as_json=as_json, dataset=dataset, budget=budget)


def resume(
    run: Run,
    budget: Annotated[
        str | None,
        typer.Option(metavar="+TIME", help="Time on top, +5m, or +20epochs where the run's budget is in epochs."),
    ] = None,
    quiet: Quiet = False,
    as_json: JsonEvents = False,
) -> None:
    """Go on with a run that was stopped or killed.

    Nothing that was finished is trained again. A finished run goes on with --budget +TIME only.
    """
    more = None if budget is None else parse_budget(budget)
    folder = open_run(run)
    spent = read_mapping(folder.state).get("spent_seconds", 0.0) if folder.state.exists() else 0.0
    if isinstance(spent, bool) or not isinstance(spent, (int, float)):
        raise InputError(f"{folder.state} is damaged: spent_seconds is {spent!r}, no number; correct it or begin anew")
    start = start_clock(UNLIMITED, since_process_start=True, spent_before=float(spent))

    def job(say: Say, stop: Stop) -> RunDir:
        from autorecipe.search.agent import resume_run

        return resume_run(folder, more, start, say=say, stop=stop)

    run_session(job, start, quiet=quiet, as_json=as_json, dataset=folder.name)


def replay(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", show_default=False, help="A recipe.yaml.")],
    dataset: Dataset,
    out: Out = None,
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: JsonEvents = False,
) -> None:
    """Train the network of RECIPE on DATASET from scratch.

    Exactly this recipe, without any search.
    """
    from autorecipe.recipe import load_recipe

    clock = start_clock(UNLIMITED, since_process_start=True)
    loaded = load_recipe(recipe)
    if out is not None:
        check_free(RunDir(out))

    def job(say: Say, stop: Stop) -> RunDir:
        from autorecipe.search.replay import replay_recipe

        return replay_recipe(loaded, dataset, out, clock, device=device, threads=threads, say=say, stop=stop)

    run_session(job, clock, quiet=quiet, as_json=as_json, dataset=dataset)
