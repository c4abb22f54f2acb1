"""One question, end to end: a study of trials, fresh seeds of winner and incumbent, a decision."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_record
from typing import Any

import numpy as np

from autorecipe.recipe import NetworkSection, Recipe, dump_yaml, get, replace
from autorecipe.results import CurvePoint, Decision, TrainResult
from autorecipe.rundir import read_lines, write_json, write_text
from autorecipe.search import decide, studies
from autorecipe.search.finish import write_summary
from autorecipe.search.planner import expected_final, fading, foresee, prior_gain, strength
from autorecipe.search.space import LR_FACTOR, StageSpace, varied
from autorecipe.search.trials import Reading, SeedRun, curve_rows, run_recipe, seed_run
from autorecipe.search.workbench import (
    Shape,
    Workbench,
    append_trial,
    carried_lr,
    describe,
    epochs_of,
    measure_shape,
    params_of,
    steps_for,
    use_shape,
    with_shape,
)
from autorecipe.training.checkpoint import save_weights
from autorecipe.training.evaluate import direction, gain
from autorecipe.training.gains import example_gains

NETWORK = "network"
"""The parameter that chooses between networks, where a question has several."""
FACTOR_LOW, FACTOR_HIGH = 0.25, 4.0
SEEDS = 2
SEARCH_NOISE = 0.05
"""Standard error of a log ratio of search scores: one seed each, and the winner was picked by them."""


@dataclass(frozen=True)
class Alternative:
    """One network that a question may choose."""

    label: str
    section: NetworkSection


@dataclass(frozen=True)
class Question:
    """One thing asked of the network within a stage."""

    number: int
    stage: str
    slug: str
    text: str
    incumbent: Recipe
    alternatives: tuple[Alternative, ...]
    """Networks to try; the first is the incumbent's own."""
    space: StageSpace
    known: tuple[dict[str, Any], ...]
    """Points to try first, as changes to the incumbent; `network` names an alternative."""
    trials: int
    share: float
    """Compute of one full trial: seconds, or epochs."""
    finish: float
    """Compute of the finish."""
    seeds: int = SEEDS
    """Fresh seeds for the decision; 0: no room, the prior acts."""


