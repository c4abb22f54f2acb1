"""The race before the final training: the two best recipes, longer than trials, where their question was not decided.

In the first part of the final training itself nothing could be read: its learning rate is still warming up there, and
what counts is the score after cooldown.  So both are trained completely, a few times as long as a trial, with the same
seed, and scored on examples that no trial was scored on.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from autorecipe.recipe import Recipe, difference, from_dict, get, replace, told_apart
from autorecipe.results import Decision
from autorecipe.rundir import read_json, write_json
from autorecipe.search import decide, planner
from autorecipe.search.answer import in_fresh_seeds, in_percent
from autorecipe.search.curves import SETTLED_STEPS
from autorecipe.search.evidence import judge
from autorecipe.search.expectation import Finish, Seen, expect, growth_between, known_points
from autorecipe.search.ledger import Progress, evidence_of
from autorecipe.search.length import of_length
from autorecipe.search.trials import SeedRun, forget_models, seed_runs
from autorecipe.search.workbench import Shape, Workbench, epochs_of, measure_shape, steps_for, units_left, use_shape

LONGER, LEAST = 4, 2
"""Times a trial's steps; with time for less than `LEAST` they do not race."""
SHARE = 0.15
"""Of the finish's time or epochs, for both runs, at most."""
SHORTEST = planner.SHORTEST_RACED
"""Seconds of the finish; nor do they race for fewer than `SETTLED_STEPS` steps, which tell nothing of where it ends."""


@dataclass(frozen=True)
class Raced:
    """What a race gave (`artifacts/race.json`)."""

    chosen: str
    """Digest of the recipe that its question carried on."""
    other: str
    """Digest of the one that it raced against: what it replaced, or the same with the network before it was risked."""
    winner: str
    seed: int
    """The decision seed of both, which says what is held out: one more than the decision has looked at."""
    steps: dict[str, int]
    scores: dict[str, float]
    """By digest; empty if a run did not complete."""
    seconds: float
    expected: float
    """Relative gain of the chosen one over the other at the end of the finish, after the race."""
    p_better: float
    reason: str


def raced(bench: Workbench) -> Raced | None:
    """The race of this run, or of an earlier part of it."""
    path = bench.run.race
    if not path.exists():
        return None
    found = from_dict(Raced, read_json(path), path.name)
    assert isinstance(found, Raced)
    return found


def race(bench: Workbench, progress: Progress, trial: float) -> Recipe:
    """The recipe to finish: of the two best the winner of a race where one is worth its time, else the incumbent.

    Args:
        bench: the workbench.
        progress: where the search has arrived.
        trial: one trial's compute.
    """
    decision = doubtful(progress.decisions)
    if decision is None:
        return progress.incumbent
    chosen, other = progress.incumbent, _rival(bench, progress, decision)
    known = raced(bench)
    if known is not None and known.winner == progress.incumbent.digest:
        return progress.incumbent
    if known is None or (known.chosen, known.other) != (chosen.digest, other.digest):
        shapes = [measure_shape(bench, recipe, trial) for recipe in (chosen, other)]
        # The trials of a question of embeddings are longer: its recipes are brought to the length of the others.
        steps = [steps_for(bench, recipe, shape, trial) for recipe, shape in zip((chosen, other), shapes, strict=True)]
        cost = sum(
            n * shape.step_seconds if bench.budget.timed else epochs_of(bench, of_length(recipe, n))
            for recipe, shape, n in zip((chosen, other), shapes, steps, strict=True)
        )
        longer = times_longer(units_left(bench), cost, SHORTEST if bench.budget.timed else 0.0)
        if longer is None or longer * min(steps) < SETTLED_STEPS or _alike(chosen, other):
            return progress.incumbent
        known = _race(bench, progress, decision, (chosen, other), [longer * n for n in steps], shapes)
    return other if known.winner == other.digest else chosen


def doubtful(decisions: Sequence[Decision]) -> Decision | None:
    """The decision that risked a larger network, else the last that adopted a recipe, if that was no claim.

    Its answer was undecided, worse in short trials, or not measured.
    """
    adopted = [d for d in decisions if d.adopted]
    last = [d for d in decisions if d.risked] or adopted
    return last[-1] if last and (last[-1].p_better or 0.0) < decide.CLAIM else None


def _rival(bench: Workbench, progress: Progress, decision: Decision) -> Recipe:
    """What the incumbent races against: the recipe that a decision replaced.

    Where others have followed it, the incumbent with that recipe's network, and its learning rate and steps: what was
    found of regularization since then counts for both.
    """
    replaced = bench.run.load_recipe(decision.incumbent)
    if decision is [d for d in progress.decisions if d.adopted][-1]:
        return replaced
    values = {name: get(replaced, name) for name in ("network", "optimizer.lr", "training.steps")}
    return replace(progress.incumbent, values)


def winner_of_race(bench: Workbench, incumbent: Recipe) -> Recipe:
    """What an earlier part of the run went on with: the winner, where the incumbent has raced."""
    known = raced(bench)
    return bench.run.load_recipe(known.winner) if known is not None and known.chosen == incumbent.digest else incumbent


def times_longer(left: float, pair: float, shortest: float = SHORTEST) -> int | None:
    """How many times as long as trials both are to run, or None if there is too little time.

    Args:
        left: seconds or epochs for the finish.
        pair: those of the training of both for a trial's steps.
        shortest: finish that is raced for.
    """
    longer = int(min(LONGER, SHARE * left / max(pair, 1e-9)))  # whole: the same again in a run that is resumed
    return longer if left >= shortest and longer >= LEAST else None


