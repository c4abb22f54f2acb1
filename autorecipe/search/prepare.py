"""Before the first question: read the data, set up the bench, check the loop."""

from collections.abc import Callable
from dataclasses import asdict
from dataclasses import replace as replace_record
from pathlib import Path

import numpy as np
import torch

from autorecipe.clock import Budget, Clock
from autorecipe.data import Dataset, ReadOptions, load_dataset, modality
from autorecipe.errors import CheckFailed, InputError
from autorecipe.recipe import Recipe, load_recipe, replace, to_dict
from autorecipe.rundir import RunDir, write_json
from autorecipe.search import baselines as base
from autorecipe.search import studies
from autorecipe.search.planner import check_seconds
from autorecipe.search.settings import Settings
from autorecipe.search.space import Space, data_fields, load_space, modality_of, starting_recipe
from autorecipe.search.workbench import Limits, State, Workbench, phase
from autorecipe.training.checks import run_checks
from autorecipe.training.evaluate import on_device, score, unscale
from autorecipe.training.hardware import find_hardware, use_threads
from autorecipe.training.optimizers import PRIOR, choose_optimizers

Say = Callable[..., None]
Stop = Callable[[], None]


def load_space_early(settings: Settings) -> Space | None:
    """A wrong space file is told before the data is read, not after."""
    if settings.space is None:
        return None
    return load_space(modality_of(settings.space), settings.space)


def read_data(settings: Settings, source: object, say: Say, stop: Stop) -> Dataset:
    """Read the data set, telling what is being done."""

    def progress(what: str, share: float) -> None:
        stop()
        say("progress", what=what, share=share)

    options = ReadOptions(
        target=settings.target,
        task=settings.task,
        metric=settings.metric,
        keep=settings.keep,
        drop=settings.drop,
        group=settings.group,
        time=settings.time,
        resolution=settings.resolution,
        seed=settings.seed,
        range=settings.range,
    )
    return load_dataset(settings.source if settings.source is not None else source, options, progress)


def make_bench(
    settings: Settings,
    run: RunDir,
    dataset: Dataset,
    budget: Budget,
    clock: Clock,
    state: State,
    say: Say,
    stop: Stop,
    space: Space | None,
) -> Workbench:
    """Put everything the search needs on one bench."""
    hardware = find_hardware(settings.device, settings.threads, settings.precision, settings.cohorts)
    if budget.timed:
        hardware = choose_optimizers(hardware)
    else:
        torch.use_deterministic_algorithms(True, warn_only=True)

    def tell(kind: str, **facts: object) -> None:
        if kind not in ("progress", "finish_look"):
            run.event(kind, **facts)
        say(kind, **facts)

    return Workbench(
        run,
        dataset,
        on_device(dataset, hardware.device),
        hardware,
        space if space is not None else load_space(dataset.info.modality),
        Limits(settings.max_width, settings.max_depth, settings.max_params),
        budget,
        clock,
        settings.seed,
        state,
        studies.open_storage(run, settings.storage),
        tell,
        stop,
    )


def tell_data(bench: Workbench) -> None:
    """What was found in the data."""
    info = bench.dataset.info
    if info.modality == "image":
        colour = "grey" if info.channels == 1 else "colour"
        inputs = f"{info.resolution}x{info.resolution} {colour} ({info.resolution_reason})"
    else:
        inputs = f"{info.num_numbers} numbers, {len(info.cardinalities)} categories"
    bench.say(
        "data",
        name=info.name,
        modality=info.modality,
        task=info.task,
        task_reason=info.task_reason,
        metric=info.metric,
        metric_reason=info.metric_reason,
        num_examples=info.num_examples,
        classes=len(info.classes),
        inputs=inputs,
        cross_validated=info.cross_validated,
    )
    for finding in info.findings:
        said = {"name" if k == "kind" else k: v for k, v in asdict(finding).items() if k != "rows"}
        bench.say("finding", **said)


def save_data_facts(bench: Workbench) -> None:
    """`preprocess.json`, `splits.json` and pictures of what was found."""
    dataset = bench.dataset
    write_json(
        bench.run.preprocess,
        {"format": 1, "preprocess": dataset.preprocess, "info": replace_record(dataset.info, findings=())},
    )
    if not bench.run.splits.exists():
        names = list(dataset.names)
        splits = {
            split: [names[i] for i in getattr(dataset.splits, split).tolist()]
            for split in ("train", "val", "confirm", "test")
        }
        write_json(bench.run.splits, {"format": 1, **splits})
    if not bench.run.findings.exists():
        _save_findings(bench)


