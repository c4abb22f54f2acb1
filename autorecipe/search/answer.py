"""The answer to a question: which candidate is compared, what is decided, and the sentence that says it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autorecipe.recipe import Recipe, describe
from autorecipe.results import Decision, TrainResult, in_words
from autorecipe.search import decide, studies
from autorecipe.search.evidence import Measured, measure_evidence
from autorecipe.search.notes import answer_note
from autorecipe.search.planner import (
    expected_final,
    fading,
    foresee,
    members_of_finish,
    prior_gain,
    regularized_otherwise,
)
from autorecipe.search.points import Question, incumbent_at_share
from autorecipe.search.space import few_valued
from autorecipe.search.trials import forget_models
from autorecipe.search.tried import Tried, recorded_result, recorded_score
from autorecipe.search.workbench import Workbench, epochs_of, measure_shape, params_of
from autorecipe.training.cohort_size import alone_to_group

SEARCH_NOISE = 0.05
"""Standard error of a log ratio of search scores on many examples: one seed each, and the winner was picked by them."""
UNMEASURED: dict[str, Any] = {
    "effect": None,
    "standard_error": None,
    "interval": None,
    "p_better": None,
    "num_examples": 0,
    "num_seeds": 0,
}
"""What a decision says of an effect that was not measured."""


@dataclass(frozen=True)
class Answer:
    """A decision with the recipe carried on, and the run that tells how it trains."""

    decision: Decision
    recipe: Recipe
    runner_up: Recipe | None
    result: TrainResult | None
    """A training run of the chosen recipe, for the diagnosis."""
    evidence: tuple[decide.Evidence, ...]
    """In the metric, and in log loss where there are classes; empty if nothing was measured."""
    diverged: float = 0.0
    """Share of the trials that diverged."""


def answer_question(
    bench: Workbench,
    question: Question,
    study: studies.OpenStudy,
    tried: Tried,
    earlier: Sequence[decide.Evidence],
    begin: float,
) -> Answer:
    """Compare the most promising candidate with the incumbent on fresh seeds, decide, write it down.

    Args:
        bench: the workbench.
        question: what was asked.
        study: its study, whose trials have ended.
        tried: what they gave.
        earlier: evidence of earlier questions, for the variance between seeds.
        begin: when the question was begun, by `time.monotonic`.
    """
    incumbent = incumbent_at_share(bench, question)
    digest = bench.run.save_recipe(incumbent)
    winner = _most_promising(bench, question, tried, incumbent)
    common: dict[str, Any] = {
        "stage": question.stage,
        "question": question.text,
        "incumbent": digest,
        "candidates": tuple(dict.fromkeys(r.digest for _, r in sorted(tried.recipes.items()) if r.digest != digest)),
        "study": study.name,
        "trials": tuple(sorted(r.number for r in studies.ended(study))),
        "held_out": "cross-validated" if bench.dataset.info.cross_validated else "confirm",
    }
    if winner is None:
        decision = Decision(
            **common,
            **UNMEASURED,
            candidate=digest,
            seconds=time.monotonic() - begin,
            verdict=decide.NOT_DECIDED,
            reason="no other candidate finished a trial",
            chosen=digest,
        )
        _note(bench, question, study, decision)
        return Answer(decision, incumbent, None, recorded_result(bench, incumbent), ())
    candidate, search_score = tried.recipes[winner], tried.values[winner][0]
    measured = measure_evidence(bench, question, candidate, incumbent, earlier)
    metric = bench.dataset.info.metric
    level = _search_level(bench, incumbent, search_score)
    error = measured.error if measured else decide.error_of(metric, level)
    prior = _prior(bench, question, incumbent, candidate)
    fade = _fade(bench, question, incumbent, candidate)
    if measured is not None:
        expected = expected_final(measured.judged, error, prior, fade)
    else:
        val = len(bench.dataset.splits.val)
        gain = decide.relative_gain(metric, level, search_score, val)
        noise = _search_noise(bench, min(decide.error_of(metric, score, val) for score in (level, search_score)))
        expected = foresee(gain, noise, prior, fade)
    word, adopted = decide.verdict(measured.judged if measured else None, expected, error)
    chosen, other = (candidate, incumbent) if adopted else (incumbent, candidate)
    reason = f"expected relative gain at the end of the finish {expected:+.1%} (the prior alone: {prior:+.1%})"
    if measured is None:
        reason += "; there was no room for two fresh seeds, so the shipped prior and the search scores act"
    decision = Decision(
        **common,
        **_facts(measured),
        candidate=candidate.digest,
        seconds=time.monotonic() - begin,
        verdict=word,
        reason=reason,
        chosen=chosen.digest,
        candidate_score=search_score,
        num_params=measure_shape(bench, chosen, question.share).num_params,
    )
    _note(bench, question, study, decision)
    if measured is not None:
        forget_models(bench, chosen)
    return Answer(decision, chosen, other, recorded_result(bench, chosen), measured.evidence if measured else ())


def _facts(measured: Measured | None) -> dict[str, Any]:
    """What a decision says of the effect."""
    if measured is None:
        return UNMEASURED
    evidence = measured.evidence[0]
    return {
        "effect": measured.found.effect,
        "standard_error": measured.found.standard_error,
        "interval": measured.found.interval,
        "p_better": measured.judged.p_better,
        "num_examples": measured.num_examples,
        "num_seeds": len(evidence.differences),
        "judged_by": measured.judged_by,
        "looks": measured.looks,
        "example_variance": evidence.example_variance,
        "steps": evidence.steps,
        "parts": evidence.parts,
        "overlap": evidence.overlap,
        "scores": measured.scores,
        "losses": measured.losses,
        "loss_example_variance": measured.evidence[-1].example_variance if measured.losses else 0.0,
        "loss_interval": measured.by_loss.interval if measured.by_loss else None,
    }


def _note(bench: Workbench, question: Question, study: studies.OpenStudy, decision: Decision) -> None:
    """Show the decision with its study in the dashboard."""
    old, new = (describe(bench.run.load_recipe(digest).network) for digest in (decision.incumbent, decision.candidate))
    unit = "seconds" if bench.budget.timed else "epochs"
    found = finding(decision, bench.dataset.info.metric)
    verdict = in_words(decision.verdict, old == new)
    studies.set_attrs(study, None, {"verdict": verdict, "finding": found or "nothing was measured"})
    studies.note(study, None, answer_note(question, decision, found, (old, new), bench.dataset.info, unit))


# What is expected of a candidate


def _most_promising(bench: Workbench, question: Question, tried: Tried, incumbent: Recipe) -> int | None:
    """The rival with the best expected score at the end of the finish; between equals the lower loss."""
    rivals = _rivals(question, tried, incumbent)
    if not rivals:
        return None
    metric = bench.dataset.info.metric
    level = recorded_score(bench, incumbent)
    level = level if level is not None else float(np.median([score for score, _ in rivals.values()]))

    def promise(number: int) -> tuple[float, float]:
        score, loss = rivals[number]
        measured = decide.relative_gain(metric, level, score, len(bench.dataset.splits.val))
        prior = _prior(bench, question, incumbent, tried.recipes[number])
        return foresee(measured, 0.0, prior, _fade(bench, question, incumbent, tried.recipes[number])), -loss

    return max(rivals, key=promise)


def _rivals(question: Question, tried: Tried, incumbent: Recipe) -> Mapping[int, tuple[float, float]]:
    """Score and loss of the trials that the incumbent is compared with: in a growth question other networks."""
    growth = len(question.alternatives) > 1
    return {
        n: value
        for n, value in tried.values.items()
        if tried.recipes[n].digest != incumbent.digest and (not growth or tried.recipes[n].network != incumbent.network)
    }


def _search_level(bench: Workbench, incumbent: Recipe, otherwise: float) -> float:
    """The incumbent's search score, or `otherwise` if it has none."""
    level = recorded_score(bench, incumbent)
    return otherwise if level is None else level


