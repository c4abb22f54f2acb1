"""The rest of the page: data, accounts, receipt, checks, environment, identity, what is missing."""

from collections.abc import Callable, Sequence
from typing import Any

from autorecipe.outputs.report import pictures
from autorecipe.outputs.report.facts import Facts, mapping, numbers, pair, real, rows, text
from autorecipe.outputs.report.first import signed
from autorecipe.outputs.report.outcome import cards
from autorecipe.outputs.wording import count, number, percent, seconds

MOST_BARS = 20
RECEIPT = {
    "fixed": "reading, checks, baselines",
    "finish": "final training",
    "test": "test scores, saving",
}
IDENTITY = {
    "weights_sha256": "SHA-256 of the weights",
    "recipe_digest": "recipe",
    "data_digest": "data",
}


def data(facts: Facts) -> dict[str, Any]:
    """Facts about the data, what was found in it, its classes and columns."""
    event = facts.of("data")[-1] if facts.of("data") else {}
    sizes = mapping(facts.info.get("num_examples"))
    splits = ", ".join(f"{count(size)} {name}" for name, size in sizes.items() if real(size))
    unseen = {
        (text(row.get("kind") or row.get("name")), text(row.get("found"))): row
        for row in (*facts.of("finding"), *rows(facts.info.get("findings")))
    }
    lines = [
        ("Input", text(event.get("inputs")) or text(facts.info.get("modality"))),
        ("Examples", splits + ("; decisions on fresh folds" if facts.info.get("cross_validated") else "")),
        ("Task", _reason(facts.task, facts.info.get("task_reason"))),
        ("Metric", _reason(facts.metric, facts.info.get("metric_reason"))),
        ("Target", text(facts.info.get("target"))),
    ]
    counts = numbers(facts.info.get("class_counts"))
    shown = {(text(row.get("kind")), text(row.get("found"))): rows(row.get("examples")) for row in facts.findings}
    return {
        "facts": [(name, words) for name, words in lines if words],
        "findings": [
            {
                **{key: text(row.get(key)) for key in ("found", "done", "otherwise")},
                "warn": bool(row.get("warn")),
                "examples": cards(facts, shown.get(which, [])),
            }
            for which, row in unseen.items()
        ],
        "classes": _classes(facts, counts),
        "num_classes": len(facts.classes),
        "columns": _columns(facts),
    }


def _reason(words: str, reason: object) -> str:
    return f"{words}: {reason}" if words and reason else words


def _classes(facts: Facts, counts: list[float]) -> Any:
    if not counts or len(counts) != len(facts.classes):
        return None
    named = sorted(zip(facts.classes, counts, strict=True), key=lambda item: -item[1])[:MOST_BARS]
    bars = [pictures.Bar(name, size, count(size)) for name, size in named]
    told = ", ".join(f"{name} {count(size)}" for name, size in named)
    return pictures.score_bars(bars, max(counts) or 1.0, f"Examples of each class or label: {told}")


def _columns(facts: Facts) -> list[dict[str, str]]:
    found = [
        {"name": text(row.get("name")), "kind": text(row.get("kind")), "words": _column_words(row)}
        for row in rows(facts.preprocess.get("columns"))
    ]
    left = facts.preprocess.get("dropped")
    for name, why in mapping(left).items():
        found.append({"name": name, "kind": "left out", "words": text(why)})
    return found


def _column_words(row: dict[str, Any]) -> str:
    values = row.get("values")
    parts = [
        f"{len(values):,} values" if isinstance(values, list) else "",
        f"median {number(row['median'])}" if real(row.get("median")) is not None else "",
        text(row.get("part")),
        "with gaps" if row.get("missing") is True else "",
    ]
    return ", ".join(part for part in parts if part)


def metrics(facts: Facts) -> list[tuple[str, str]]:
    """Every usual metric of the task on test."""
    found = mapping(mapping(facts.summary.get("metrics")).get("test"))
    return [(name, number(value)) for name, item in found.items() if (value := real(item)) is not None]


def accounts(facts: Facts) -> dict[str, Any]:
    """Search, fresh-seed and test scores side by side, the smaller runner-up, the audit, the foresight."""
    told = mapping(facts.summary.get("accounts"))
    return {
        "fresh": _fresh(facts, mapping(told.get("fresh_seeds"))),
        "smaller": _smaller(facts, mapping(told.get("smaller"))),
        "audit": _audit(mapping(told.get("audit"))),
        "foresight": _foresight(facts, mapping(told.get("foresight")) or facts.foresight),
    }


