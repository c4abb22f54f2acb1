"""The search's evidence: each decision, learning rates, training curves, size against compute."""

import math
from collections import Counter
from typing import Any

from autorecipe.outputs.report import pictures
from autorecipe.outputs.report.facts import Facts, mapping, numbers, pair, real, rows, text
from autorecipe.outputs.report.first import recipe as recipe_facts
from autorecipe.outputs.report.first import shown, signed
from autorecipe.outputs.wording import count, number, percent, seconds
from autorecipe.recipe import Recipe, describe

MOST_CURVES = 12
MOST_TRIALS = 40


def decision(facts: Facts, step: dict[str, Any]) -> dict[str, Any]:
    """One question's evidence: facts as (title, words), the picture of the seeds, its trials."""
    row = step["row"]
    facts_of = [
        ("Compared", step["compared"]),
        ("Changed", "; ".join(step["changed"])),
        ("Effect", _effect(step)),
        ("Measured on", _measured(row)),
        ("Judged by", _judged(step)),
        ("Why", text(row.get("reason"))),
        ("Went on with", _went_on(step)),
        ("Diagnosis", text(row.get("diagnosis"))),
        ("Cost", _cost(row, step)),
        ("Search score", _search_score(row)),
    ]
    scores = mapping(row.get("scores"))
    old, new = numbers(scores.get("incumbent")), numbers(scores.get("candidate"))
    losses = mapping(row.get("losses"))
    old_loss, new_loss = numbers(losses.get("incumbent")), numbers(losses.get("candidate"))
    dots = []
    if old or new:
        dots.append(pictures.seed_dots(old, new, f"{facts.metric} of each seed", _told(facts.metric, old, new)))
    if (old_loss or new_loss) and row.get("judged_by") == "log_loss":
        dots.append(
            pictures.seed_dots(
                old_loss, new_loss, "log loss of each seed (less is better)", _told("log loss", old_loss, new_loss)
            )
        )
    return {
        **step,
        "facts": [(name, words) for name, words in facts_of if words],
        "dots": dots,
        "trials": _trials(facts, row),
    }


def _told(metric: str, old: list[float], new: list[float]) -> str:
    parts = [
        f"{who} {', '.join(number(value) for value in values)}"
        for who, values in (("incumbent", old), ("candidate", new))
    ]
    return f"{metric} of each seed: {'; '.join(parts)}"


def _effect(step: dict[str, Any]) -> str:
    interval = f"90\N{NO-BREAK SPACE}% interval {step['interval_words']}" if step["interval_words"] else ""
    sure = "" if step["by"] else step["sure"]
    return ", ".join(words for words in (step["effect_words"], interval, sure) if words)


def _measured(row: dict[str, Any]) -> str:
    seeds, examples = real(row.get("num_seeds")), real(row.get("num_examples"))
    if not seeds:
        return "nothing: no fresh seeds were trained"
    where = "fresh folds"
    if row.get("held_out") == "confirm":
        others = (real(row.get("parts")) or 1) > 1
        where = f"the confirm split{', and parts of train left out for it' if others else ''}"
    looks = " in two looks" if real(row.get("looks")) == 2 else ""
    return f"{count(examples)} examples that no trial was scored on ({where}), {count(seeds)} fresh seeds each{looks}"


def _judged(step: dict[str, Any]) -> str:
    row = step["row"]
    by = text(row.get("judged_by"))
    interval = pair(row.get("loss_interval"))
    if by != "log_loss" or interval is None:
        return by.replace("_", " ")
    gain = f"{signed(interval[0])} to {signed(interval[1])}"
    return f"log loss, for the two hardly differ in what they say; 90 % interval of the gain {gain}, {step['sure']}"


def _went_on(step: dict[str, Any]) -> str:
    size = real(step["row"].get("num_params"))
    return str(step["chosen"]) + (f", {count(size)} parameters" if size else "")


def _cost(row: dict[str, Any], step: dict[str, Any]) -> str:
    spent = real(row.get("seconds"))
    return f"{seconds(spent) if spent is not None else 'time not known'}; {step['tried']}"


def _search_score(row: dict[str, Any]) -> str:
    found = real(row.get("candidate_score"))
    return f"{number(found)} on val for the candidate: optimistic, for it won there" if found is not None else ""


