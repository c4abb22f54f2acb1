"""`compare`: what differs between two runs in recipe, score and cost, and whether the scores differ beyond noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from autorecipe.data.metrics import METRICS, gain
from autorecipe.data.targets import to_scale
from autorecipe.errors import InputError
from autorecipe.outputs.identity import as_outputs
from autorecipe.recipe import Recipe, difference, from_dict, load_recipe
from autorecipe.results import DatasetInfo
from autorecipe.rundir import RunDir, numbers_of, read_mapping
from autorecipe.search import decide
from autorecipe.search.decide import Evidence, mean_variance
from autorecipe.search.ledger import evidence_of, load_decisions
from autorecipe.search.score_interval import another_sample, prior_share
from autorecipe.training.evaluate import USUAL
from autorecipe.training.gains import Thresholds, example_gains

BEYOND = 0.975
"""P from which on a difference is beyond noise: 5 % of equal recipes are told apart, for either may be the better."""


@dataclass(frozen=True)
class Side:
    """One of the two runs, as its folder tells."""

    name: str
    path: str
    dataset: str
    data_digest: str
    task: str
    metric: str
    status: str
    network: str
    num_params: float | None
    seconds: float | None
    epochs: float | None
    test: Mapping[str, float]
    """Scores on test by metric."""
    num_test: int
    weights: str
    """SHA-256 of the model."""


@dataclass(frozen=True)
class Difference:
    """How far the test scores of two runs differ."""

    metric: str
    scores: tuple[float, float]
    gain: float
    """Of the second run over the first, positive is better."""
    standard_error: float
    interval: tuple[float, float]
    """90 % interval of the gain."""
    p_second_better: float
    paired: bool
    """Whether the same test examples were compared one by one."""
    reason: str
    """What the noise was taken from."""

    @property
    def verdict(self) -> str:
        """In words, with the run that is better as `first` or `second`."""
        surest = max(self.p_second_better, 1 - self.p_second_better)
        if not surest >= BEYOND:
            return "within noise"
        return f"beyond noise: {'second' if self.p_second_better > 0.5 else 'first'} better, P={surest:.3f}"


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs."""

    runs: tuple[Side, Side]
    recipe: Mapping[str, tuple[object, object]]
    """Fields in which the recipes differ, by dotted name."""
    same_data: bool
    difference: Difference | None
    refused: str
    """Why the scores cannot be compared."""

    @property
    def verdict(self) -> str:
        """The score's difference in one sentence."""
        return self.difference.verdict if self.difference is not None else f"not compared: {self.refused}"


def compare(first: RunDir, second: RunDir) -> Comparison:
    """Compare two runs by their folders alone.

    Raises:
        InputError: one of them has no model, or a damaged file.
    """
    sides = _side(first), _side(second)
    recipes = load_recipe(first.recipe), load_recipe(second.recipe)
    same = sides[0].data_digest == sides[1].data_digest
    infos = _info(first), _info(second)
    metric, refused = _metric(sides) if same else ("", _other_data(sides))
    refused = refused or _other_splits(infos)
    found = None
    if not refused:
        said = recipes[0].finish.thresholds, recipes[1].finish.thresholds
        variance, paired, reason = _example_variance((first, second), sides, metric, said)
        both = zip((first, second), sides, strict=True)
        # Of a function of the user's nothing is known here, not even which way is better.
        known = [(run, side.metric) for run, side in both if side.metric in METRICS]
        evidences = [e for run, name in known for d in load_decisions(run) for e in evidence_of(d, name)]
        share = max(prior_share(infos[0].modality, recipe.training.steps) for recipe in recipes)
        scores = sides[0].test[metric], sides[1].test[metric]
        found = difference_of(metric, scores, variance, evidences, paired, reason, share)
    return Comparison(sides, _changes(*recipes), same, found, refused)