def _fresh(facts: Facts, found: dict[str, Any]) -> dict[str, Any] | None:
    names = {"search": "search (val)", "fresh_seeds": "fresh seeds", "test": "test"}
    scores = [(name, value) for key, name in names.items() if (value := real(found.get(key))) is not None]
    if not scores:
        return None
    models = real(found.get("num_models"))
    known = dict(scores)
    lines = []
    if "search (val)" in known and "fresh seeds" in known:
        gap = (known["search (val)"] - known["fresh seeds"]) * (1 if facts.maximize else -1)
        optimism = "more than" if gap > 0 else "less than" if gap < 0 else "as much as"
        much = f" ({number(abs(gap))} {facts.metric})" if gap else ""
        why = ": it is the best of many trials on val, and so tends to flatter" if gap > 0 else ""
        lines.append(f"The search's own score promised {optimism} fresh seeds gave{much}{why}.")
    if "fresh seeds" in known and "test" in known:
        gap = (known["fresh seeds"] - known["test"]) * (1 if facts.maximize else -1)
        near = "This should be near zero; a little above, since the recipe was chosen by these runs."
        if facts.info.get("time"):
            near = f"Test is later in {facts.info['time']}: what drifts with time is in it."
        lines.append(f"Fresh seeds less the same models on test: {signed(gap)}. {near}")
    title = ", ".join(f"{name} {number(value)}" for name, value in scores)
    return {
        "svg": pictures.account_dots(scores, f"{facts.metric} of runs of a trial's length", f"{facts.metric}: {title}"),
        "scores": [(name, number(value)) for name, value in scores],
        "models": count(models),
        "lines": lines,
    }


def _smaller(facts: Facts, found: dict[str, Any]) -> str:
    if not found:
        return ""
    interval, verdict = pair(found.get("interval")), text(found.get("verdict"))
    beside, measured = "was not measured beside the larger network", ""
    if interval:
        beside = _beside(found, interval)
        measured = f" was measured {signed(found.get('effect'))} {facts.metric}, 90 % interval {signed(interval[0])} "
        measured += f"to {signed(interval[1])}{_judge(facts, found)}, and"
    network, size = text(found.get("network")), count(real(found.get("num_params")))
    asked = text(found.get("question")).replace("->", "→")
    return (
        f"{network} with {size} parameters {beside}: at '{asked}' the larger one{measured} was carried on without a "
        f"claim ({verdict}). Which is better at the final training's length is not known."
    )


def _beside(found: dict[str, Any], interval: tuple[float, float]) -> str:
    """What trials say of the smaller network."""
    within = found.get("within_noise")
    if not isinstance(within, bool):  # runs of before do not say
        within = interval[0] <= 0 <= interval[1]
    if within:
        return "may be as good, the difference in short trials is within noise"
    chance = real(found.get("p_better"))
    worse = chance < 0.5 if chance is not None else "worse" in text(found.get("verdict"))
    return "was better in short trials, beyond noise" if worse else "was worse in short trials, but not surely enough"


def _judge(facts: Facts, found: dict[str, Any]) -> str:
    return ", judged by log loss" if found.get("judged_by") == "log_loss" != facts.metric else ""


def _audit(found: dict[str, Any]) -> str:
    tried = real(found.get("trials"))
    if not tried:
        return ""
    stopped, wrong = count(real(found.get("stopped"))), count(real(found.get("wrong")))
    return (
        f"{stopped} trials were stopped early; {count(tried)} of them were trained to their end, and {wrong} of these "
        "ended better than the best of their study: stopped wrongly."
    )