def _search_noise(bench: Workbench, error: float) -> float:
    """Standard error of a log ratio of two search scores: on few examples, or few errors, chance decides more."""
    regression = bench.dataset.info.task == "regression"
    return math.hypot(SEARCH_NOISE, decide.log_error_spread(error, len(bench.dataset.splits.val), regression))


def _prior(bench: Workbench, question: Question, incumbent: Recipe, candidate: Recipe) -> float:
    """Expected relative gain of the candidate at the end of the finish, without any measurement."""
    epochs = epochs_of(bench, candidate) * _longer(question)
    return expected_by_prior(bench, incumbent, candidate, epochs, question.share)


def expected_by_prior(bench: Workbench, incumbent: Recipe, candidate: Recipe, epochs: float, share: float) -> float:
    """Expected relative gain of a candidate after so many epochs, without any measurement.

    Args:
        bench: the workbench.
        incumbent: the recipe it would replace.
        candidate: the recipe.
        epochs: that it would be trained for.
        share: one trial's compute.
    """
    rows = len(bench.dataset.splits.train)
    few = incumbent.network.embedding != candidate.network.embedding and few_valued(bench.dataset)
    slower = _slower(bench, share, candidate, epochs)
    return prior_gain(incumbent, candidate, epochs, params_of(bench, candidate.network), rows, few, slower)


