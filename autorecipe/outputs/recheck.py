"""Claims that are checked by training: a decision's comparison with new seeds, and the recipe trained again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_record
from typing import Any

import numpy as np

from autorecipe.data.metrics import gain
from autorecipe.errors import InputError
from autorecipe.outputs.claims import (
    AS_GOOD,
    BETTER,
    CLAIMED,
    FAILS,
    HOLDS,
    NO_CLAIM,
    OPEN,
    RETRAINED,
    UNCHECKED,
    WORSE,
    Claim,
    reaches,
    standing,
)
from autorecipe.outputs.costs import seconds_alone, seconds_of, shape_of, shapes_of, together
from autorecipe.recipe import Recipe, describe, load_recipe, replace
from autorecipe.results import Decision
from autorecipe.rundir import RunDir
from autorecipe.search import decide
from autorecipe.search.decide import Evidence
from autorecipe.search.evidence import Measured, Pair, judge
from autorecipe.search.ledger import evidence_of
from autorecipe.search.score_interval import score_interval
from autorecipe.search.trials import run_recipe, seed_runs
from autorecipe.search.workbench import Workbench, held_up, use_shape
from autorecipe.training.stack_layers import NotStackable

LOOKS = (2, 4, 8)
"""New seeds after which a comparison is looked at, as far as it is undecided and the budget goes."""
FIRST_SEED = 100
"""Number of the first new seed: beyond `MOST_SEEDS`, and the first of a round of held-out parts."""
SEED_STEP = 100_003
"""Added to the recipe's own seed where it is trained again."""
RETRAINING = "recipe trained again with another seed"
MARGIN = 1.25
"""A run is begun where there is so many times the time that it is expected to take."""
SURE_SECONDS = 2.0
"""Runs of so many seconds tell as much of the pace as was known before."""
MOST_SLOWER = 3.0
SLOW = 2.0
"""Runs that take so many times as long as expected are held up by another process."""


class OverBudget(Exception):
    """The budget is over, or the user wants to stop: what is not checked by now is told so."""


@dataclass
class Checking:
    """What the checks of one run need."""

    bench: Workbench
    """With the run's data; its own run is a temporary folder."""
    run: RunDir
    """Only read."""
    decisions: list[Decision]
    room: Callable[[float], bool]
    """Whether so much of the budget is left."""
    tell: Callable[[str], None]
    """Told what is being done."""
    seed: int = 0
    """Other numbers give other new seeds."""
    finish_seconds: float = 0.0
    """What the final training took."""
    pairs: dict[int, list[Pair]] = field(default_factory=dict)
    """Runs with new seeds, by the decision's place in the ledger."""
    broken: dict[int, str] = field(default_factory=dict)
    """Why a comparison cannot go on, by the decision's place in the ledger."""
    expected: float = 0.0
    taken: float = 0.0
    """Seconds that comparisons with new seeds were expected to take, and took."""

    @property
    def pace(self) -> float:
        """How many times as long as expected runs take here; short ones, and other processes, tell little of it."""
        return min(MOST_SLOWER, (self.taken + SURE_SECONDS) / (self.expected + SURE_SECONDS))


@dataclass(frozen=True)
class Look:
    """A claim after a look, and whether another one could still decide it: not where this one had no room."""

    claim: Claim
    open: bool


def claimed_of(decision: Decision) -> str:
    """What a decision claims of its candidate: `better`, `worse`, `as good`, or nothing."""
    return CLAIMED.get(decision.verdict, "") if decision.effect is not None else ""


def by_importance(decisions: Sequence[Decision]) -> tuple[list[int], list[int]]:
    """Places in the ledger of the claims that something is better, on which the recipe rests; and of the others."""
    claims = [(place, claimed_of(decision)) for place, decision in enumerate(decisions)]
    return [p for p, c in claims if c == BETTER], [p for p, c in claims if c and c != BETTER]


def without_claim(decisions: Sequence[Decision]) -> list[int]:
    """Places in the ledger of the decisions between two recipes that claim nothing."""
    claims = [place for place, decision in enumerate(decisions) if not claimed_of(decision)]
    return [place for place in claims if decisions[place].candidate != decisions[place].incumbent]


