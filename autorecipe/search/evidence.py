"""The evidence of a decision: fresh seeds of candidate and incumbent, paired by seed and held-out part."""

import math

import numpy as np

from autorecipe.recipe import Recipe
from autorecipe.search.decide import Evidence, error_of, mean_variance
from autorecipe.search.points import Question
from autorecipe.search.trials import SeedRun, seed_run
from autorecipe.search.workbench import Workbench, measure_shape, use_shape
from autorecipe.training.evaluate import gain, loss_of_each, unscale


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
    values = [_example_gains(bench, a, b) for a, b in pairs]
    # Parts may overlap when there are few: the variance of the mean is then that of one part, not less.
    distinct = len({tuple(a.rows[:5].tolist()) for a, _ in pairs})
    variance = float(np.mean([mean_variance(v) for v in values])) / distinct
    return Evidence(differences, variance, error), scores, sum(len(v) for v in values)


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


def _example_gains(bench: Workbench, incumbent: SeedRun, candidate: SeedRun) -> np.ndarray:
    """Each example's contribution to the difference in the metric, float [N].

    Exact for means (accuracy, log loss, mae); the delta method for rmse and r2; for the others
    (f1, roc_auc) that of the accuracy, which is of the same size.
    """
    info = bench.dataset.info
    targets = bench.dataset.targets.numpy()[incumbent.rows]
    if info.task == "regression":
        truth = unscale(targets, info)
        old, new = (np.abs(truth - unscale(run.outputs, info)) for run in (incumbent, candidate))
        if info.metric == "mae":
            return np.asarray(old - new)
        squares = old**2 - new**2
        if info.metric == "r2":
            return np.asarray(squares / max(float(truth.var()), 1e-12))
        return np.asarray(squares / (np.sqrt((old**2).mean()) + np.sqrt((new**2).mean()) + 1e-12))
    if info.metric == "log_loss":
        old, new = (loss_of_each(targets, run.outputs, info) for run in (incumbent, candidate))
        return np.asarray(old - new)
    right = [(run.outputs.argmax(1) == targets).astype(float) for run in (candidate, incumbent)]
    return np.asarray(right[0] - right[1])
