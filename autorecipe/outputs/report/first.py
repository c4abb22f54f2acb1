"""The first screen: the result, the recipe, the path taken."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from autorecipe.outputs.report import pictures
from autorecipe.outputs.report.facts import Facts, mapping, numbers, pair, real, text
from autorecipe.outputs.report.recipe_lines import change_words, recipe_lines
from autorecipe.outputs.report.svg import round_up
from autorecipe.outputs.wording import count, number, percent, seconds
from autorecipe.recipe import Recipe, describe
from autorecipe.results import in_words

SPLITS = {"test": "test", "confirm": "held-out examples (confirm)", "search": "val, where it won (optimistic)"}
GAINS = ("adopted", "kept on the prior: the gain is not expected to last")
"""Verdicts that claim a gain."""
KINDS = (
    ("adopted on the prior", "prior", "≈"),
    ("adopted", "good", "✓"),
    ("rejected", "bad", "✕"),
    ("tie", "same", "="),
)
"""How a verdict begins, its colour and its mark."""
STAGES = {"small": "Small", "width": "Width", "depth": "Depth", "regularize": "Regularize", "regrow": "Regrow"}


def signed(value: object) -> str:
    """An effect: `+0.0011`, `-0.02`, `0`."""
    found = real(value)
    if found is None:
        return "-"
    return "±0" if abs(found) < 1e-12 else f"{found:+.2g}" if abs(found) < 100 else f"{found:+,.0f}"


def verdict_kind(verdict: str) -> tuple[str, str]:
    """Colour class and mark of a verdict."""
    return next(((kind, mark) for start, kind, mark in KINDS if verdict.startswith(start)), ("open", "?"))


def result(facts: Facts) -> dict[str, Any]:
    """The score, beside the best baseline, in words and as bars."""
    scores = mapping(facts.summary.get("scores"))
    split = next((name for name in SPLITS if real(scores.get(name)) is not None), None)
    score = real(scores.get(split)) if split else None
    status = text(facts.summary.get("status")) or "unfinished"
    baselines = {
        name: value
        for name, item in mapping(facts.summary.get("baselines")).items()
        if (value := real(item)) is not None
    }
    best = _best(baselines, facts.maximize)
    return {
        "score": number(score),
        "split": SPLITS.get(split or "", ""),
        "measured": score is not None,
        "status": status,
        "complete": status == "complete",
        "network": text(facts.summary.get("network")),
        "sentence": _sentence(facts, split, score, best),
        "intervals": intervals(facts) if split == "test" else [],
        "reason": text(mapping(facts.summary.get("score_interval")).get("reason")),
        "bars": _bars(facts, score, baselines) if split == "test" and score is not None else None,
    }


def _best(baselines: Mapping[str, float], maximize: bool) -> tuple[str, float] | None:
    if not baselines:
        return None
    return (max if maximize else min)(baselines.items(), key=lambda item: item[1])


def _sentence(facts: Facts, split: str | None, score: float | None, best: tuple[str, float] | None) -> str:
    if score is None:
        return "There is no score yet: no trial has finished."
    if split != "test":
        read = real(facts.summary.get("test_reads"))
        why = "The metric says nothing of the test split" if read else "The test split has not been read"
        return f"{why}: this is what the search saw, and it may be optimistic."
    said = ""
    tested = real(mapping(facts.info.get("num_examples")).get("test"))
    if facts.metric == "accuracy" and tested:
        wrong = round((1 - score) * tested)
        said = f"{count(wrong)} of {count(tested)} test examples {'is' if wrong == 1 else 'are'} wrong. "
    if best is None:
        return f"{said}No baseline was measured."
    name, value = best
    beside = f"the best baseline ({name}, {number(value)})"
    gain = score - value if facts.maximize else value - score
    room = abs(facts.best - value) if facts.best is not None else 0.0
    if gain <= 0:
        return f"{said}It is no better than {beside}."
    if room <= 0:
        return f"{said}It is {number(gain)} better than {beside}."
    if facts.metric == "accuracy":
        return f"{said}Against {beside}: {percent(gain / room)} fewer errors."
    if facts.maximize or facts.best != 0:
        return f"{said}Against {beside}: {percent(gain / room)} nearer to a perfect score."
    return f"{said}Against {beside}: {percent(gain / room)} less error."


def intervals(facts: Facts) -> list[tuple[str, str]]:
    """What the score would be if it were measured again: title and words."""
    found = mapping(facts.summary.get("score_interval"))
    level = real(found.get("level")) or 0.9
    lines = [
        (words, f"{number(bounds[0])} to {number(bounds[1])}")
        for key, words in (("retraining", "trained again, other seeds"), ("sample", "on another test sample"))
        if (bounds := pair(found.get(key)))
    ]
    return [(f"{percent(level)} interval, {words}", bounds) for words, bounds in lines] or [
        ("interval", "not measured")
    ]


def _bars(facts: Facts, score: float, baselines: Mapping[str, float]) -> dict[str, Any] | None:
    """The network's error beside those of the baselines; one that says the same of everything is left to words."""
    values = {**baselines, "this network": score}
    best, sign = facts.best, 1 if facts.maximize else -1
    if best is None:
        return None
    errors = {name: sign * (best - value) for name, value in values.items()}
    if min(errors.values()) < 0 or (best == 1 and max(errors.values()) > 1):
        return None
    off = [name for name in errors if name == "majority"] if len(errors) > 2 else []
    drawn = {name: error for name, error in errors.items() if name not in off}
    retrained = pair(mapping(facts.summary.get("score_interval")).get("retraining"))
    band = sorted(sign * (best - value) for value in retrained) if retrained else None
    limit = max([*drawn.values(), *(band or ())])
    bars = [
        pictures.Bar(name, error, number(values[name]), *(("good", band) if name == "this network" else ("same", None)))
        for name, error in sorted(drawn.items(), key=lambda item: -item[1])
    ]
    told = ", ".join(f"{name} {number(values[name])}" for name in values)
    beyond = "".join(f"; {name} {number(values[name])} is off the scale" for name in off)
    whisker = "; whisker: retrained with other seeds" if band else ""
    axis = f"{best:g} - {facts.metric}" if facts.maximize else f"{facts.metric} - {best:g}" if best else facts.metric
    return {
        "svg": pictures.score_bars(bars, limit, f"{facts.metric} on test: {told}"),
        "caption": f"{axis}, shorter is better{whisker}{beyond}.",
    }