def evidences_of(decisions: Sequence[Decision], metric: str) -> list[Evidence]:
    """Evidence of all decisions, for the variance between seeds."""
    return [evidence for decision in decisions for evidence in evidence_of(decision, metric)]


# A decision


def look(work: Checking, place: int, seeds: int) -> Look:
    """Compare the two recipes of a decision on so many new seeds, those of earlier looks included.

    Raises:
        OverBudget: in the middle of it.
    """
    decision, have = work.decisions[place], work.pairs.setdefault(place, [])
    sides = _sides(work, place)
    if sides is None or len(have) >= seeds:
        return _judged(work, place, 0.0)
    needs = needs_of(work, sides, seeds - len(have))
    if not work.room(needs):
        return _judged(work, place, needs)
    first = FIRST_SEED * (1 + work.seed)
    have += _new_pairs(work, decision, sides, range(first + len(have), first + seeds))
    if len(have) < seeds:
        work.broken[place] = f"only {len(have)} of {seeds} comparisons with new seeds completed"
    return _judged(work, place, 0.0)


def blanks(work: Checking, places: Sequence[int]) -> dict[Any, Claim]:
    """What is told of decisions before they are looked at, by their places in the ledger."""
    found = {}
    for place in places:
        work.pairs.setdefault(place, [])
        sides = _sides(work, place)
        found[place] = _judged(work, place, 0.0 if sides is None else needs_of(work, sides, LOOKS[0])).claim
    return found


def _sides(work: Checking, place: int) -> tuple[Recipe, ...] | None:
    """Incumbent and candidate of a decision; None where its comparison cannot go on."""
    decision = work.decisions[place]
    if place not in work.broken:
        try:
            return tuple(work.run.load_recipe(digest) for digest in (decision.incumbent, decision.candidate))
        except InputError as error:
            work.broken[place] = str(error)
    return None


def _judged(work: Checking, place: int, needs: float) -> Look:
    """What the runs with new seeds say so far; `needs`: what more of them would take, where there is no room."""
    decision, have, bench = work.decisions[place], work.pairs[place], work.bench
    problem = work.broken.get(place, "")
    metric = bench.dataset.info.metric
    claimed = claimed_of(decision)
    what = f"{decision.question}: {_pair_in_words(work.run, decision, claimed)}"
    effect = decision.effect, decision.interval, decision.p_better
    stated = _effect_in_words(*effect, decision.num_seeds, decision.judged_by, metric)
    tolerance = {
        BETTER: f"P(better) above {1 - decide.CLAIM:.2f}",
        WORSE: f"P(better) below {decide.CLAIM:.2f}",
        AS_GOOD: f"interval meets {decide.TIE_SHARE:.0%} of the error",
        "": "no claim was made",
    }[claimed]
    numbers: dict[str, Any] = {
        "decision": place + 1,
        "claimed": claimed,
        "stated_effect": decision.effect,
        "stated_p_better": decision.p_better,
    }
    unseen = UNCHECKED if claimed else NO_CLAIM
    claim = Claim("decision", what, unseen, stated, "", tolerance, problem, needs or None, numbers)
    if len(have) < LOOKS[0]:
        return Look(claim, open=False)
    measured = judge_new(work, place)
    verdict = standing(claimed, measured.judged, measured.error) if claimed else NO_CLAIM
    still_open = verdict == OPEN if claimed else decide.undecided(measured.judged, measured.error)
    found = measured.found
    numbers |= {
        "effect": found.effect,
        "interval": found.interval,
        "p_better": measured.judged.p_better,
        "judged_by": measured.judged_by,
        "num_seeds": len(have),
        "scores": measured.scores,
    }
    effect = found.effect, found.interval, measured.judged.p_better
    said = _effect_in_words(*effect, len(have), measured.judged_by, metric)
    claim = replace_record(claim, verdict=verdict, found=said, numbers=numbers)
    return Look(claim, open=still_open and not problem and not needs)