@dataclass
class Tried:
    """What is known of the trials of a question."""

    recipes: dict[int, Recipe] = field(default_factory=dict)
    results: dict[int, TrainResult] = field(default_factory=dict)
    values: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Score and loss on val of finished trials."""


@dataclass(frozen=True)
class Answer:
    """A decision with the recipe carried on, and the run that tells how it trains."""

    decision: Decision
    recipe: Recipe
    runner_up: Recipe | None
    result: TrainResult | None
    """A training run of the chosen recipe, for the diagnosis."""
    evidence: decide.Evidence | None
    diverged: float = 0.0
    """Share of the trials that diverged."""


def ask_question(
    bench: Workbench, question: Question, earlier: Sequence[studies.Earlier], pooled: tuple[float, float]
) -> Answer:
    """Run the trials, compare winner and incumbent on fresh seeds, decide, write it down."""
    begin = time.monotonic()
    info = bench.dataset.info
    shapes: dict[str, Shape] = {}
    own = question.incumbent
    parameters = _parameters(bench, question)
    level = incumbent_level(bench, own)
    study = studies.open_study(
        bench.storage,
        bench.run.name,
        question.number,
        question.slug,
        direction=direction(info.metric),  # type: ignore[arg-type]
        seed=bench.seed,
        prune=True,
        parameters=parameters,
        known=[_full_point(bench, question, parameters, changes) for changes in question.known],
        earlier=earlier,
        incumbent_value=level,
        startup=max(1, (question.trials - len(question.known)) // 2),
    )
    studies.note(study, f"**{question.text}**\n\nNot decided yet.")
    bench.say(
        "question",
        number=question.number,
        stage=question.stage,
        text=question.text,
        study=study.name,
        trials=question.trials,
    )
    tried = Tried()
    for record in studies.finished(study):  # a resumed question
        _remember(bench, tried, record)
    _mend_trials(bench, study)
    while len(studies.finished(study)) < question.trials:
        if bench.budget.timed and bench.clock.left() < question.finish + question.share and tried.values:
            bench.say("note", text="the time for this question is over: its last trials are left out")
            break
        _one_trial(bench, question, study, shapes, tried)
    answer = _decide(bench, question, study, tried, pooled, begin)
    ended = studies.finished(study)
    diverged = sum(record.attrs.get("state") == "diverged" for record in ended)
    return replace_record(answer, diverged=diverged / max(1, len(ended)))


def incumbent_level(bench: Workbench, recipe: Recipe) -> float | None:
    """The search score of a recipe whose trial is on record."""
    row = _on_record(bench, recipe)
    return float(row["score"]) if row and row["score"] is not None else None


def _on_record(bench: Workbench, recipe: Recipe) -> dict[str, Any] | None:
    path = bench.run.artifacts / "trials" / f"{recipe.digest}.json"
    if not path.exists():
        return None
    row = json.loads(path.read_text())
    assert isinstance(row, dict)
    return row


def _parameters(bench: Workbench, question: Question) -> list[studies.Parameter]:
    """The search space: ranges and choices, stretched so that they hold the incumbent's own values."""
    parameters = []
    if len(question.alternatives) > 1:
        labels = tuple(a.label for a in question.alternatives)
        parameters.append(studies.Parameter(NETWORK, "categorical", choices=labels))
    for name, values in varied(question.space, bench.dataset.info).items():
        if isinstance(values, Mapping):
            low, high, log = float(values["low"]), float(values["high"]), bool(values.get("log", False))
            if name != LR_FACTOR:
                value = float(get(question.incumbent, name))
                low, high = (min(low, value) if value > 0 or not log else low), max(high, value)
            parameters.append(studies.Parameter(name, "float", low=low, high=high, log=log))
        else:
            choices = list(values)
            if name != LR_FACTOR and get(question.incumbent, name) not in choices:
                choices.append(get(question.incumbent, name))
            parameters.append(studies.Parameter(name, "categorical", choices=tuple(choices)))
    return parameters


