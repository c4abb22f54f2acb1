"""The next question of a stage: which larger networks, which points first, how many trials."""

import math
from dataclasses import replace as replace_record
from typing import Any

from autorecipe.clock import amount
from autorecipe.networks import family
from autorecipe.recipe import Block, Recipe, describe, get, replace
from autorecipe.search import planner
from autorecipe.search.ledger import Progress
from autorecipe.search.points import NETWORK, SEEDS, Alternative, Question
from autorecipe.search.space import LR_FACTOR, StageSpace, known_points, unembedded
from autorecipe.search.stages import Stage, names_after
from autorecipe.search.trials import parts_of
from autorecipe.search.workbench import LEAST_STEPS, Workbench, carried_lr, measure_shape, params_of, steps_for
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.loop import OutOfMemory


def time_left(bench: Workbench, plan: planner.Plan) -> float:
    """Compute left for questions, in the plan's unit."""
    if bench.budget.timed:
        return bench.clock.left() - plan.finish - plan.audit - planner.end_seconds(bench.budget.seconds)
    assert bench.budget.epochs is not None
    return bench.budget.epochs - plan.finish - plan.audit - bench.state.spent_epochs


LEAST_RUNS = {"width": 5.0, "depth": 5.0, "regularize": 5.0}
"""Full runs that a stage's one question wants; no stage takes them from a later one.  `regrow` has what is left, unless
it is the first to ask for width, which an overfitting network skips: then as many as `width`."""
LEAST_EPOCH_STEPS = 2.0
"""A trial of fewer steps says nothing; such a budget of epochs is for the finish."""
LONGER = 3.0
"""Embeddings of numbers are compared in trials so many times as long: short ones prefer quick starters.  After 2
epochs periodic ones are 11 % ahead on deliveries and after 20 epochs 2 % behind (`docs/log.md`)."""
MOST_AT_ONCE = 16
"""Trials of one network in a question: more than that, and the time is better spent on the next question."""
OVERHEAD = 1.2
"""What a question takes over the steps of its runs: range tests, timings, scoring, saving."""


def next_question(
    bench: Workbench, stage: Stage, plan: planner.Plan, progress: Progress, asked: int = 0
) -> Question | None:
    """The stage's next question, or None: nothing to ask, or no time to ask it.

    Args:
        bench: the workbench.
        stage: which asks.
        plan: shares of compute.
        progress: where the search stands.
        asked: questions that this stage has asked already.
    """
    space = bench.space.stages.get("width" if stage.name == "regrow" else stage.name)
    if space is None:
        return None
    incumbent = progress.incumbent
    embeddings = _embeddings(bench, incumbent, space) if stage.name == "small" and asked else []
    if stage.name == "small" and asked and not embeddings:
        return None
    share = plan.trial
    left = time_left(bench, plan)
    # The cheapest question worth asking: two candidates, and no fresh seeds.
    least = 0.02 if bench.budget.timed else LEAST_EPOCH_STEPS / bench.steps_per_epoch
    if left < 2.5 * share or share < least:
        bench.say(
            "note",
            text=f"no time for the stage '{stage.name}': {amount(max(0.0, left))} {plan.unit} are left for questions",
        )
        return None
    later = sum(LEAST_RUNS.get(name, 0.0) for name in names_after(stage.name) if name not in progress.done)
    if stage.name == "regularize" and "width" not in progress.done:
        later += LEAST_RUNS["width"]
    if asked and left / share < LEAST_RUNS.get(stage.name, 0.0) + later:
        bench.say("note", text=f"no further question of the stage '{stage.name}': the later stages want their time")
        return None
    own = Alternative(describe(incumbent.network), incumbent.network)
    number = len(progress.decisions) + 1
    if embeddings:
        affordable = int((left / share - later) / (LONGER * OVERHEAD))
        return _embedding_question(incumbent, [own, *embeddings], affordable, plan, number)
    if stage.name in ("width", "regrow"):
        alternatives = [own, *wider_networks(bench, incumbent, space, share)]
        label = " or ".join(str(a.section.width) for a in alternatives[1:])
        slug = f"{stage.name}-{incumbent.network.width}to{'or'.join(str(a.section.width) for a in alternatives[1:])}"
        text = f"{stage.name} {incumbent.network.width} -> {label}"
    elif stage.name == "depth":
        alternatives = [own, *_fast_enough(bench, incumbent, deeper_networks(bench, incumbent, space, share), share)]
        blocks = len(incumbent.network.blocks)
        slug, text = f"depth-{blocks}to{blocks + 1}", f"depth {blocks} -> {blocks + 1} blocks"
    else:
        alternatives = [own]
        slug = stage.name
        text = (
            "small: which learning rate and settings?"
            if stage.name == "small"
            else "regularize: which, and how strong?"
        )
    growth = stage.name in ("width", "regrow", "depth")
    if growth and len(alternatives) < 2:
        return None
    known: tuple[dict[str, Any], ...]
    if growth:
        known = tuple({NETWORK: a.label} for a in alternatives[: 1 + min(2, len(alternatives) - 1)])
    else:
        known = ({}, *_other_points(incumbent, known_points(space, bench.dataset.info)))
    shape = measure_shape(bench, incumbent, share)
    most = space.trials or stage.trials
    if not growth and bench.budget.timed:  # trials of one network, as many as train at once; epochs are not saved
        most = max(most, min(shape.members, MOST_AT_ONCE))
    runs = max(3.0, left / share - later)
    # A second look must leave the time to ask how numbers enter.
    others = _embeddings(bench, incumbent, space) if stage.name == "small" else []
    kept = LONGER * OVERHEAD * len(others)
    trials, seeds, more = afford(most, len(known), runs, growth, shape.members, shape.further_member, kept)
    # The incumbent and two others; of wider networks one is better than none, for the smallest is too small.
    if trials < 3 and not (stage.name == "width" and bench.budget.timed):
        bench.say("note", text=f"no time for two alternatives in the stage '{stage.name}'")
        return None
    return Question(
        number,
        stage.name,
        slug,
        text,
        incumbent,
        tuple(alternatives),
        space,
        known[:trials],
        trials,
        share,
        plan.finish,
        seeds,
        more,
        any(decision.risked for decision in progress.decisions),
    )


