"""The evidence of a decision: fresh seeds of candidate and incumbent, paired by seed and held-out part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_record

import numpy as np

from autorecipe.data.metrics import gain
from autorecipe.data.modality import Splits
from autorecipe.recipe import Recipe
from autorecipe.results import DatasetInfo
from autorecipe.search import decide
from autorecipe.search.decide import Estimate, Evidence, error_of, mean_variance
from autorecipe.search.points import Question
from autorecipe.search.trials import SeedRun, seed_runs
from autorecipe.search.workbench import Workbench, measure_shape, use_shape
from autorecipe.training.calibrate import temperature
from autorecipe.training.cohort import cohort_key
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.evaluate import CHANCES, decide_classes, score
from autorecipe.training.gains import example_gains

FEW_DIFFERENT = 20
"""Held-out examples on which the two say different classes; of fewer, a count of right and wrong tells little."""
LOSS = "log_loss"

Pair = tuple[SeedRun, SeedRun]
"""The runs of incumbent and candidate with one seed."""


@dataclass(frozen=True)
class Measured:
    """What fresh seeds of candidate and incumbent gave."""

    found: Estimate
    """Of the effect in the user's metric."""
    evidence: tuple[Evidence, ...]
    """In the user's metric; and in log loss, where there are classes."""
    judged: Estimate
    """What the verdict rests on: `found`, or the effect in log loss where the metric is too coarse."""
    judged_by: str
    """The metric of `judged`."""
    error: float
    """What is left to gain in that metric."""
    num_examples: int
    looks: int
    scores: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Held-out scores of each seed, for `incumbent` and `candidate`."""
    by_loss: Estimate | None = None
    """Of the effect in log loss, where there are classes."""
    losses: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Log losses after temperature scaling; empty for a regression."""


def measure_evidence(
    bench: Workbench, question: Question, candidate: Recipe, incumbent: Recipe, earlier: Sequence[Evidence]
) -> Measured | None:
    """Train fresh seeds of both, as far as the time allows; more where the first have not decided.

    Args:
        bench: the workbench.
        question: how many seeds, and how many more.
        candidate: one of the two recipes.
        incumbent: the other.
        earlier: evidence of earlier questions, for the variance between seeds.

    Returns:
        None with fewer than two pairs.
    """
    pairs = _seed_pairs(bench, question, candidate, incumbent, range(question.seeds))
    if len(pairs) < 2:
        return None
    info, targets = bench.dataset.info, bench.dataset.targets.numpy()
    trained_on = len(bench.dataset.splits.held_out(0)[0])
    found = judge(pairs, targets, info, trained_on, earlier, splits=bench.dataset.splits)
    more = range(question.seeds, question.seeds + question.more_seeds)
    if more and len(pairs) == question.seeds and decide.undecided(found.judged, found.error):
        bench.say("note", text=f"{len(pairs)} fresh seeds have not decided: {len(more)} more")
        pairs += _seed_pairs(bench, question, candidate, incumbent, more)
        found = judge(pairs, targets, info, trained_on, earlier, 2, bench.dataset.splits)
    steps = min(recipe.training.steps for recipe in (candidate, incumbent))
    return replace_record(found, evidence=tuple(replace_record(each, steps=steps) for each in found.evidence))


def judge(
    pairs: Sequence[Pair],
    targets: np.ndarray,
    info: DatasetInfo,
    trained_on: int,
    earlier: Sequence[Evidence] = (),
    looks: int = 1,
    splits: Splits | None = None,
) -> Measured:
    """What pairs of runs say of the effect.

    Where the two say different classes on few examples only, a difference in right and wrong is chance, and the
    probabilities tell more: the verdict then rests on the log loss after temperature scaling, unless the metric
    points the other way.

    Args:
        pairs: two or more.
        targets: of all examples.
        info: task and metric.
        trained_on: examples that each run was trained on.
        earlier: evidence of earlier questions.
        looks: how often the pairs have been looked at, this time included.
        splits: for the examples that belong together; None: each stands alone.
    """
    evidence, scores = _paired(pairs, info.metric, targets, info, trained_on, splits)
    found = decide.estimate(evidence, earlier)
    examples = sum(_parts(pairs).values())
    if info.task == "regression" or info.metric == LOSS:
        return Measured(found, (evidence,), found, info.metric, evidence.error, examples, looks, scores)
    scaled = [(_calibrated(old, targets, info), _calibrated(new, targets, info)) for old, new in pairs]
    loss_evidence, losses = _paired(scaled, LOSS, targets, info, trained_on, splits)
    by_loss = decide.estimate(loss_evidence, earlier)
    agree = found.effect * by_loss.effect >= 0
    coarse = agree and info.metric not in CHANCES and num_different(pairs, info) < FEW_DIFFERENT
    judged, name, error = (by_loss, LOSS, loss_evidence.error) if coarse else (found, info.metric, evidence.error)
    both = (evidence, loss_evidence)
    return Measured(found, both, judged, name, error, examples, looks, scores, by_loss, losses)


