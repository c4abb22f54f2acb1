"""The evidence of a decision: fresh seeds of candidate and incumbent, paired by seed and held-out part."""

import math
from collections.abc import Sequence

import numpy as np

from autorecipe.data.metrics import gain
from autorecipe.recipe import Recipe
from autorecipe.search.decide import Evidence, error_of, mean_variance
from autorecipe.search.points import Question
from autorecipe.search.trials import SeedRun, seed_runs
from autorecipe.search.workbench import Workbench, measure_shape, use_shape
from autorecipe.training.cohort import cohort_key
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.gains import example_gains


def measure_evidence(
    bench: Workbench, question: Question, candidate: Recipe, incumbent: Recipe
) -> tuple[Evidence | None, dict[str, tuple[float, ...]], int]:
    """Train fresh seeds of both, as far as the time allows.

    Returns:
        The evidence, None with fewer than two pairs; the scores of `incumbent` and `candidate`; the number of
        held-out examples.
    """
    pairs = _seed_pairs(bench, question, candidate, incumbent)
    if len(pairs) < 2:
        return None, {}, 0
    metric = bench.dataset.info.metric
    scores = {"incumbent": tuple(a.score for a, _ in pairs), "candidate": tuple(b.score for _, b in pairs)}
    differences = tuple(gain(metric, b.score, a.score) for a, b in pairs)
    error = error_of(metric, float(np.mean(scores["incumbent"])))
    info, targets = bench.dataset.info, bench.dataset.targets.numpy()
    values = [example_gains(metric, targets[a.rows], a.outputs, b.outputs, info) for a, b in pairs]
    # Parts may overlap when there are few: the variance of the mean is then that of one part, not less.
    distinct = len({tuple(a.rows[:5].tolist()) for a, _ in pairs})
    variance = float(np.mean([mean_variance(v) for v in values])) / distinct
    return Evidence(differences, variance, error), scores, sum(len(a.rows) for a, _ in pairs)


def _seed_pairs(
    bench: Workbench, question: Question, candidate: Recipe, incumbent: Recipe
) -> list[tuple[SeedRun, SeedRun]]:
    """A run of the incumbent and one of the candidate for each seed, as far as the time allows."""
    limit = 2 * question.share + 1.0 if bench.budget.timed else math.inf
    shapes = {who: measure_shape(bench, recipe, question.share) for who, recipe in _both(incumbent, candidate)}
    members = min(shape.members for shape in shapes.values())
    further = max(shape.further_member for shape in shapes.values())
    pairs: list[tuple[SeedRun, SeedRun]] = []
    seeds = list(range(question.seeds))
    one = cohort_key(incumbent) == cohort_key(candidate)
    runs = alone_to_group(2 * len(seeds), further) if one else 2 * alone_to_group(len(seeds), further)
    if members > 1 and _time_for(bench, question, runs):
        use_shape(bench, shapes["candidate"], members)
        jobs = [(recipe, seed) for seed in seeds for _, recipe in _both(incumbent, candidate)]
        found = seed_runs(bench, jobs, members, limit, further)
        for k, seed in enumerate(seeds):
            pairs += _whole(bench, seed, found[2 * k : 2 * k + 2])
        bench.heartbeat()
        return pairs
    for seed in seeds:
        if not _time_for(bench, question, 2.0):
            break
        pair: list[SeedRun | None] = []
        for who, recipe in _both(incumbent, candidate):
            use_shape(bench, shapes[who])
            pair += seed_runs(bench, [(recipe, seed)], deadline=limit)
            if pair[-1] is None:
                break
        pairs += _whole(bench, seed, pair)
        bench.heartbeat()
    return pairs


def _both(incumbent: Recipe, candidate: Recipe) -> tuple[tuple[str, Recipe], ...]:
    return ("incumbent", incumbent), ("candidate", candidate)


def _time_for(bench: Workbench, question: Question, runs: float) -> bool:
    return not bench.budget.timed or bench.clock.left() >= question.finish * 0.8 + runs * question.share


def _whole(bench: Workbench, seed: int, runs: Sequence[SeedRun | None]) -> list[tuple[SeedRun, SeedRun]]:
    """The pair of a seed, if both runs completed."""
    done = [run for run in runs if run is not None]
    for who, run in zip(("incumbent", "candidate"), runs, strict=False):
        if run is None:
            break
        bench.say("evidence", who=who, seed=seed, score=run.score, reused=run.reused)
    return [(done[0], done[1])] if len(done) == 2 else []