def _embeddings(bench: Workbench, incumbent: Recipe, space: StageSpace) -> list[Alternative]:
    """Other ways for numbers to enter the network: those of the space, for networks of its family."""
    if bench.dataset.info.num_numbers == 0 or incumbent.network.family != bench.space.family:
        return []
    if unembedded(bench.dataset):
        return []
    sections = [replace(incumbent, changes).network for changes in space.embeddings]
    others = {describe(section): section for section in sections}
    return [Alternative(label, section) for label, section in others.items() if label != describe(incumbent.network)]


def _embedding_question(
    incumbent: Recipe, alternatives: list[Alternative], affordable: int, plan: planner.Plan, number: int
) -> Question | None:
    """How numbers enter the network, in trials `LONGER` times as long; None if there is no time for two.

    Its search space has all alternatives, however many there is time for: a resumed study must have the same.
    """
    trials = min(affordable, len(alternatives))
    if trials < 2:
        return None
    return Question(
        number,
        "small",
        "small-embedding",
        "small: which embedding of numbers?",
        incumbent,
        tuple(alternatives),
        StageSpace(),
        tuple({NETWORK: a.label} for a in alternatives[:trials]),
        trials,
        LONGER * plan.trial,
        plan.finish,
        seeds=0,
    )


def _other_points(incumbent: Recipe, points: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Points that are not the incumbent itself, without repetition."""
    kept: list[dict[str, Any]] = []
    for point in points:
        changes = any(name == LR_FACTOR or get(incumbent, name) != value for name, value in point.items())
        if changes and point not in kept:
            kept.append(point)
    return tuple(kept)


def afford(
    most: int, known: int, runs: float, growth: bool, members: int = 1, further: float = 1.0, kept: float = 0.0
) -> tuple[int, int, int]:
    """Trials, at most `most`, decision seeds, and seeds for a second look that fit into so many full runs.

    A sampled trial costs about 0.4 of a run, since most of them are stopped early; the incumbent's own
    trial is on record and costs nothing in growth questions.

    Args:
        most: trials.
        known: points that are asked for first and never stopped.
        runs: full runs that there is time for.
        growth: whether the trials are of different networks, each of which trains by itself.
        members: trials of one network that train at once.
        further: time that each further member adds to a step, over that of a step alone.
        kept: full runs that a second look must leave.
    """

    def together(count: int) -> float:
        return sum(alone_to_group(len(part), further) for part in parts_of(range(count), members))

    def cost(trials: int, seeds: int) -> float:
        whole, sampled = min(known, trials) - growth, max(0, trials - known)
        if growth:
            return OVERHEAD * (whole + 0.4 * sampled + 1.0 + 0.875 * 2 * together(seeds))
        return OVERHEAD * (together(whole) + 0.4 * together(sampled) + 1.0 + 0.875 * together(2 * seeds))

    for seeds, fewest in ((SEEDS, min(known, most)), (0, 2)):
        for trials in range(most, fewest - 1, -1):
            if cost(trials, seeds) <= runs:
                more = seeds if seeds and cost(trials, 2 * seeds) <= runs - kept else 0
                return trials, seeds, more
    return 2, 0, 0


def _fits(bench: Workbench, recipe: Recipe, share: float, carried: float) -> bool:
    """Whether a larger network may be tried: caps, memory, and enough steps in a trial's share."""
    limits, section = bench.limits, recipe.network
    if limits.max_width is not None and section.width > limits.max_width:
        return False
    if limits.max_depth is not None and len(section.blocks) > limits.max_depth:
        return False
    if limits.max_params is not None and params_of(bench, section) > limits.max_params:
        return False
    try:
        shape = measure_shape(bench, recipe, share, fallback=carried)
    except OutOfMemory as error:
        bench.say("note", text=f"{describe(section)} does not fit in memory: {error}")
        return False
    if bench.budget.timed and steps_for(bench, recipe, shape, share) < LEAST_STEPS:
        bench.say("note", text=f"{describe(section)} is too slow for a trial's share of {share:.2g} s")
        return False
    return True


def wider_networks(bench: Workbench, recipe: Recipe, space: StageSpace, share: float) -> list[Alternative]:
    """The incumbent 2, 4, ... times as wide, as far as caps, memory and time allow."""
    grow_wider = family(recipe.network.family).wider
    suggested = measure_shape(bench, recipe, share).lr_range.suggestion
    found: list[Alternative] = []
    for factor in sorted(space.factors):
        section = recipe.network
        for _ in range(max(1, round(math.log2(factor)))):
            wider = grow_wider(section)
            if wider is None:
                return found
            section = wider
        carried = carried_lr(suggested, recipe.network, section)
        if not _fits(bench, replace(recipe, {"network": section}), share, carried):
            break
        found.append(Alternative(describe(section), section))
    return found


def deeper_networks(bench: Workbench, recipe: Recipe, space: StageSpace, share: float) -> list[Alternative]:
    """One more block: each place, kernel and width that the space names."""
    found: list[Alternative] = []
    labels: set[str] = {describe(recipe.network)}
    for section in family(recipe.network.family).deeper(recipe.network):
        at = next(
            (i for i, (a, b) in enumerate(zip(section.blocks, recipe.network.blocks, strict=False)) if a != b),
            len(recipe.network.blocks),
        )
        new = section.blocks[at]
        for kernel in space.kernels:
            for width in space.widths:
                # Inside a level of a residual network a block keeps its neighbours' width.
                block = Block(max(1, round(new.width * width)), kernel, new.stride)
                tried = replace_record(section, blocks=(*section.blocks[:at], block, *section.blocks[at + 1 :]))
                label = describe(tried)
                if label not in labels:
                    labels.add(label)
                    found.append(Alternative(label, tried))
    return [a for a in found if _caps(bench, a)]


def _fast_enough(bench: Workbench, recipe: Recipe, alternatives: list[Alternative], share: float) -> list[Alternative]:
    """Deeper networks without those of the first two that do not fit; none where neither does.

    The first two are tried in any case, and so their steps are timed now; the others only if they are tried.
    """
    lr = measure_shape(bench, recipe, share).lr_range.suggestion
    first = [a for a in alternatives[:2] if _fits(bench, replace(recipe, {"network": a.section}), share, lr)]
    return [*first, *alternatives[2:]] if first else []


def _caps(bench: Workbench, alternative: Alternative) -> bool:
    limits = bench.limits
    section = alternative.section
    if limits.max_depth is not None and len(section.blocks) > limits.max_depth:
        return False
    return limits.max_params is None or params_of(bench, section) <= limits.max_params