def _trials(facts: Facts, row: dict[str, Any]) -> list[dict[str, str]]:
    wanted = {int(index) for index in numbers(row.get("trials"))}
    found = [
        t
        for t in facts.trials
        if t.get("study") == row.get("study") and (not wanted or real(t.get("number")) in wanted)
    ]
    return [
        {
            "number": text(trial.get("number")),
            "network": facts.networks.get((text(trial.get("study")), int(real(trial.get("number")) or 0)), "")
            or shown(facts, trial.get("recipe")),
            "state": text(trial.get("state")).replace("_", " "),
            "score": number(real(trial.get("score"))),
            "steps": count(real(trial.get("steps"))),
            "seconds": seconds(real(trial.get("seconds"))),
            "reason": "trained before, its result was taken" if trial.get("reused") else text(trial.get("reason")),
        }
        for trial in found[:MOST_TRIALS]
    ]


def learning_rates(facts: Facts) -> dict[str, Any]:
    """The learning-rate curve of each network shape, those on the path first."""
    names = {}
    for event in facts.of("lr_range"):
        lr, size = real(event.get("lr")), real(event.get("params"))
        if lr is not None and size is not None:
            names[(f"{lr:.6g}", int(size))] = text(event.get("network"))
    path = {shown(facts, row.get("chosen")) for row in facts.decisions}
    cards, without = [], 0
    for shape in facts.shapes:
        part = mapping(shape.get("lr_range"))
        lines = {
            key: numbers(part.get(key)) for key in ("lrs", "losses", "lowest", "highest", "race_lrs", "race_losses")
        }
        raced = part.get("race_losses")
        if isinstance(raced, list) and len(lines["race_losses"]) != len(lines["race_lrs"]):  # one diverged
            lines["race_losses"] = [value if (value := real(loss)) is not None else math.inf for loss in raced]
        suggestion, size = real(part.get("suggestion")), real(shape.get("num_params"))
        if suggestion is None or suggestion <= 0 or not (len(lines["lrs"]) > 1 or len(lines["race_lrs"]) > 1):
            without += 1
            continue
        network = names.get((f"{suggestion:.6g}", int(size or 0)), f"{count(size)} parameters")
        title = f"{network}: training loss against learning rate; {suggestion:.3g} was taken"
        cards.append(
            {
                "network": network,
                "on_path": network in path,
                "lr": f"{suggestion:.3g}",
                "reason": text(part.get("reason")),
                "swept": _swept(lines),
                "svg": pictures.lr_curve(lines, suggestion, pair(part.get("interval")), title),
            }
        )
    cards.sort(key=lambda card: not card["on_path"])
    return {"cards": cards[:MOST_CURVES], "more": max(0, len(cards) - MOST_CURVES), "without": without}


def _swept(lines: dict[str, list[float]]) -> str:
    """What the range test's line is; empty where it was left out."""
    if len(lines["lrs"]) < 2:
        return ""
    one = lines["lowest"] == lines["highest"]
    return "one sweep, no band" if one else "median of the sweeps with their band"


def final_curve(facts: Facts) -> dict[str, Any] | None:
    """The curve of the final training, if the model on disk is that of one."""
    found, recipe = facts.finish_curve, facts.recipe
    points = [
        {key: real(point.get(key)) for key in ("step", "progress", "train_loss", "lr")}
        for point in rows(found.get("points"))
    ]
    losses = [loss for point in points if (loss := point["train_loss"]) is not None]
    if not losses or recipe is None or found.get("recipe") != recipe.digest:
        return None
    network = describe(recipe.network)
    peak = max((lr for point in points if (lr := point["lr"]) is not None), default=None)
    done = points[-1]["progress"]
    stopped = f"; stopped at {percent(done)} of the planned length" if done is not None and done < 0.99 else ""
    title = f"Final training of {network}: training loss over the steps, {number(losses[0])} to {number(losses[-1])}"
    return {
        "network": network,
        "length": dict(recipe_facts(facts)).get("Length", "") + stopped,
        "rate": f"dashed: learning rate, {number(peak)} at its peak" if peak is not None else "",
        "diagnosis": _final_words(facts, recipe, points, losses[-1]),
        "svg": pictures.training_curve(points, title),
    }


def _final_words(facts: Facts, recipe: Recipe, points: list[dict[str, float | None]], last: float) -> str:
    """Loss on train at the end and before the cooldown, beside what was measured on test."""
    words = f"training loss {number(last)} at the end"
    before = _before_cooldown(points)
    words += f", {number(before)} where the learning rate began to fall" if before is not None else ""
    metrics = mapping(mapping(facts.summary.get("metrics")).get("test"))
    loss, score = real(metrics.get("log_loss")), real(mapping(facts.summary.get("scores")).get("test"))
    if loss is not None:
        words += f"; log loss {number(loss)} on test"
    elif score is not None:
        words += f"; {facts.metric} {number(score)} on test"
    raised = _in_the_loss(recipe)
    return words + (f"; the training loss is with {', '.join(raised)}" if raised else "")