def difference_of(
    metric: str,
    scores: tuple[float, float],
    example_variance: float,
    evidences: Sequence[Evidence],
    paired: bool = False,
    reason: str = "",
    share: float = decide.PRIOR_SEED_SHARE,
) -> Difference:
    """The difference of two runs' scores, with the noise of seeds and of examples.

    Args:
        metric: of the scores.
        scores: of the first and of the second run, on test.
        example_variance: variance of the difference that comes from the choice of examples.
        evidences: of the decisions of both runs, for the variance between seeds.
        paired: whether `example_variance` is that of the examples' own differences.
        reason: what it was taken from.
        share: the prior of a difference between seeds, over the error; a few steps of a convnet have more.
    """
    error = 0.5 * sum(decide.error_of(metric, score) for score in scores)
    found = Evidence((gain(metric, scores[1], scores[0]),), example_variance, error, measure=metric)
    result = decide.estimate(found, evidences, share)
    return Difference(
        metric, scores, result.effect, result.standard_error, result.interval, result.p_better, paired, reason
    )


def unpaired_variance(metric: str, score: float, examples: int) -> float:
    """Rough variance of a test score that comes from the choice of examples, where nothing but the score is known.

    A mean of values from 0 to 1 has at most the variance s (1 - s) / N; the root of a mean of squares about s^2 / N,
    for errors with tails somewhat heavier than normal ones; other losses are taken to vary by twice their mean.
    """
    best, count = METRICS[metric].best, max(1, examples)
    if metric in ("rmse", "mae"):
        return score**2 / count
    if best == 1.0 and 0 <= score <= 1:
        return max(score * (1 - score), 1 / count) / count
    return (2 * decide.error_of(metric, score)) ** 2 / count


# What the folders tell


def _side(run: RunDir) -> Side:
    if not run.weights.exists() and not run.summary.exists():
        raise InputError(f"{run.path} holds no model yet: no trial has finished; go on with it: autorecipe resume")
    summary = read_mapping(run.summary)
    info, metrics, spent = _info(run), summary.get("metrics"), numbers_of(summary.get("budget"))
    test = numbers_of(metrics.get("test")) if isinstance(metrics, dict) else {}
    scores = numbers_of(summary.get("scores"))
    test |= {info.metric: scores["test"]} if "test" in scores else {}
    return Side(
        run.name,
        str(run.path),
        info.name,
        info.digest,
        info.task,
        info.metric,
        str(summary.get("status")),
        str(summary.get("network")),
        numbers_of(summary).get("num_params"),
        spent.get("spent_seconds"),
        spent.get("spent_epochs"),
        test,
        info.num_examples.get("test", 0),
        str(summary.get("weights_sha256")),
    )


def _info(run: RunDir) -> DatasetInfo:
    info = from_dict(DatasetInfo, read_mapping(run.preprocess).get("info"), f"{run.preprocess} info")
    assert isinstance(info, DatasetInfo)
    return info


def _changes(first: Recipe, second: Recipe) -> dict[str, tuple[object, object]]:
    """Fields that differ; the data's digest is told apart."""
    return {name: pair for name, pair in difference(first, second).items() if name != "data.digest"}


def _other_data(sides: tuple[Side, Side]) -> str:
    names = " and ".join(f"{side.dataset} ({side.data_digest[:8]})" for side in sides)
    return (
        f"the runs are of different data, {names}, or of other columns of it, and scores on different data say nothing "
        "of each other"
    )


def _other_splits(infos: tuple[DatasetInfo, DatasetInfo]) -> str:
    """Why two test splits of the same data answer different questions; empty if they do not."""
    rules = [
        f"by groups of {info.group!r}" if info.group else f"by time ({info.time!r})" if info.time else "at random"
        for info in infos
    ]
    if rules[0] == rules[1]:
        return ""
    return f"the test splits answer different questions: one was drawn {rules[0]}, the other {rules[1]}"


def _metric(sides: tuple[Side, Side]) -> tuple[str, str]:
    """The metric to compare in, or why there is none."""
    if sides[0].task != sides[1].task:
        return "", f"one is {sides[0].task}, the other {sides[1].task}"
    for side in sides:
        if not side.test:
            return "", f"{side.name} has no test score: it is {side.status}"
    usual = [sides[0].metric, *USUAL[sides[0].task]] if sides[0].metric == sides[1].metric else USUAL[sides[0].task]
    shared = [metric for metric in usual if metric in METRICS and all(metric in side.test for side in sides)]
    return (shared[0], "") if shared else ("", "they have no score in the same metric")


# The noise of the examples