def _save_findings(bench: Workbench) -> None:
    """Pictures of the examples that findings name, where there are pictures of them."""
    run, dataset = bench.run, bench.dataset
    picture = modality(dataset.info.modality).picture
    found = [finding for finding in dataset.info.findings if finding.rows]
    if picture is None or not found:
        return
    splits = {name: set(getattr(dataset.splits, name).tolist()) for name in ("train", "val", "confirm", "test")}
    run.finding_pictures.mkdir(parents=True, exist_ok=True)
    names: dict[int, str] = {}
    for row in dict.fromkeys(row for finding in found for row in finding.rows):
        names[row] = f"{run.finding_pictures.name}/{len(names)}.png"
        picture(dataset, row).save(run.artifacts / names[row])
    examples = {
        row: {
            "name": dataset.names[row],
            "row": row,
            "target": _target(dataset, row),
            "split": next((name for name, rows in splits.items() if row in rows), None),
            "image": image,
        }
        for row, image in names.items()
    }
    entries = [{"kind": f.kind, "found": f.found, "examples": [examples[row] for row in f.rows]} for f in found]
    write_json(run.findings, entries)  # last: whatever it names is whole


def _target(dataset: Dataset, row: int) -> str | list[str] | float:
    """An example's class, its labels, or its number in the user's unit."""
    info, target = dataset.info, dataset.targets[row].numpy()
    if info.task == "regression":
        return float(f"{float(unscale(target, info)):.6g}")
    if info.task == "multilabel":
        return [info.classes[k] for k in np.flatnonzero(target > 0).tolist()]
    return info.classes[int(target)]


def first_recipe(settings: Settings, bench: Workbench) -> Recipe:
    """The starting recipe: the smallest network with the space's priors, or the user's recipe.

    Raises:
        InputError: the user's recipe does not fit the data set.
    """
    info = bench.dataset.info
    described = data_fields(info, bench.seed)
    if settings.from_recipe is not None:
        recipe = load_recipe(settings.from_recipe)
        if (recipe.data.modality, recipe.data.task) != (info.modality, info.task):
            raise InputError(
                f"the recipe {settings.from_recipe} is for {recipe.data.task} on {recipe.data.modality}s, "
                f"but '{info.name}' is {info.task} on {info.modality}s; leave --from out, or give a recipe of such data"
            )
        return replace(recipe, {**described, "training.train_on": "train", "finish": to_dict(Recipe().finish)})
    return starting_recipe(bench.space, bench.dataset, bench.seed)


def check_loop(settings: Settings, bench: Workbench, recipe: Recipe) -> None:
    """Check the training loop; only a batch that cannot be overfitted stops the search.

    Raises:
        CheckFailed: that is so, and `--force` was not given.
    """
    if bench.hardware.kind == "cpu" and bench.budget.timed:
        use_threads(1)  # the baselines' process is at work beside this one
    with phase(bench, "checks"):
        tried = replace(recipe, {"optimizer.lr": PRIOR[recipe.optimizer.name][recipe.data.modality]})
        checks = run_checks(
            tried,
            bench.data,
            bench.rows(bench.dataset.splits.train),
            bench.hardware,
            seconds=check_seconds(bench.budget.seconds),
            timed=bench.budget.timed,
            keep_going=bench.stop,
        )
        write_json(bench.run.checks, checks)
    for check in checks:
        bench.say("check", **asdict(check))
        if check.name == "one batch can be overfitted" and not check.passed and check.decided and not settings.force:
            raise CheckFailed(
                f"one batch cannot be overfitted ({check.measured}, expected {check.expected}), so no score could be "
                f"trusted: {check.advice}. To go on all the same: --force"
            )


def tell_baselines(bench: Workbench, found: list[base.Baseline]) -> None:
    """Scores of the baselines on val."""
    info = bench.dataset.info
    targets = bench.dataset.targets.numpy()[bench.dataset.splits.val]
    for baseline in found:
        value = score(info.metric, targets, baseline.val, info)
        bench.say("baseline", name=baseline.name, seconds=baseline.seconds, score=value, metric=info.metric)
    if not found:
        bench.say("note", text="no baseline finished in its 5 % of the budget")


def absolute(source: str) -> str:
    """A path made absolute, so that a run can be resumed from anywhere; a bundled name as it is."""
    path = Path(source)
    return str(path.resolve()) if path.exists() else source