def num_different(pairs: Sequence[Pair], info: DatasetInfo) -> int:
    """Held-out examples, over all seeds, on which the two say different classes."""
    said = ([decide_classes(run.outputs, info.task) for run in pair] for pair in pairs)
    return sum(int((old != new).reshape(len(old), -1).any(1).sum()) for old, new in said)


def _calibrated(run: SeedRun, targets: np.ndarray, info: DatasetInfo) -> SeedRun:
    """A run with its log loss for a score, its outputs divided by their best temperature."""
    outputs = run.outputs / temperature(targets[run.rows], run.outputs, info)
    loss = score(LOSS, targets[run.rows], outputs, info)
    return replace_record(run, outputs=outputs, score=loss)


def _paired(
    pairs: Sequence[Pair], metric: str, targets: np.ndarray, info: DatasetInfo, trained_on: int, splits: Splits | None
) -> tuple[Evidence, dict[str, tuple[float, ...]]]:
    """The evidence in one metric, and the scores that it is made of."""
    scores = {who: tuple(pair[k].score for pair in pairs) for k, who in enumerate(("incumbent", "candidate"))}
    differences = tuple(gain(metric, new.score, old.score) for old, new in pairs)
    variances = [_variance(pair, metric, targets, info, splits) for pair in pairs]
    # Parts may overlap when there are few: the variance of the mean is then that of one part, not less.
    distinct = len(_parts(pairs))
    variance = float(np.mean(variances)) / distinct
    error = error_of(metric, float(np.mean(scores["incumbent"])), sum(len(old.rows) for old, _ in pairs))
    overlap = len(pairs[0][0].rows) / max(1, trained_on)
    return Evidence(differences, variance, error, distinct, overlap, metric), scores


def _variance(pair: Pair, metric: str, targets: np.ndarray, info: DatasetInfo, splits: Splits | None) -> float:
    """Variance that the choice of examples, or of their groups, gives the gain of a pair."""
    old, new = pair
    clusters = None if splits is None else splits.clusters(old.rows)
    alone = clusters is not None and clusters.max() == 0
    gains = example_gains(
        metric, targets[old.rows], old.outputs, new.outputs, info, clusters=None if alone else clusters
    )
    # A part that is a single group is a single draw, and how such draws differ can only be guessed: as examples do.
    return float(gains.var()) if alone else mean_variance(gains)


def _parts(pairs: Sequence[Pair]) -> dict[tuple[int, ...], int]:
    """The different held-out parts, by their first rows, with how many examples each has."""
    return {tuple(old.rows[:5].tolist()): len(old.rows) for old, _ in pairs}


def _seed_pairs(
    bench: Workbench, question: Question, candidate: Recipe, incumbent: Recipe, seeds: Sequence[int]
) -> list[Pair]:
    """A run of the incumbent and one of the candidate for each seed, as far as the time allows."""
    limit = 2 * question.share + 1.0 if bench.budget.timed else math.inf
    shapes = {who: measure_shape(bench, recipe, question.share) for who, recipe in _both(incumbent, candidate)}
    members = min(shape.members for shape in shapes.values())
    further = max(shape.further_member for shape in shapes.values())
    pairs: list[Pair] = []
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


def _whole(bench: Workbench, seed: int, runs: Sequence[SeedRun | None]) -> list[Pair]:
    """The pair of a seed, if both runs completed."""
    done = [run for run in runs if run is not None]
    for who, run in zip(("incumbent", "candidate"), runs, strict=False):
        if run is None:
            break
        bench.say("evidence", who=who, seed=seed, score=run.score, reused=run.reused)
    return [(done[0], done[1])] if len(done) == 2 else []
