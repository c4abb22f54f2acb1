"""The answer to a question: which candidate is compared, what is decided, and the sentence that says it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_record
from typing import Any

import numpy as np

from autorecipe.recipe import Recipe, describe
from autorecipe.results import Decision, TrainResult, in_words
from autorecipe.search import decide, studies
from autorecipe.search.evidence import Measured, measure_evidence
from autorecipe.search.expectation import Expected, Finish, Seen, expect, growth_between, known_points
from autorecipe.search.foresight import Point
from autorecipe.search.notes import answer_note
from autorecipe.search.planner import SHORTEST_RACED, as_log_ratio
from autorecipe.search.points import Question, incumbent_at_share
from autorecipe.search.trials import forget_models
from autorecipe.search.tried import Tried, recorded_result, recorded_score
from autorecipe.search.workbench import Workbench, epochs_of, measure_shape

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
    grows = any(growth_between(bench.dataset.info, incumbent, recipe) for recipe in tried.recipes.values())
    known = known_points(bench, incumbent) if grows else []
    winner = _most_promising(bench, question, tried, incumbent, known)
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
    level = recorded_score(bench, incumbent)
    error = measured.error if measured else decide.error_of(metric, search_score if level is None else level)
    if measured is not None:
        seen = [in_fresh_seeds(incumbent, candidate, measured)]
    else:
        seen = [] if level is None else [_in_search(bench, incumbent, candidate, level, search_score)]
    expected = _expected(bench, question, incumbent, candidate, seen, known)
    doubtful = expected.gain <= 0 and _worth_a_race(bench, question, incumbent, candidate, expected)
    word, adopted = decide.verdict(measured.judged if measured else None, doubtful or expected.gain > 0, error)
    chosen, other = (candidate, incumbent) if adopted else (incumbent, candidate)
    reason = in_percent(expected)
    if doubtful:
        reason += "; as likely as one in five to be better: the two race before the final training"
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
        expected=(expected.gain, expected.spread),
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


def _most_promising(
    bench: Workbench, question: Question, tried: Tried, incumbent: Recipe, known: Sequence[Point]
) -> int | None:
    """The rival with the best expected score at the end of the finish; between equals the lower loss."""
    rivals = _rivals(question, tried, incumbent)
    if not rivals:
        return None
    level = recorded_score(bench, incumbent)
    level = level if level is not None else float(np.median([score for score, _ in rivals.values()]))

    def promise(number: int) -> tuple[float, float]:
        score, loss = rivals[number]
        candidate = tried.recipes[number]
        seen = _in_search(bench, incumbent, candidate, level, score)
        if growth_between(bench.dataset.info, incumbent, candidate) is None:
            seen = replace_record(seen, standard_error=0.0)  # the noise of all is the same, and so would be its share
        return _expected(bench, question, incumbent, candidate, [seen], known).gain, -loss

    return max(rivals, key=promise)


def _rivals(question: Question, tried: Tried, incumbent: Recipe) -> Mapping[int, tuple[float, float]]:
    """Score and loss of the trials that the incumbent is compared with: in a growth question other networks."""
    growth = len(question.alternatives) > 1
    return {
        n: value
        for n, value in tried.values.items()
        if tried.recipes[n].digest != incumbent.digest and (not growth or tried.recipes[n].network != incumbent.network)
    }


def _search_noise(bench: Workbench, error: float) -> float:
    """Standard error of a log ratio of two search scores: on few examples, or few errors, chance decides more."""
    regression = bench.dataset.info.task == "regression"
    return math.hypot(SEARCH_NOISE, decide.log_error_spread(error, len(bench.dataset.splits.val), regression))


def _in_search(bench: Workbench, incumbent: Recipe, candidate: Recipe, level: float, score: float) -> Seen:
    """Search scores of the two as a comparison."""
    metric, val = bench.dataset.info.metric, len(bench.dataset.splits.val)
    noise = _search_noise(bench, min(decide.error_of(metric, value, val) for value in (level, score)))
    return Seen(incumbent, candidate, decide.relative_gain(metric, level, score, val), noise, level, val)


def in_fresh_seeds(incumbent: Recipe, candidate: Recipe, measured: Measured) -> Seen:
    """Fresh seeds of the two as a comparison."""
    gain, spread = as_log_ratio(measured.judged, measured.error)
    scores = measured.scores["incumbent"]
    return Seen(incumbent, candidate, gain, spread, float(np.mean(scores)), measured.num_examples, len(scores))


def _expected(
    bench: Workbench,
    question: Question,
    incumbent: Recipe,
    candidate: Recipe,
    seen: Sequence[Seen],
    known: Sequence[Point],
) -> Expected:
    """What is expected of the candidate at the end of the finish."""
    longer = question.finish / max(question.share, 1e-9)
    finish = Finish(*(longer * epochs_of(bench, recipe) for recipe in (incumbent, candidate)))
    return expect(bench, incumbent, candidate, seen, finish, question.share, known)


def _worth_a_race(
    bench: Workbench, question: Question, incumbent: Recipe, candidate: Recipe, expected: Expected
) -> bool:
    """Whether a larger network may well be the better one, and there will be a race to find out."""
    raced = not bench.budget.timed or question.finish >= SHORTEST_RACED
    growth = growth_between(bench.dataset.info, incumbent, candidate) is not None
    return raced and growth and expected.worth_the_risk and not question.risked


# In words


def in_percent(expected: Expected, when: str = "") -> str:
    """What is expected of a candidate, for a decision's reason."""
    return (
        f"expected relative gain at the end of the finish {expected.gain:+.1%} ± {expected.spread:.1%}{when} "
        f"(the prior alone: {expected.prior:+.1%})"
    )


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
    """The question, with the one candidate that was compared: `width 8 -> 16 (resnet 16-32 -> resnet 32-64)`."""
    old, new = (bench.run.load_recipe(digest).network for digest in (decision.incumbent, decision.candidate))
    if old == new:
        return decision.question
    wider = f"{decision.stage} {old.width} -> {new.width}"
    asked = wider if old.width != new.width else decision.question.rstrip("?")
    return f"{asked} ({describe(old)} -> {describe(new)})"