def judge_new(work: Checking, place: int) -> Measured:
    """The runs with new seeds of a decision, judged as the search judges."""
    dataset = work.bench.dataset
    pairs = work.pairs[place]
    earlier = evidences_of(work.decisions, dataset.info.metric)
    trained_on = len(dataset.splits.held_out(0)[0])
    looks = sum(len(pairs) >= seeds for seeds in LOOKS)
    return judge(pairs, dataset.targets.numpy(), dataset.info, trained_on, earlier, looks, dataset.splits)


def _pair_in_words(run: RunDir, decision: Decision, claimed: str) -> str:
    try:
        old, new = (describe(run.load_recipe(d).network) for d in (decision.incumbent, decision.candidate))
    except InputError:
        old = new = ""
    relation = {AS_GOOD: "is no better or worse than", "": "as against"}.get(claimed, f"is {claimed} than")
    return f"the candidate {relation} what was" if old == new else f"{new} {relation} {old}"


def _effect_in_words(
    effect: float | None,
    interval: tuple[float, float] | None,
    p_better: float | None,
    seeds: int,
    judged_by: str,
    metric: str,
) -> str:
    if effect is None or interval is None or p_better is None:
        return ""
    by = f" by {judged_by}" if judged_by not in ("", metric) else ""
    return f"{effect:+.3g} ({interval[0]:+.2g} to {interval[1]:+.2g}), P(better) {p_better:.3f}{by}, {seeds} seeds"


def _new_pairs(work: Checking, decision: Decision, sides: tuple[Recipe, ...], seeds: Sequence[int]) -> list[Pair]:
    """A run of the incumbent and one of the candidate for each new seed that both complete."""
    bench = work.bench
    work.tell(f"{decision.question}: {len(seeds)} new seeds of both")
    members, further = together(bench, sides)
    expected = seconds_of(bench, work.run, sides, len(seeds))
    begin = bench.clock.elapsed()
    jobs = [(side, seed) for seed in seeds for side in sides]
    if members > 1:
        use_shape(bench, shapes_of(bench, sides)[1], members)
        found = seed_runs(bench, jobs, members, further=further)
    else:
        found = []
        for job in jobs:
            shape = shape_of(bench, job[0])
            if shape is not None:
                use_shape(bench, shape)
            found += seed_runs(bench, [job])
    taken = bench.clock.elapsed() - begin
    if expected > 0:
        work.expected, work.taken = work.expected + expected, work.taken + taken
        if taken > SLOW * (expected + SURE_SECONDS):
            held_up(bench, "new seeds take far longer than they did")
    both = [found[k : k + 2] for k in range(0, len(found), 2)]
    return [(old, new) for old, new in both if old is not None and new is not None]


# What it takes


def needs_of(work: Checking, sides: Sequence[Recipe], seeds: int) -> float:
    """What so many new seeds of recipes take, in the budget's unit."""
    if work.bench.budget.timed:
        return MARGIN * work.pace * seconds_of(work.bench, work.run, sides, seeds)
    first = FIRST_SEED * (1 + work.seed)
    parts = [len(work.bench.dataset.splits.held_out(first + k)[0]) for k in range(seeds)]
    return sum(side.training.steps * side.training.batch_size / rows for side in sides for rows in parts)


# The recipe