def _full_point(
    bench: Workbench, question: Question, parameters: Sequence[studies.Parameter], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """A known point with the incumbent's value for every parameter it does not name."""
    point: dict[str, Any] = {}
    for p in parameters:
        if p.name in changes:
            value = changes[p.name]
        elif p.name == NETWORK:
            value = question.alternatives[0].label
        elif p.name == LR_FACTOR:
            value = _own_factor(bench, question)
        else:
            value = get(question.incumbent, p.name)
        if p.kind == "float":
            value = min(max(float(value), p.low), p.high)
        elif value not in p.choices:
            value = get(question.incumbent, p.name)
        point[p.name] = value
    return point


def _own_factor(bench: Workbench, question: Question) -> float:
    """The incumbent's learning rate as a factor on what its shape's range test suggested."""
    shape = measure_shape(bench, question.incumbent, question.share)
    factor = question.incumbent.optimizer.lr / shape.lr_range.suggestion
    return float(np.clip(factor, FACTOR_LOW, FACTOR_HIGH))


def _recipe_of(
    bench: Workbench, question: Question, params: Mapping[str, Any], shapes: dict[str, Shape]
) -> tuple[Recipe, Shape]:
    """The recipe of a trial: the incumbent with the trial's changes, at the trial's share of compute."""
    changes = {name: value for name, value in params.items() if name not in (LR_FACTOR, NETWORK)}
    recipe = replace(question.incumbent, changes)
    own_shape = measure_shape(bench, question.incumbent, question.share)
    factor = float(params.get(LR_FACTOR, _own_factor(bench, question)))
    label = params.get(NETWORK, question.alternatives[0].label)
    section = next(a.section for a in question.alternatives if a.label == label)
    if section != question.incumbent.network:
        embedding = {k: v for k, v in changes.items() if k.startswith("network.")}
        recipe = replace(replace(recipe, {"network": section}), embedding)
    key = describe(recipe.network)
    if key not in shapes:
        carried = carried_lr(own_shape.lr_range.suggestion, question.incumbent.network, recipe.network)
        like = own_shape if recipe.network.width == question.incumbent.network.width else None
        shapes[key] = measure_shape(bench, recipe, question.share, carried, like)
    recipe = with_shape(recipe, shapes[key], factor)
    steps = steps_for(bench, recipe, shapes[key], question.share)
    return replace(recipe, {"training.steps": steps, "training.seed": bench.seed}), shapes[key]


def _one_trial(
    bench: Workbench, question: Question, study: studies.OpenStudy, shapes: dict[str, Shape], tried: Tried
) -> None:
    asked = studies.ask(study)
    recipe, shape = _recipe_of(bench, question, asked.params, shapes)
    number = asked.number
    digest = bench.run.save_recipe(recipe)
    bench.say(
        "trial_start",
        study=study.name,
        number=number,
        params=asked.params,
        network=describe(recipe.network),
        steps=recipe.training.steps,
    )
    facts = {
        "recipe": dump_yaml(recipe),
        "recipe_digest": digest,
        "network": describe(recipe.network),
        "lr": recipe.optimizer.lr,
        "lr_reason": shape.lr_range.reason,
        "steps": recipe.training.steps,
        "epochs": round(epochs_of(bench, recipe), 3),
    }
    known_result = _on_record(bench, recipe)
    if known_result is not None:
        _tell_again(bench, study, number, recipe, known_result, facts, tried)
        return
    rungs: dict[int, float] = {}

    def at_rung(reading: Reading) -> bool:
        rungs[reading.rung] = reading.score
        bench.say("look", study=study.name, number=number, rung=reading.rung, score=reading.score)
        return studies.report(study, number, reading.score, reading.rung)

    splits = bench.dataset.splits
    limit = 2 * question.share + 1.0 if bench.budget.timed else math.inf
    if bench.budget.timed:
        limit = min(limit, max(1.0, bench.clock.left() - 0.5 * question.finish))
    use_shape(bench, shape)
    result, session, _ = run_recipe(bench, recipe, splits.train, splits.val, at_rung=at_rung, deadline=limit)
    bench.state.spent_epochs += result.steps * recipe.training.batch_size / len(splits.train)
    facts |= {"seconds": round(result.seconds, 3), "params": result.num_params, "curve": curve_rows(result)}
    facts["state"] = result.state
    if result.reason:
        facts["reason"] = result.reason
    if result.state == "complete":
        _save_if_best(bench, recipe, result, session)
    studies.set_attrs(study, number, facts)
    complete = result.state == "complete"
    studies.tell(study, number, "complete" if complete else "pruned", result.score if complete else None)
    if complete:
        _put_on_record(bench, recipe, result, rungs)
    tried.recipes[number], tried.results[number] = recipe, result
    _tell_trial(bench, study, number, recipe, result, rungs, tried)


def _tell_again(
    bench: Workbench,
    study: studies.OpenStudy,
    number: int,
    recipe: Recipe,
    row: dict[str, Any],
    facts: dict[str, Any],
    tried: Tried,
) -> None:
    """A recipe that was trained already: its readings are told, nothing is trained again."""
    rungs = {int(rung): float(value) for rung, value in row["rungs"].items()}
    for rung, value in sorted(rungs.items()):
        studies.report(study, number, value, rung)
    facts |= {"seconds": 0.0, "reused": True, "params": row["num_params"], "loss": row["loss"]}
    studies.set_attrs(study, number, facts)
    studies.tell(study, number, "complete", float(row["score"]))
    result = TrainResult(
        "complete",
        recipe.training.steps,
        0.0,
        row["score"],
        row["loss"],
        row["train_score"],
        row["train_loss"],
        row["num_params"],
    )
    tried.recipes[number], tried.results[number] = recipe, result
    _tell_trial(bench, study, number, recipe, result, rungs, tried)


def _put_on_record(bench: Workbench, recipe: Recipe, result: TrainResult, rungs: Mapping[int, float]) -> None:
    row = {
        "score": result.score,
        "loss": result.loss,
        "train_score": result.train_score,
        "train_loss": result.train_loss,
        "num_params": result.num_params,
        "rungs": {str(rung): value for rung, value in rungs.items()},
        "curve": curve_rows(result),
    }
    write_json(bench.run.artifacts / "trials" / f"{recipe.digest}.json", row)


def _tell_trial(
    bench: Workbench,
    study: studies.OpenStudy,
    number: int,
    recipe: Recipe,
    result: TrainResult,
    rungs: Mapping[int, float],
    tried: Tried,
) -> None:
    if result.state == "complete" and result.score is not None:
        tried.values[number] = (result.score, result.loss or math.inf)
    best = _best(bench, tried.values)
    append_trial(
        bench,
        {
            "study": study.name,
            "number": number,
            "recipe": recipe.digest,
            "state": result.state,
            "score": result.score,
            "loss": result.loss,
            "rungs": {str(rung): value for rung, value in rungs.items()},
            "steps": result.steps,
            "seconds": round(result.seconds, 3),
            "reason": result.reason,
            "reused": result.state == "complete" and result.seconds == 0.0,
        },
    )
    bench.say(
        "trial",
        study=study.name,
        number=number,
        state=result.state,
        score=result.score,
        best=None if best is None else tried.values[best][0],
        seconds=result.seconds,
        reason=result.reason,
    )
    bench.heartbeat()


def _mend_trials(bench: Workbench, study: studies.OpenStudy) -> None:
    """Add trials to `trials.jsonl` that were told, but killed before they were written down."""
    written = {(row["study"], row["number"]) for row in read_lines(bench.run.trials)}
    for record in studies.finished(study):
        if record.state == "failed" or (study.name, record.number) in written:
            continue
        attrs = record.attrs
        append_trial(
            bench,
            {
                "study": study.name,
                "number": record.number,
                "recipe": attrs.get("recipe_digest"),
                "state": attrs.get("state", record.state),
                "score": record.value,
                "loss": attrs.get("loss"),
                "rungs": {str(rung): value for rung, value in record.rungs.items()},
                "steps": attrs.get("steps"),
                "seconds": round(record.seconds, 3),
                "reason": attrs.get("reason", ""),
                "reused": bool(attrs.get("reused", False)),
            },
        )


def _remember(bench: Workbench, tried: Tried, record: studies.TrialRecord) -> None:
    """A trial that an earlier part of the run finished."""
    digest = record.attrs.get("recipe_digest")
    if digest is None or record.state != "complete" or record.value is None:
        return
    recipe = bench.run.load_recipe(str(digest))
    row = _on_record(bench, recipe)
    loss = float(row["loss"]) if row and row["loss"] is not None else math.inf
    tried.recipes[record.number] = recipe
    tried.values[record.number] = (record.value, loss)
    if row is not None:
        tried.results[record.number] = _result_of(recipe, row)


def _result_of(recipe: Recipe, row: dict[str, Any]) -> TrainResult:
    curve = tuple(CurvePoint(**point) for point in row["curve"])
    return TrainResult(
        "complete",
        recipe.training.steps,
        0.0,
        row["score"],
        row["loss"],
        row["train_score"],
        row["train_loss"],
        row["num_params"],
        curve,
    )


def _best(bench: Workbench, values: Mapping[int, tuple[float, float]]) -> int | None:
    """The trial with the best score; between equal scores the lower loss."""
    metric = bench.dataset.info.metric
    if not values:
        return None
    return max(values, key=lambda n: (gain(metric, values[n][0], 0.0), -values[n][1]))


def _save_if_best(bench: Workbench, recipe: Recipe, result: TrainResult, session: Any) -> None:
    """From the first finished trial on, a valid model lies on disk: the best by search score."""
    assert result.score is not None
    best = bench.state.best_score
    if best is not None and gain(bench.dataset.info.metric, result.score, best) <= 0:
        return
    save_weights(session.readable, bench.run.weights)
    write_text(bench.run.recipe, dump_yaml(recipe))
    bench.state.best_score = result.score
    write_summary(bench, recipe, "interrupted", {"search": result.score})
    bench.say("saved", what=describe(recipe.network), score=result.score)


def _decide(
    bench: Workbench,
    question: Question,
    study: studies.OpenStudy,
    tried: Tried,
    pooled: tuple[float, float],
    begin: float,
) -> Answer:
    metric = bench.dataset.info.metric
    incumbent = _incumbent_at_share(bench, question)
    digest = bench.run.save_recipe(incumbent)
    growth = len(question.alternatives) > 1
    rivals = {
        n: v
        for n, v in tried.values.items()
        if tried.recipes[n].digest != digest and (not growth or tried.recipes[n].network != incumbent.network)
    }
    winner = _most_promising(bench, question, tried, rivals, incumbent)
    numbers = tuple(sorted(r.number for r in studies.finished(study)))
    candidates = tuple(dict.fromkeys(r.digest for n, r in sorted(tried.recipes.items()) if r.digest != digest))
    common: dict[str, Any] = {
        "stage": question.stage,
        "question": question.text,
        "incumbent": digest,
        "candidates": candidates,
        "study": study.name,
        "trials": numbers,
        "held_out": "cross-validated" if bench.dataset.info.cross_validated else "confirm",
    }
    unmeasured: dict[str, Any] = {
        "effect": None,
        "standard_error": None,
        "interval": None,
        "p_better": None,
        "num_examples": 0,
        "num_seeds": 0,
    }
    if winner is None:
        decision = Decision(
            **common,
            **unmeasured,
            candidate=digest,
            seconds=time.monotonic() - begin,
            verdict=decide.NOT_DECIDED,
            reason="no other candidate finished a trial",
            chosen=digest,
        )
        return _write(bench, study, question, decision, incumbent, None, recorded_result(bench, incumbent), None)
    candidate = tried.recipes[winner]
    evidence, scores, examples = _measure(bench, question, candidate, incumbent)
    level = (
        float(np.mean(scores["incumbent"]))
        if scores
        else (incumbent_level(bench, incumbent) or tried.values[winner][0])
    )
    error = evidence.error if evidence else decide.error_of(metric, level)
    found = decide.estimate(evidence, pooled) if evidence else None
    prior = _prior(bench, question, incumbent, candidate)
    fade = _fade(question, incumbent, candidate)
    if found is not None:
        expected = expected_final(found, error, prior, fade)
    else:
        rough = decide.relative_gain(metric, level, tried.values[winner][0])
        expected = foresee(rough, SEARCH_NOISE, prior, fade)
    word, adopted = decide.verdict(found, expected, error)
    chosen = candidate if adopted else incumbent
    measured = (
        unmeasured
        if found is None
        else {
            "effect": found.effect,
            "standard_error": found.standard_error,
            "interval": found.interval,
            "p_better": found.p_better,
            "num_examples": examples,
            "num_seeds": len(evidence.differences) if evidence else 0,
        }
    )
    reason = f"expected relative gain at the end of the finish {expected:+.1%} (the prior alone: {prior:+.1%})"
    if found is None:
        reason += "; there was no room for two fresh seeds, so the shipped prior and the search scores act"
    decision = Decision(
        **common,
        **measured,
        candidate=candidate.digest,
        seconds=time.monotonic() - begin,
        verdict=word,
        reason=reason,
        chosen=chosen.digest,
        scores=scores,
        candidate_score=tried.values[winner][0],
        num_params=measure_shape(bench, chosen, question.share).num_params,
    )
    return _write(
        bench,
        study,
        question,
        decision,
        chosen,
        incumbent if adopted else candidate,
        recorded_result(bench, chosen),
        evidence,
    )


def _fade(question: Question, incumbent: Recipe, candidate: Recipe) -> float:
    """What is left of a measured difference between two recipes at the end of the finish."""
    other = candidate.network == incumbent.network and abs(strength(candidate) - strength(incumbent)) > 0.05
    return fading(question.share, question.finish, regularization=other)


def _prior(bench: Workbench, question: Question, incumbent: Recipe, candidate: Recipe) -> float:
    epochs = epochs_of(bench, candidate) * question.finish / max(question.share, 1e-9)
    examples = len(bench.dataset.splits.train)
    return prior_gain(incumbent, candidate, epochs, params_of(bench, candidate.network) / examples)


def _most_promising(
    bench: Workbench, question: Question, tried: Tried, rivals: Mapping[int, tuple[float, float]], incumbent: Recipe
) -> int | None:
    """The rival with the best expected score at the end of the finish; between equals the lower loss."""
    if not rivals:
        return None
    metric = bench.dataset.info.metric
    level = incumbent_level(bench, incumbent)
    level = level if level is not None else float(np.median([score for score, _ in rivals.values()]))

    def promise(number: int) -> tuple[float, float]:
        score, loss = rivals[number]
        measured = decide.relative_gain(metric, level, score)
        prior = _prior(bench, question, incumbent, tried.recipes[number])
        return foresee(measured, 0.0, prior, _fade(question, incumbent, tried.recipes[number])), -loss

    return max(rivals, key=promise)


def recorded_result(bench: Workbench, recipe: Recipe) -> TrainResult | None:
    """The trial of a recipe, if one has finished."""
    row = _on_record(bench, recipe)
    return _result_of(recipe, row) if row is not None else None


def _incumbent_at_share(bench: Workbench, question: Question) -> Recipe:
    """The incumbent trained for a trial's share."""
    shape = measure_shape(bench, question.incumbent, question.share)
    steps = steps_for(bench, question.incumbent, shape, question.share)
    recipe = with_shape(question.incumbent, shape, _own_factor(bench, question))
    return replace(recipe, {"training.steps": steps, "training.seed": bench.seed})


def _measure(
    bench: Workbench, question: Question, candidate: Recipe, incumbent: Recipe
) -> tuple[decide.Evidence | None, dict[str, tuple[float, ...]], int]:
    """Fresh seeds of both, paired by seed and held-out part."""
    metric = bench.dataset.info.metric
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
    if len(pairs) < 2:
        return None, {}, 0
    scores = {"incumbent": tuple(a.score for a, _ in pairs), "candidate": tuple(b.score for _, b in pairs)}
    differences = tuple(gain(metric, b.score, a.score) for a, b in pairs)
    error = decide.error_of(metric, float(np.mean(scores["incumbent"])))
    info, targets = bench.dataset.info, bench.dataset.targets.numpy()
    values = [example_gains(metric, targets[a.rows], a.outputs, b.outputs, info) for a, b in pairs]
    # Parts may overlap when there are few: the variance of the mean is then that of one part, not less.
    distinct = len({tuple(a.rows[:5].tolist()) for a, _ in pairs})
    variance = float(np.mean([decide.mean_variance(v) for v in values])) / distinct
    return decide.Evidence(differences, variance, error), scores, sum(len(a.rows) for a, _ in pairs)


def _write(
    bench: Workbench,
    study: studies.OpenStudy,
    question: Question,
    decision: Decision,
    chosen: Recipe,
    runner_up: Recipe | None,
    result: TrainResult | None,
    evidence: decide.Evidence | None,
) -> Answer:
    studies.note(study, f"**{question.text}**\n\n{sentence(decision, bench)}\n\n{decision.reason}")
    return Answer(decision, chosen, runner_up, result, evidence)


def _asked_of(decision: Decision, bench: Workbench) -> str:
    """The question, with the one candidate that was compared: `width 16 -> 32`."""
    old, new = (bench.run.load_recipe(digest).network for digest in (decision.incumbent, decision.candidate))
    if old == new:
        return decision.question
    if old.width != new.width:
        return f"{decision.stage} {old.width} -> {new.width}"
    return f"{decision.question.rstrip('?')} ({describe(old)} -> {describe(new)})"


def sentence(decision: Decision, bench: Workbench) -> str:
    """A decision in one plain sentence."""
    text = f"{_asked_of(decision, bench)}: {decision.verdict}"
    if decision.effect is None:
        return f"{text} ({decision.reason})"
    metric = bench.dataset.info.metric
    old, new = (float(np.mean(decision.scores[who])) for who in ("incumbent", "candidate"))
    if metric == "accuracy":
        name, old, new = "error", 1 - old, 1 - new
    else:
        name = metric
    return (
        f"{text}; {name} {old:.4g} -> {new:.4g} on {decision.num_examples:,} unseen examples, "
        f"{decision.num_seeds} seeds, P(better) {decision.p_better:.2f}"
    )