def _example_variance(
    runs: tuple[RunDir, RunDir], sides: tuple[Side, Side], metric: str, thresholds: Thresholds
) -> tuple[float, bool, str]:
    """Variance of the scores' difference that comes from the examples; whether they are paired; and what it is from."""
    old, new = (_kept_outputs(run) for run in runs)
    infos = tuple(_info(run) for run in runs)
    if old is None or new is None:
        gone = [side.name for side, found in zip(sides, (old, new), strict=True) if found is None]
        why = f"no {runs[0].tested.relative_to(runs[0].path)} in {' and '.join(gone)}"
    elif not np.array_equal(old["rows"], new["rows"]):
        why = "their test splits differ"
    elif infos[0].classes != infos[1].classes or infos[0].target_scale != infos[1].target_scale:
        why = "their targets are scaled or ordered differently"
    else:
        return _paired_variance(old, new, infos[0], metric, sides[0].num_test, thresholds)
    own = [
        _own_variance(side.test[metric], kept, info, metric, side.num_test, said)
        for side, info, kept, said in zip(sides, infos, (old, new), thresholds, strict=True)
        if kept is not None
    ]
    variances = [value for value in own if value is not None]
    if len(variances) == len(runs):
        together = all("clusters" in kept for kept in (old, new) if kept is not None)
        alone = "" if together or not (infos[0].group or infos[0].time) else ", examples taken as independent"
        return sum(variances), False, f"unpaired{alone}: {why}"
    variance = sum(unpaired_variance(metric, side.test[metric], side.num_test) for side in sides)
    return variance, False, f"unpaired, and from the scores alone, which is rough: {why}"


def _own_variance(
    value: float,
    kept: Mapping[str, np.ndarray],
    info: DatasetInfo,
    metric: str,
    num_test: int,
    thresholds: Sequence[float],
) -> float | None:
    """Variance of one run's test score that comes from the choice of examples; None where it cannot be said."""
    targets, outputs = _as_scored(kept, info)
    info = replace(info, metric=metric)
    sample = another_sample(targets, outputs, value, info, thresholds, clusters=kept.get("clusters"))
    return None if sample is None else sample.variance * _kept_share(kept, num_test)


def _kept_share(kept: Mapping[str, np.ndarray], num_test: int) -> float:
    """Of a large test split a sample of the predictions is kept, and the variance of the score on all is smaller.

    Not of examples in groups: more of the same groups tell nothing new.
    """
    return 1.0 if "clusters" in kept else len(kept["rows"]) / max(len(kept["rows"]), num_test)


def _as_scored(kept: Mapping[str, np.ndarray], info: DatasetInfo) -> tuple[np.ndarray, np.ndarray]:
    """Targets and outputs as the metrics take them."""
    targets = kept["targets"] if info.task != "regression" else to_scale(kept["targets"], info.target_scale)
    return targets, as_outputs(kept["outputs"], info)


def _paired_variance(
    old: Mapping[str, np.ndarray],
    new: Mapping[str, np.ndarray],
    info: DatasetInfo,
    metric: str,
    num_test: int,
    thresholds: Thresholds,
) -> tuple[float, bool, str]:
    (targets, before), (_, after) = (_as_scored(side, info) for side in (old, new))
    clusters = old.get("clusters")
    values = example_gains(metric, targets, before, after, info, thresholds, clusters)
    told = f"{len(old['rows']):,} test examples"
    if clusters is not None:
        told += f" in {clusters.max() + 1:,} {'groups' if info.group else 'stretches of time'}"
    elif info.group or info.time:
        told += ", taken as independent"
    return mean_variance(values) * _kept_share(old, num_test), True, f"paired on {told}, and on seeds"


def _kept_outputs(run: RunDir) -> dict[str, np.ndarray] | None:
    """The predictions that a run keeps of test, in the order of their rows; None if there are none that fit."""
    try:
        found = load_file(run.tested)
        order = np.argsort(found["rows"], kind="stable")
        names = ("outputs", "targets", "rows", *(["clusters"] if "clusters" in found else []))
        tensors = {name: found[name][order] for name in names}
    except (OSError, SafetensorError, KeyError, IndexError):
        return None
    finite = bool(np.isfinite(tensors["outputs"]).all()) and tensors["outputs"].ndim == 2
    return tensors if finite and len({len(t) for t in tensors.values()}) == 1 else None


def ratio(first: float | None, second: float | None) -> str:
    """The second over the first: `1.4x`; nothing where one of them is unknown or zero."""
    if not first or not second or not math.isfinite(first) or not math.isfinite(second):
        return ""
    return f"{second / first:.3g}x"
