"""`replay`: exactly one recipe, trained from scratch and scored."""

from pathlib import Path

from autorecipe.clock import Budget, Clock
from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, describe, dump_yaml, replace, to_dict
from autorecipe.rundir import RunDir, check_free, locked, new_run_path, write_json, write_text, writing
from autorecipe.search.ledger import save_decisions
from autorecipe.search.prepare import Say, Stop, make_bench, read_data, save_data_facts, tell_data
from autorecipe.search.settings import REPLAY, Settings
from autorecipe.search.space import load_space
from autorecipe.search.summary import keeps_confirm, save_model, score_saved
from autorecipe.search.trials import run_recipe
from autorecipe.search.workbench import State, params_of, phase
from autorecipe.training.stack_layers import NotStackable


def replay_recipe(
    recipe: Recipe,
    source: object,
    out: Path | None,
    clock: Clock,
    *,
    device: str = "auto",
    threads: int | None = None,
    seed: int | None = None,
    say: Say,
    stop: Stop,
) -> RunDir:
    """Train exactly this recipe from scratch on a data set, and score it.

    Args:
        recipe: as `recipe.yaml` says it; steps, seed and numerics included.
        source: the data set.
        out: the folder of the replay; None: `runs/DATASET-replay-N`.
        clock: for the receipt; a replay has no budget.
        device: where.
        threads: CPU threads.
        seed: another seed than the recipe's.
        say: told everything that happens.
        stop: raises `Stopped`.

    Raises:
        InputError: the recipe does not fit the data set.
    """
    section = recipe.data
    settings = Settings(
        source=str(source) if isinstance(source, (str, Path)) else None,
        target=section.target or None,
        keep=section.keep,
        drop=section.drop,
        group=section.group or None,
        time=section.time or None,
        task=section.task,
        metric=section.metric,
        budget=f"{recipe.training.steps}epochs",
        seed=section.split_seed,
        device=device,
        threads=threads,
        resolution=section.resolution or None,
        range=section.range,
    )
    dataset = read_data(settings, source, say, stop)
    if (dataset.info.modality, dataset.info.channels) != (section.modality, section.channels):
        raise InputError(
            f"the recipe is for {section.modality}s with {section.channels} channels, but '{dataset.info.name}' holds "
            f"{dataset.info.modality}s with {dataset.info.channels}; give a data set like the one it was made on"
        )
    run = RunDir((out or new_run_path(Path("runs"), f"{dataset.info.name}-replay")).resolve())
    check_free(run)
    if seed is not None:
        recipe = replace(recipe, {"training.seed": seed})
    with writing(run), locked(run):
        write_json(run.settings, {"format": 1, REPLAY: True, **to_dict(settings)})
        budget = Budget(settings.budget, epochs=float(recipe.training.steps))
        space = load_space(dataset.info.modality)
        bench = make_bench(
            settings,
            run,
            dataset,
            budget,
            clock,
            State(plan={"batch_size": recipe.training.batch_size}),
            say,
            stop,
            space,
        )
        bench.say(
            "start",
            run=str(run.path),
            dataset=dataset.info.name,
            budget=f"{recipe.training.steps} steps",
            resumed=False,
        )
        tell_data(bench)
        if dataset.info.digest != section.digest:
            bench.say("note", text="the data set is not the one this recipe was made on: its scores may differ")
        save_data_facts(bench)
        splits = dataset.splits
        rows = splits.rows(recipe.training.train_on)
        bench.say(
            "finish",
            network=describe(recipe.network),
            params=recipe.finish.members * params_of(bench, recipe.network),
            seconds=None,
            steps=recipe.training.steps,
            recipe=recipe.digest,
            resumed=False,
        )
        scored = splits.confirm if keeps_confirm(bench, recipe) else splits.val
        with phase(bench, "finish"):
            try:
                found = run_recipe(bench, recipe, rows, scored)
            except NotStackable as error:
                raise InputError(
                    f"the recipe's {recipe.finish.members} networks cannot be trained at once: {error}; "
                    "set finish.members to 1 in the recipe"
                ) from error
        result = found.result
        if found.model is None:
            raise InputError(f"the recipe could not be trained: {result.reason}")
        save_model(bench, recipe, found.model)
        write_text(run.recipe, dump_yaml(recipe))
        save_decisions(run, [])
        score_saved(bench, recipe, [], None, result.score if keeps_confirm(bench, recipe) else None, "complete")
    return run