def recipe(facts: Facts) -> list[tuple[str, str]]:
    """The recipe of the model on disk, a line each."""
    if facts.recipe is None:
        return []
    sizes = mapping(facts.info.get("num_examples"))
    trained = [real(sizes.get(name)) for name in facts.recipe.training.train_on.split("+")]
    known = [size for size in trained if size is not None]
    examples = sum(known) if len(known) == len(trained) else None
    return recipe_lines(facts.recipe, real(facts.summary.get("num_params")), examples)


def shown(facts: Facts, digest: object) -> str:
    """The network of a recipe in a few words, or its digest."""
    found = facts.recipe_of(digest)
    return describe(found.network) if found else text(digest)


def path(facts: Facts) -> dict[str, Any]:
    """Every question: what was tried, measured and decided, with the effects on one scale."""
    steps = [_step(facts, index, row) for index, row in enumerate(facts.decisions)]
    bounds = [abs(value) for step in steps if step["interval"] for value in (*step["interval"], step["effect"])]
    limit = round_up(max(bounds, default=0.0) or 1.0)
    for step in steps:
        if step["interval"]:
            title = f"effect {step['effect_words']}, 90 % interval {step['interval_words']}"
            step["bar"] = pictures.effect_bar(step["effect"], step["interval"], limit, step["kind"], title)
    return {
        "steps": steps,
        "axis": pictures.effect_axis(limit) if bounds else None,
        "measured": _measured(facts.decisions),
        "begin": _begin(facts),
        "races": [_race(event) for event in facts.of("race")[-1:]],
        "end": _end(facts),
    }


def _measured(decisions: Sequence[Mapping[str, Any]]) -> str:
    """How many questions were measured on fresh seeds, and how many of them claim a gain."""
    measured = [row for row in decisions if real(row.get("num_seeds")) and real(row.get("effect")) is not None]
    claims = sum(row.get("verdict") in GAINS for row in measured)
    asked = f"{len(decisions)} question{'' if len(decisions) == 1 else 's'}"
    were = "was" if len(measured) == 1 else "were"
    claimed = f"{claims or 'none'} {'are claims' if claims > 1 else 'is a claim'} of a gain"
    return f"{len(measured)} of {asked} {were} measured on fresh seeds, {claimed}." if decisions else ""