def _race(
    bench: Workbench,
    progress: Progress,
    decision: Decision,
    pair: tuple[Recipe, Recipe],
    steps: Sequence[int],
    shapes: Sequence[Shape],
) -> Raced:
    """Train both, judge, write it down."""
    chosen, other = pair
    begin = time.monotonic()
    for recipe in pair:  # an unstable stage has changed a learning rate, and the other may be a new one
        bench.run.save_recipe(recipe)
    recipes = [of_length(recipe, n) for recipe, n in zip(pair, steps, strict=True)]
    runs: list[SeedRun] = []
    seed, left = decision.num_seeds, units_left(bench)
    for recipe, shape in zip(recipes, shapes, strict=True):
        use_shape(bench, shape)
        most = min(2 * recipe.training.steps * shape.step_seconds + 1.0, 1.5 * SHARE * left)
        most = most if bench.budget.timed else math.inf
        run = seed_runs(bench, [(recipe, seed)], deadline=most)[0]
        if run is None:
            break
        runs.append(run)
        bench.heartbeat()
    _forget(bench, progress)
    seconds = time.monotonic() - begin
    if len(runs) < 2 or not all(math.isfinite(run.score) for run in runs):
        reason = "a run did not complete: the incumbent stays"
        found = Raced(chosen.digest, other.digest, chosen.digest, seed, {}, {}, seconds, 0.0, 0.5, reason)
    else:
        found = _judged(bench, progress, decision, pair, recipes, runs, seconds, shapes)
    write_json(bench.run.race, found)
    names = told_apart(chosen, other)
    bench.say(
        "race",
        chosen=names[0],
        other=names[1],
        winner=found.winner,
        kept=found.winner == chosen.digest,
        recipes=[chosen.digest, other.digest],
        scores=[run.score for run in runs],
        steps=[recipe.training.steps for recipe in recipes],
        seconds=seconds,
        p_better=found.p_better,
        reason=found.reason,
    )
    return found


def _judged(
    bench: Workbench,
    progress: Progress,
    decision: Decision,
    pair: tuple[Recipe, Recipe],
    recipes: Sequence[Recipe],
    runs: Sequence[SeedRun],
    seconds: float,
    shapes: Sequence[Shape],
) -> Raced:
    """What the race says of the two, with what was known before.

    Args:
        bench: the workbench.
        progress: where the search has arrived.
        decision: that chose between them.
        pair: the chosen recipe and the other.
        recipes: both as they were trained.
        runs: of both.
        seconds: that the race took.
        shapes: facts of both networks' shapes.
    """
    chosen, other = pair
    info, targets = bench.dataset.info, bench.dataset.targets.numpy()
    trained_on = len(bench.dataset.splits.held_out(decision.num_seeds)[0])
    measured = judge([(runs[1], runs[0])], targets, info, trained_on, progress.evidence, splits=bench.dataset.splits)
    before = [e for e in evidence_of(decision, info.metric) if e.measure == measured.judged_by]
    others = [e for e in progress.evidence if e not in before]
    seen = [in_fresh_seeds(recipes[1], recipes[0], measured)]
    if before:
        gain, spread = planner.as_log_ratio(decide.estimate(before[0], others), before[0].error)
        level = float(np.mean(decision.scores["incumbent"]))
        old, new = (bench.run.load_recipe(digest) for digest in (decision.incumbent, decision.candidate))
        seen.insert(0, Seen(old, new, gain, spread, level, decision.num_examples, decision.num_seeds))
    ends = [steps_for(bench, recipe, shape, units_left(bench)) for recipe, shape in zip(pair, shapes, strict=True)]
    finish = Finish(*(epochs_of(bench, of_length(pair[k], ends[k])) for k in (1, 0)))
    expected = expect(bench, other, chosen, seen, finish, float(bench.state.plan["trial"]), known_points(bench, other))
    p_better = float(special.ndtr(expected.gain / expected.spread))
    grown = growth_between(info, other, chosen) is not None
    risked = grown and expected.gain <= 0 and expected.worth_the_risk
    reason = (
        f"{in_percent(expected, ' after the race')}, "
        f"{measured.judged.effect:+.4g} in {measured.judged_by} in the race itself"
    )
    if risked:
        reason += "; as likely as one in five to be better, and so it stays"
    return Raced(
        chosen.digest,
        other.digest,
        chosen.digest if expected.gain > 0 or risked else other.digest,
        decision.num_seeds,
        {old.digest: new.training.steps for old, new in zip(pair, recipes, strict=True)},
        {old.digest: run.score for old, run in zip(pair, runs, strict=True)},
        seconds,
        expected.gain,
        p_better,
        reason,
    )


def _alike(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes are one, for runs of different lengths."""
    changed = set(difference(one, other))
    return "training.steps" in changed and changed <= {"training.steps", "training.seed", "optimizer.lr"}


def _forget(bench: Workbench, progress: Progress) -> None:
    """Keep the weights of the recipe alone that was measured last, for the accounts."""
    measured = [d.chosen for d in progress.decisions if d.p_better is not None]
    forget_models(bench, bench.run.load_recipe(measured[-1]) if measured else progress.incumbent)