def _slower(bench: Workbench, share: float, recipe: Recipe, epochs: float) -> float:
    """How many times as long a step takes with the networks that the final training would train at once."""
    shape = measure_shape(bench, recipe, share)
    if shape.members == 1 or not bench.budget.timed:
        return 1.0
    return alone_to_group(members_of_finish(shape.further_member, epochs), shape.further_member)


def _fade(bench: Workbench, question: Question, incumbent: Recipe, candidate: Recipe) -> float:
    """What is left of a measured difference between two recipes at the end of the finish."""
    epochs = epochs_of(bench, candidate)
    return left_of_difference(incumbent, candidate, epochs, epochs * _longer(question))


def left_of_difference(incumbent: Recipe, candidate: Recipe, measured: float, epochs: float) -> float:
    """What is left after so many epochs of a difference that was measured after `measured` ones."""
    other = candidate.network == incumbent.network and regularized_otherwise(candidate, incumbent)
    return fading(candidate.data.modality, measured, epochs, regularization=other)


def _longer(question: Question) -> float:
    """The finish's compute over a trial's."""
    return question.finish / max(question.share, 1e-9)


# In words


def sentence(decision: Decision, bench: Workbench) -> str:
    """A decision in one plain sentence."""
    old, new = (bench.run.load_recipe(digest).network for digest in (decision.incumbent, decision.candidate))
    text = f"{_asked_of(decision, bench)}: {in_words(decision.verdict, old == new)}"
    if decision.effect is None:
        return f"{text} ({decision.reason})"
    return f"{text}; {finding(decision, bench.dataset.info.metric)}"


def finding(decision: Decision, metric: str) -> str:
    """What was measured on fresh seeds; empty if nothing was."""
    if decision.effect is None:
        return ""
    old, new = (float(np.mean(decision.scores[who])) for who in ("incumbent", "candidate"))
    if metric == "accuracy":
        name, old, new = "error", 1 - old, 1 - new
    else:
        name = metric
    return (
        f"{name} {old:.4g} -> {new:.4g} on {decision.num_examples:,} unseen examples, "
        f"{decision.num_seeds} seeds, P(better) {decision.p_better:.2f}{_by_loss(decision, metric)}"
    )


def _by_loss(decision: Decision, metric: str) -> str:
    """That the log loss decided, where the metric was too coarse."""
    if decision.judged_by in ("", metric):
        return ""
    old, new = (float(np.mean(decision.losses[who])) for who in ("incumbent", "candidate"))
    return f" by log loss, {old:.4g} -> {new:.4g}"


def _asked_of(decision: Decision, bench: Workbench) -> str:
    """The question, with the one candidate that was compared: `width 16 -> 32`."""
    old, new = (bench.run.load_recipe(digest).network for digest in (decision.incumbent, decision.candidate))
    if old == new:
        return decision.question
    if old.width != new.width:
        return f"{decision.stage} {old.width} -> {new.width}"
    return f"{decision.question.rstrip('?')} ({describe(old)} -> {describe(new)})"