def _step(facts: Facts, index: int, row: dict[str, Any]) -> dict[str, Any]:
    verdict = text(row.get("verdict")) or "not decided"
    kind, mark = verdict_kind(verdict)
    effect, interval = real(row.get("effect")), pair(row.get("interval"))
    trials = [trial for trial in facts.trials if trial.get("study") == row.get("study")]
    stopped = sum(trial.get("state") == "pruned" for trial in trials)
    tried = len(numbers(row.get("trials"))) or len(trials)
    incumbent, candidate = facts.recipe_of(row.get("incumbent")), facts.recipe_of(row.get("candidate"))
    changed = change_words(incumbent, candidate)
    return {
        "number": index + 1,
        "anchor": f"question-{index + 1}",
        "stage": STAGES.get(text(row.get("stage")), text(row.get("stage"))),
        "question": text(row.get("question")).replace("->", "→"),
        "tried": f"{tried} trial{'' if tried == 1 else 's'}{f', {stopped} stopped early' if stopped else ''}",
        "changed": changed,
        "compared": _compared(facts, row),
        "effect": effect if interval else None,
        "interval": interval if effect is not None else None,
        "effect_words": f"{facts.metric} {signed(effect)}" if effect is not None else "not measured",
        "interval_words": f"{signed(interval[0])} to {signed(interval[1])}" if interval else "",
        "sure": f"P(better) {row['p_better']:.2f}" if real(row.get("p_better")) is not None else "",
        "by": "log loss" if row.get("judged_by") == "log_loss" != facts.metric else "",
        "bar": Markup(""),
        "verdict": in_words(verdict, bool(incumbent and candidate and incumbent.network == candidate.network)),
        "kind": kind,
        "mark": mark,
        "chosen": shown(facts, row.get("chosen")),
        "row": row,
    }


def _compared(facts: Facts, row: dict[str, Any]) -> str:
    before, after = shown(facts, row.get("incumbent")), shown(facts, row.get("candidate"))
    if before != after:
        return f"{before} against {after}"
    return before if row.get("incumbent") == row.get("candidate") else f"{before}, settings changed"


def _race(event: dict[str, Any]) -> str:
    """The last growth, raced again before the final training."""
    names, scores = [text(event.get(who)) for who in ("chosen", "other")], event.get("scores")
    found = [number(real(score)) for score in scores] if isinstance(scores, list) else []
    if len(found) < 2:
        return f"Raced again, longer: {' against '.join(names)}; {text(event.get('reason'))}."
    sides = " against ".join(f"{name} {score}" for name, score in zip(names, found, strict=False))
    won = f"{names[0]} stays" if event.get("kept") else f"{names[1]} is finished instead"
    return f"Raced again, longer: {sides}; {won}: {text(event.get('reason'))}."


def _begin(facts: Facts) -> str:
    scores = {text(event.get("name")): real(event.get("score")) for event in facts.of("baseline")}  # again by a resume
    told = [f"{name} {number(score)}" for name, score in scores.items() if score is not None]
    return f"Baselines on val: {', '.join(told)}." if told else "No baseline was measured."


def _end(facts: Facts) -> str:
    if facts.recipe is None:
        return "No model has been saved yet."
    scores = mapping(facts.summary.get("scores"))
    part = facts.recipe.training
    spent = real(mapping(mapping(facts.summary.get("budget")).get("by_stage")).get("finish"))
    took = f" in {seconds(spent)}" if spent else ""
    test = real(scores.get("test"))
    reached = f": {facts.metric} {number(test)} on test" if test is not None else ""
    if part.train_on == "train":
        return f"The best model of the search is kept: {describe(facts.recipe.network)}{reached}."
    return f"Final training of {describe(facts.recipe.network)} on {_joined(facts.recipe)}{took}{reached}."


def _joined(found: Recipe) -> str:
    return " + ".join(found.training.train_on.split("+"))
