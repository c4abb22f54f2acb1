"""The evidence of a decision: fresh seeds of candidate and incumbent, paired by seed and held-out part."""

import math

import numpy as np

from autorecipe.data.metrics import gain
from autorecipe.recipe import Recipe
from autorecipe.search.decide import Evidence, error_of, mean_variance
from autorecipe.search.points import Question
from autorecipe.search.trials import SeedRun, seed_run
from autorecipe.search.workbench import Workbench, measure_shape, use_shape
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
    """A run of the incumbent and one of the candidate for each seed."""
    limit = 2 * question.share + 1.0 if bench.budget.timed else math.inf
    pairs: list[tuple[SeedRun, SeedRun]] = []
    for seed in range(question.seeds):
        if bench.budget.timed and bench.clock.left() < question.finish * 0.8 + 2 * question.share:
            break
        runs = []
        for who, recipe in (("incumbent", incumbent), ("candidate", candidate)):
            use_shape(bench, measure_shape(bench, recipe, question.share))
            run = seed_run(bench, recipe, seed, limit)
            if run is None:
                break
            bench.say("evidence", who=who, seed=seed, score=run.score, reused=run.reused)
            runs.append(run)
        if len(runs) == 2:
            pairs.append((runs[0], runs[1]))
        bench.heartbeat()
    return pairs