def check_retraining(work: Checking, stated: float | None, outputs: np.ndarray | None) -> Claim:
    """Train the recipe from scratch with a new seed: it must reach the stated test score within the retraining spread.

    Args:
        work: what the checks need.
        stated: the summary's test score.
        outputs: of the saved model on test; None if it cannot be had.

    Raises:
        OverBudget: in the middle of it.
    """
    bench = work.bench
    info, splits = bench.dataset.info, bench.dataset.splits
    blank = Claim("retraining", RETRAINING, UNCHECKED, "" if stated is None else f"{info.metric} {stated:.4g}")
    if stated is None or outputs is None:
        return replace_record(
            blank, reason="no test score is stated" if stated is None else "the saved model is damaged"
        )
    recipe = load_recipe(work.run.recipe)
    again = replace(recipe, {"training.seed": recipe.training.seed + SEED_STEP * (1 + work.seed)})
    epochs = again.finish.members * again.training.steps * again.training.batch_size / max(1, len(splits.train))
    shape = shape_of(bench, again)
    seconds = work.finish_seconds or again.finish.members * seconds_alone(bench, work.run, again)
    needs = MARGIN * work.pace * seconds if bench.budget.timed else epochs
    if not work.room(needs):
        return replace_record(blank, needs=needs)
    work.tell(f"the recipe, trained again: {describe(again.network)}")
    if shape is not None:
        use_shape(bench, shape, again.finish.members)
    try:
        found = run_recipe(bench, again, splits.rows(again.training.train_on), splits.test)
    except NotStackable as error:
        return replace_record(blank, reason=f"its networks cannot be trained at once here: {error}")
    finally:
        bench.state.spent_epochs += epochs
    if found.outputs is None or found.result.score is None:
        verdict = FAILS if found.result.state == "diverged" else UNCHECKED
        return replace_record(blank, verdict=verdict, reason=found.result.reason)
    targets = bench.dataset.targets.numpy()[splits.test]
    evidence = evidences_of(work.decisions, info.metric)
    spread = score_interval(stated, targets, outputs, info, recipe, work.decisions, evidence, level=RETRAINED)
    assert spread is not None
    interval = spread["retraining"]["low"], spread["retraining"]["high"]
    return replace_record(
        blank,
        verdict=HOLDS if reaches(info.metric, found.result.score, interval) else FAILS,
        found=f"{found.result.score:.4g}",
        tolerance=f"{RETRAINED:.0%} of retrainings: {interval[0]:.4g} to {interval[1]:.4g}",
        numbers={
            "stated": stated,
            "found": found.result.score,
            "interval": interval,
            "gain": gain(info.metric, found.result.score, stated),
            "seed": again.training.seed,
        },
    )


def recheck(
    work: Checking, stated: float | None, outputs: np.ndarray | None, done: Callable[[Mapping[Any, Claim]], None]
) -> None:
    """Check what needs training, the most important first: claims of a gain, the recipe, the other claims.

    Each is looked at once before any is looked at again with more seeds.

    Args:
        work: what the checks need.
        stated: the summary's test score.
        outputs: of the saved model on test.
        done: told the claims so far after each one, by the decision's place in the ledger or `retraining`.

    Raises:
        OverBudget: what was told so far stands.
    """
    first, others = by_importance(work.decisions)
    found = blanks(work, first)
    found["retraining"] = Claim("retraining", RETRAINING, UNCHECKED)
    found |= blanks(work, others)
    done(found)
    undecided = _look_at(work, first, LOOKS[0], found, done)
    found["retraining"] = check_retraining(work, stated, outputs)
    done(found)
    undecided += _look_at(work, others, LOOKS[0], found, done)
    for seeds in LOOKS[1:]:
        undecided = _look_at(work, undecided, seeds, found, done)


def compare_again(work: Checking, found: dict[Any, Claim], done: Callable[[Mapping[Any, Claim]], None]) -> None:
    """Compare the recipes of decisions that claim nothing, with more seeds as long as new ones claim nothing either.

    Args:
        work: what the checks need.
        found: `blanks` of these decisions, which are filled in.
        done: told what was found so far after each comparison.

    Raises:
        OverBudget: what was told so far stands.
    """
    undecided = list(found)
    for seeds in LOOKS:
        undecided = _look_at(work, undecided, seeds, found, done)


def _look_at(
    work: Checking,
    places: Sequence[int],
    seeds: int,
    found: dict[Any, Claim],
    done: Callable[[Mapping[Any, Claim]], None],
) -> list[int]:
    """Look at decisions with so many new seeds; those of them that more seeds could still decide."""
    undecided = []
    for place in places:
        seen = look(work, place, seeds)
        found[place] = seen.claim
        done(found)
        if seen.open:
            undecided.append(place)
    return undecided