def _before_cooldown(points: list[dict[str, float | None]]) -> float | None:
    """The training loss at the last point with the highest learning rate; None if the rate never falls."""
    rated = [(lr, point["train_loss"]) for point in points if (lr := point["lr"]) is not None]
    peak = max((lr for lr, _ in rated), default=0.0)
    at = max((i for i, (lr, _) in enumerate(rated) if lr >= 0.999 * peak), default=0)
    return rated[at][1] if at + 1 < len(rated) else None


def _in_the_loss(recipe: Recipe) -> list[str]:
    """What makes the training loss another than that of the plain examples."""
    part = recipe.regularization
    words = {
        "augmented images": part.crop or part.flip or part.erase,
        "mixup": part.mixup,
        "label smoothing": part.label_smoothing,
        "dropout": part.dropout,
        "class weights": part.class_weights,
    }
    return [name for name, value in words.items() if value]


def curves(facts: Facts) -> list[dict[str, Any]]:
    """The training curve of each recipe that was carried on, with the diagnosis."""
    diagnoses: dict[str, list[str]] = {}
    for row in facts.decisions:
        digest = text(row.get("chosen"))
        known = diagnoses.setdefault(digest, [])
        words = text(row.get("diagnosis"))
        if words and words not in known:
            known.append(words)
    cards = []
    for digest, said in diagnoses.items():
        found = facts.trial_result(digest)
        points = [
            {key: real(point.get(key)) for key in ("step", "train_loss", "loss")} for point in rows(found.get("curve"))
        ]
        if not points:
            continue
        network = shown(facts, digest)
        scored = (
            f"{facts.metric} {number(real(found.get('score')))} on val" if real(found.get("score")) is not None else ""
        )
        last = points[-1]
        end = f"{number(last['train_loss'])} on train, {number(last['loss'])} on val"
        title = f"{network}: losses over the steps, at the end {end}"
        cards.append(
            {
                "network": network,
                "digest": digest,
                "score": scored,
                "diagnosis": "; ".join(said),
                "svg": pictures.training_curve(points, title),
            }
        )
    return cards


def _finished(facts: Facts) -> str:
    """Digest of the recipe that the final training went on with: the last decision's, unless a race has turned it."""
    chosen = text(facts.decisions[-1].get("chosen")) if facts.decisions else ""
    for event in facts.of("race")[-1:]:
        pair = event.get("recipes")
        if not event.get("kept") and isinstance(pair, list) and pair[:1] == [chosen]:
            return text(event.get("winner"))
    return chosen


def compute(facts: Facts) -> dict[str, Any] | None:
    """Every trial: error against seconds, by the network's size, the chosen one marked."""
    chosen = _finished(facts)
    scored = [real(trial.get("score")) for trial in facts.trials]
    share = facts.maximize and facts.best == 1 and all(value is None or 0 <= value <= 1 for value in scored)
    least = 0.5 / max(1.0, real(mapping(facts.info.get("num_examples")).get("val")) or 1.0)  # a logarithm wants no 0
    found = []
    for trial, score in zip(facts.trials, scored, strict=True):
        spent = real(trial.get("seconds"))
        if score is None or not spent or spent <= 0 or trial.get("reused"):
            continue
        network = facts.networks.get((text(trial.get("study")), int(real(trial.get("number")) or 0))) or shown(
            facts, trial.get("recipe")
        )
        size = facts.sizes.get(network, 0) or int(real(facts.trial_result(trial.get("recipe")).get("num_params")) or 0)
        state = text(trial.get("state"))
        words = f"{network}, {count(size)} parameters: {facts.metric} {number(score)} in {seconds(spent)} ({state})"
        error = max(1 - score, least) if share else score
        found.append(pictures.Trained(spent, error, size, words, state == "complete", trial.get("recipe") == chosen))
    if len(found) < 2:
        return None
    sizes = sorted({trial.size for trial in found})
    ranks = {size: round(5 * i / max(1, len(sizes) - 1)) for i, size in enumerate(sizes)}
    axis = f"1 - {facts.metric} on val" if share else f"{facts.metric} on val"
    states = Counter(text(trial.get("state")) for trial in facts.trials)
    return {
        "svg": pictures.compute_curve(found, axis, ranks, f"{len(found)} trials: {axis} against seconds of training"),
        "sizes": (count(sizes[0]), count(sizes[-1])),
        "marked": any(trial.chosen for trial in found),
        "states": ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in states.items()),
        "network": shown(facts, chosen) if chosen else "",
    }