def _foresight(facts: Facts, found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found:
        return []
    found = {**facts.foresight, **found}  # the file has the other budgets too
    interval, error = pair(found.get("interval")), real(found.get("error_share"))
    level = real(found.get("level")) or 0.8
    covered = found.get("covered")
    lines = [
        (
            "predicted",
            number(real(found.get("predicted")))
            + (f", {percent(level)} interval {number(interval[0])} to {number(interval[1])}" if interval else ""),
        ),
        ("came", number(real(found.get("came")))),
        ("off by", f"{percent(error)} of the error" if error is not None else ""),
        ("inside the interval", ("yes" if covered else "no") if isinstance(covered, bool) else ""),
        ("from", text(found.get("basis"))),
        ("assuming that", text(found.get("assuming"))),
        *_elsewhere(found),
    ]
    return [(name, words) for name, words in lines if words and words != "-"]


def _elsewhere(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The same recipe's score with other budgets."""
    return [
        (
            f"with {seconds(real(row.get('seconds')))}",
            f"{number(real(row.get('predicted')))} ({number(low)} to {number(high)})",
        )
        for row in rows(found.get("budgets"))
        for low, high in [pair(row.get("interval")) or (None, None)]
    ]


def receipt(facts: Facts) -> dict[str, Any]:
    """The budget: given, spent, and by stage planned against spent."""
    budget = mapping(facts.summary.get("budget"))
    planned = [
        (RECEIPT.get(name, name), real(mapping(row).get("planned")), real(mapping(row).get("spent")) or 0.0)
        for name, row in mapping(budget.get("receipt")).items()
        if name != "total"  # it is in words
    ]
    by_stage = mapping(budget.get("by_stage")) or mapping(facts.state.get("by_stage"))
    spent_only = [(name, None, value) for name, item in by_stage.items() if (value := real(item)) is not None]
    bars = [row for row in planned or spent_only if row[1] or row[2]]
    given = text(budget.get("given")) or text(facts.settings.get("budget"))
    spent = real(budget.get("spent_seconds")) or real(facts.state.get("spent_seconds"))
    epochs = real(budget.get("spent_epochs")) or real(facts.state.get("spent_epochs"))
    amount = _epochs if planned and budget.get("seconds") is None else seconds
    words = [
        f"{given} given" if given else "",
        f"{seconds(spent)} spent" if spent is not None else "",
        f"{number(epochs)} epochs of training" if epochs is not None and budget.get("seconds") is None else "",
    ]
    reads = real(facts.summary.get("test_reads"))
    return {
        "words": ", ".join(word for word in words if word),
        "stages": pictures.planned_bars(bars, _told(bars, amount), amount) if bars else None,
        "planned": bool(planned),
        "reads": f"The test split was read {'once' if reads == 1 else f'{count(reads)} times'}." if reads else "",
    }


def _epochs(value: object) -> str:
    return f"{number(real(value))} epochs"


def _told(stages: Sequence[tuple[str, float | None, float]], amount: Callable[[object], str]) -> str:
    return "Spent by stage: " + ", ".join(
        f"{name} {amount(spent)}{f' of {amount(planned)} planned' if planned is not None else ''}"
        for name, planned, spent in stages
    )


def checks(facts: Facts) -> list[dict[str, str]]:
    """The checks of the training loop."""
    found = rows(facts.summary.get("checks")) or facts.checks
    return [
        {
            "name": text(row.get("name")),
            "kind": "open" if row.get("decided") is False else "good" if row.get("passed") else "bad",
            "word": "not decided" if row.get("decided") is False else "passed" if row.get("passed") else "FAILED",
            "measured": text(row.get("measured")),
            "expected": text(row.get("expected")),
            "advice": "" if row.get("passed") else text(row.get("advice")),
        }
        for row in found
    ]


def environment(facts: Facts) -> list[tuple[str, str]]:
    """Versions, the machine, and what was chosen for it."""
    found = mapping(facts.summary.get("environment")) | {
        f"{name}, why": words for name, words in mapping(facts.summary.get("hardware")).items()
    }
    return [(name.replace("_", " "), text(value)) for name, value in found.items() if text(value)]


def identity(facts: Facts) -> list[tuple[str, str]]:
    """Digests of weights, recipe and data, and what was scored again after reload and export."""
    stated = mapping(facts.summary.get("identity"))
    export = mapping(stated.get("export"))
    found = {words: text(stated.get(key) or facts.summary.get(key)) for key, words in IDENTITY.items()}
    reloaded, tested = real(stated.get("score_after_reload")), real(mapping(facts.info.get("num_examples")).get("test"))
    if reloaded is not None:
        every = f"all {count(tested)} examples" if tested else "all examples"
        beside = _before(mapping(stated.get("reload")))
        found["score after reload"] = f"over {every} of test: {number(reloaded)}{beside}"
    found["score after export"] = _exported(facts, real(stated.get("score_after_export")), export)
    return [(name, words) for name, words in found.items() if words]


def _before(found: dict[str, Any]) -> str:
    """What the model in memory had said before it was saved, beside the one that was loaded again."""
    before, after = real(found.get("score_before")), real(found.get("score_after"))
    if before is None or after is None:
        return ""
    examples, difference = count(real(found.get("examples"))), number(real(found.get("max_difference")))
    return (
        f"; over {examples} examples of {text(found.get('on'))} {number(before)} in memory, before it was saved, and "
        f"{number(after)} loaded again; outputs differ by {difference} at most"
    )


def _exported(facts: Facts, after: float | None, export: dict[str, Any]) -> str:
    """What the exported model says of the kept test examples, beside what the run's says of them."""
    examples, difference = real(export.get("examples")), real(export.get("max_difference"))
    words = [text(export.get("reason"))]
    if after is not None:
        before = real(export.get("score_before"))
        words.append(f"over {count(examples)} examples of test: {number(before)} before export, {number(after)} after")
    if difference is not None:
        words.append(
            f"outputs differ by {number(difference)} at most{_numerics(facts)}, "
            f"{percent(real(export.get('same_predictions')) or 0.0)} of the predictions are the same"
        )
    return "; ".join(word for word in words if word)


def _numerics(facts: Facts) -> str:
    """Why outputs of the exported model differ from the run's, if that is known."""
    half = facts.recipe is not None and facts.recipe.training.precision == "bf16"
    return " (the run predicts in bf16, ONNX in fp32)" if half else ""


def missing(facts: Facts) -> list[str]:
    """The pieces that this run's folder does not hold, in sentences."""
    run = facts.run
    pieces = (
        (run.summary.exists(), "The result (summary.json): no trial has finished."),
        (facts.recipe is not None, "The recipe (recipe.yaml): no model has been saved."),
        (run.weights.exists(), "The weights (model.safetensors): no model has been saved."),
        (bool(facts.decisions), "Decisions (decisions.json): no question has been answered."),
        (bool(facts.trials), "Trials (trials.jsonl): none has ended."),
        (bool(facts.info), "Facts about the data (preprocess.json): it has not been read yet."),
        (
            bool(facts.predictions),
            "Predictions for test (artifacts/test.safetensors): no confusion, residuals or calibration.",
        ),
        (bool(facts.examples), "Example inputs (artifacts/examples.json)."),
    )
    return [words for there, words in pieces if not there]
