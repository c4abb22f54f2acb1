"""Claims that no training is needed for: files, data, the score of the saved weights, the ledger's arithmetic."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_record
from typing import Any

import numpy as np

from autorecipe.data import Dataset
from autorecipe.errors import InputError
from autorecipe.outputs.claims import EXACT, FAILS, FEW_EXAMPLES, HOLDS, UNCHECKED, Claim, follows, score_tolerance
from autorecipe.recipe import Recipe, load_recipe, to_dict
from autorecipe.results import Decision
from autorecipe.rundir import RunDir, numbers_of, read_json, read_lines, read_mapping, sha256
from autorecipe.search.checksums import changed_files
from autorecipe.search.decide import Evidence
from autorecipe.search.evidence import judge
from autorecipe.search.ledger import evidence_of, load_decisions
from autorecipe.search.summary import environment, keeps_confirm, load_model
from autorecipe.search.trials import MOST_SEEDS, kept_run
from autorecipe.search.workbench import Workbench
from autorecipe.training.evaluate import USUAL, predict, score

DATA = "data is that of the run"
SCORE = "score of the saved weights"
LEDGER = "decisions follow from their kept predictions"
MOST_NAMED = 4


@dataclass(frozen=True)
class Stated:
    """What the files of a run say; None where one is gone or damaged."""

    summary: Mapping[str, Any] | None
    recipe: Recipe | None
    decisions: list[Decision] | None
    data_digest: str | None


def read_stated(run: RunDir) -> tuple[Stated, list[str]]:
    """What a run states, and which of its files cannot be read."""
    problems: list[str] = []

    def attempt(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except InputError as error:
            problems.append(str(error))
            return None

    summary = attempt(lambda: read_mapping(run.summary))
    recipe = attempt(lambda: load_recipe(run.recipe))
    decisions = attempt(lambda: load_decisions(run))
    if decisions is not None and not run.decisions.exists():
        problems.append(f"{run.decisions} is not there")
    facts = attempt(lambda: read_mapping(run.preprocess))
    info = facts.get("info") if facts else None
    digest = info.get("digest") if isinstance(info, dict) else None
    return Stated(summary, recipe, decisions, digest), problems


# Files


def check_files(run: RunDir, stated: Stated, problems: Sequence[str]) -> list[Claim]:
    """That every file is as the run left it, and that the files agree with each other."""
    claims = [_as_left(run), _row("files can be read", problems, f"{len(problems)} cannot be" if problems else "all")]
    summary, recipe = stated.summary, stated.recipe
    if summary is not None:
        weights = sha256(run.weights) if run.weights.is_file() else None
        claims.append(_same("weights", "model.safetensors is what was scored", summary.get("weights_sha256"), weights))
        if recipe is not None:
            what = "recipe.yaml is that of the model"
            claims.append(_same("recipe", what, summary.get("recipe_digest"), recipe.digest))
    claims.append(_check_recipes(run, stated))
    return claims


def _as_left(run: RunDir) -> Claim:
    what = "files are as the run left them"
    if not run.checksums.exists():
        last = [row.get("event") for row in read_lines(run.log) if isinstance(row, dict)]
        ended = [event for event in last if event in ("start", "result")]
        complete = run.summary.exists() and read_mapping(run.summary).get("status") == "complete"
        if complete or (ended and ended[-1] == "result"):
            return Claim("files", what, FAILS, reason=f"{run.checksums.name} is gone")
        return Claim("files", what, UNCHECKED, reason="the run did not end: it has no checksums.json yet")
    try:
        count, changed = changed_files(run)
    except InputError as error:
        return Claim("files", what, FAILS, reason=str(error))
    return _row(what, changed, f"{count - len(changed)}", f"{count} files", {"changed": changed})


def _row(
    what: str, problems: Sequence[str], found: str, stated: str = "", numbers: Mapping[str, Any] | None = None
) -> Claim:
    more = f"; and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
    reason = "; ".join(problems[:MOST_NAMED]) + more
    return Claim("files", what, FAILS if problems else HOLDS, stated, found, reason=reason, numbers=numbers or {})


def _same(name: str, what: str, stated: object, found: object) -> Claim:
    wanted, there = (str(value)[:12] if value else "none" for value in (stated, found))
    verdict = HOLDS if stated == found and found else FAILS
    return Claim("files", what, verdict, wanted, there, numbers={f"stated_{name}": stated, f"found_{name}": found})


def _check_recipes(run: RunDir, stated: Stated) -> Claim:
    """`recipes/`: each holds the recipe of its name; none that is named is missing, nor any trial."""
    there: dict[str, str] = {}
    problems = []
    for path in sorted((run.path / "recipes").glob("*.yaml")):
        try:
            there[path.stem] = load_recipe(path).digest
        except InputError as error:
            problems.append(str(error))
    problems += [f"recipes/{name}.yaml holds another recipe" for name, digest in there.items() if name != digest]
    rows = [row for row in read_lines(run.trials) if isinstance(row, dict)]
    decisions = stated.decisions or []
    named = {digest for d in decisions for digest in (d.incumbent, d.candidate, d.chosen, *d.candidates)}
    named |= {str(row["recipe"]) for row in rows if row.get("recipe")}
    problems += [f"recipes/{name}.yaml is gone" for name in sorted(named - there.keys())]
    written = {(row.get("study"), row.get("number")) for row in rows}
    lost = [(d.study, number) for d in decisions for number in d.trials if (d.study, number) not in written]
    problems += [f"trial {number} of {study} is gone from trials.jsonl" for study, number in lost]
    return _row("every recipe and trial that is named is there", problems, f"{len(there)} recipes, {len(rows)} trials")


# Data


def check_data(run: RunDir, stated: Stated, dataset: Dataset) -> list[Claim]:
    """That the data is that of the run, and is split as it was."""
    found = dataset.info.digest
    wanted = {str(d) for d in (stated.data_digest, (stated.summary or {}).get("data_digest")) if d}
    verdict = HOLDS if wanted == {found} else FAILS
    shown = " / ".join(sorted(digest[:12] for digest in wanted)) or "none"
    reason = "" if verdict == HOLDS else "another data set, or it was changed; give its own: --data PATH"
    claims = [Claim("data", DATA, verdict, shown, found[:12], reason=reason)]
    if verdict == HOLDS:
        claims += [_check_splits(run, dataset), _check_preprocess(run, dataset)]
    return claims


LEARNED = (
    *("task", "metric", "classes", "target_scale", "num_examples", "num_numbers", "cardinalities", "bins"),
    *("resolution", "channels", "pixel_mean", "pixel_std"),
)
"""Facts of the data that the network was built and scored by."""


def _check_preprocess(run: RunDir, dataset: Dataset) -> Claim:
    what = "preprocess.json is what the data gives"
    try:
        kept = read_mapping(run.preprocess)
    except InputError as error:
        return Claim("data", what, FAILS, reason=str(error))
    facts, info = to_dict(dataset.info), kept.get("info")
    wrong = [] if alike(kept.get("preprocess"), to_dict(dataset.preprocess)) else ["preprocess"]
    wrong += [name for name in LEARNED if not isinstance(info, dict) or not alike(info.get(name), facts[name])]
    reason = f"{', '.join(wrong)} in it is something else" if wrong else ""
    return Claim("data", what, FAILS if wrong else HOLDS, tolerance=f"{EXACT:g} of a number", reason=reason)


def alike(kept: object, found: object) -> bool:
    """Whether plain data says the same; numbers up to rounding."""
    if isinstance(kept, dict) and isinstance(found, dict):
        return kept.keys() == found.keys() and all(alike(kept[name], found[name]) for name in kept)
    if isinstance(kept, list) and isinstance(found, list):
        return len(kept) == len(found) and all(alike(a, b) for a, b in zip(kept, found, strict=True))
    if isinstance(kept, float) and isinstance(found, float):
        return math.isclose(kept, found, rel_tol=EXACT, abs_tol=1e-9)
    return kept == found


def _check_splits(run: RunDir, dataset: Dataset) -> Claim:
    what, names = "splits are as the data and the seed give them", list(dataset.names)
    try:
        kept = read_mapping(run.splits)
    except InputError as error:
        return Claim("data", what, FAILS, reason=str(error))
    rows = {split: getattr(dataset.splits, split).tolist() for split in ("train", "val", "confirm", "test")}
    wrong = [split for split, index in rows.items() if kept.get(split) != [names[i] for i in index]]
    reason = f"splits.json has other examples in {', '.join(wrong)}" if wrong else ""
    counts = ", ".join(f"{len(index):,} {split}" for split, index in rows.items())
    return Claim("data", what, FAILS if wrong else HOLDS, found=counts, reason=reason)


# The score of the saved weights


def check_scores(bench: Workbench, run: RunDir, stated: Stated) -> tuple[list[Claim], np.ndarray | None]:
    """That the saved weights, loaded again, have the scores that the summary states; their outputs on test.

    Args:
        bench: with the run's data.
        run: the run, which is only read.
        stated: by its files.
    """
    summary, recipe, info = stated.summary, stated.recipe, bench.dataset.info
    if summary is None or recipe is None:
        return [Claim("score", SCORE, UNCHECKED, reason="a file it needs is damaged")], None
    try:
        model = load_model(replace_record(bench, run=run), recipe)
    except InputError as error:
        return [Claim("score", SCORE, FAILS, reason=str(error))], None
    same, machine = _same_machine(bench, summary, recipe)
    targets, splits = bench.dataset.targets.numpy(), bench.dataset.splits
    claims, on_test = [], None
    for split, scores in _stated_scores(bench, summary, recipe).items():
        rows = getattr(splits, split)
        outputs = predict(model, bench.data.inputs, bench.rows(rows), recipe, bench.stop)
        if split == "test":
            on_test = outputs
        for name, value in scores.items():
            again = score(name, targets[rows], outputs, info, recipe.finish.thresholds)
            claims.append(
                _scored(f"{name} of the saved weights on {split}", name, value, again, len(rows), same, machine)
            )
    if not claims:
        claims = [Claim("score", SCORE, UNCHECKED, reason="none is stated: the run did not end")]
    return claims, on_test


def _stated_scores(bench: Workbench, summary: Mapping[str, Any], recipe: Recipe) -> dict[str, dict[str, float]]:
    """Split to metric to stated score, for all that these very weights were scored on."""
    metric, scores = bench.dataset.info.metric, numbers_of(summary.get("scores"))
    found: dict[str, dict[str, float]] = {}
    if "test" in scores:
        of_test = summary.get("metrics")
        others = numbers_of(of_test.get("test")) if isinstance(of_test, dict) else {}
        others = {name: value for name, value in others.items() if name in USUAL[bench.dataset.info.task]}
        found["test"] = {metric: scores["test"], **{name: value for name, value in others.items() if name != metric}}
    if "confirm" in scores and keeps_confirm(bench, recipe):
        found["confirm"] = {metric: scores["confirm"]}
    if "search" in scores and "test" not in scores and recipe.training.train_on == "train":
        found["val"] = {metric: scores["search"]}
    return found


def _same_machine(bench: Workbench, summary: Mapping[str, Any], recipe: Recipe) -> tuple[bool, str]:
    """Whether a score can be expected to come out exactly, and why not."""
    then, now = summary.get("environment"), environment(bench)
    then = then if isinstance(then, dict) else {}
    keys = ("torch", "device", "machine", "processor")
    other = [f"{key} {then.get(key)} -> {now[key]}" for key in keys if then.get(key) != now[key]]
    if other:
        return False, f"another machine: {', '.join(other)}"
    if recipe.training.precision != "fp32":
        return False, f"{recipe.training.precision} rounds by how threads share the work"
    return True, ""


def _scored(what: str, metric: str, stated: float, again: float, examples: int, same: bool, machine: str) -> Claim:
    tolerance = score_tolerance(metric, stated, examples, same)
    near = abs(again - stated) <= tolerance
    said = f"{EXACT:g} of it" if same else f"{tolerance:.2g} ({machine})"
    numbers = {"stated": stated, "found": again, "tolerance": tolerance}
    return Claim("score", what, HOLDS if near else FAILS, f"{stated:.6g}", f"{again:.6g}", said, numbers=numbers)


def check_baselines(stated: Mapping[str, float], again: Mapping[str, float], metric: str, examples: int) -> list[Claim]:
    """That the baselines, fitted again, have the scores that the summary states."""
    claims = []
    for name, value in stated.items():
        what = f"baseline {name} on test"
        if name not in again:
            claims.append(Claim("baselines", what, UNCHECKED, f"{value:.6g}", reason="it was not fitted in time"))
            continue
        tolerance = score_tolerance(metric, value, examples, same_machine=False)
        near = abs(again[name] - value) <= tolerance
        said = f"{tolerance:.2g}" + (f" ({FEW_EXAMPLES} examples)" if tolerance * examples == FEW_EXAMPLES else "")
        numbers = {"stated": value, "found": again[name], "tolerance": tolerance}
        found = f"{again[name]:.6g}"
        claims.append(
            Claim("baselines", what, HOLDS if near else FAILS, f"{value:.6g}", found, said, "", None, numbers)
        )
    return claims


# The ledger


def check_ledger(bench: Workbench, run: RunDir, decisions: Sequence[Decision] | None) -> Claim:
    """That each decision's effect and verdict follow from the predictions that the run keeps of its fresh seeds.

    Args:
        bench: with the run's data.
        run: the run, which is only read.
        decisions: in their order; None if they cannot be read.
    """
    if decisions is None:
        return Claim("ledger", LEDGER, UNCHECKED, reason="decisions.json is gone or damaged")
    of_run = replace_record(bench, run=run)
    info, targets = bench.dataset.info, bench.dataset.targets.numpy()
    wrong, lost, counted = [], 0, 0
    earlier: list[Evidence] = []
    for number, decision in enumerate(decisions, 1):
        grown = decision.chosen != decision.incumbent
        said = f"decision {number} ({decision.question}; {decision.verdict})"
        if decision.effect is None:
            if not follows(decision.verdict, grown, None, 1.0):
                wrong.append(f"{said} claims more than nothing measured allows")
            continue
        before = tuple(earlier)
        earlier += evidence_of(decision, info.metric)
        try:
            sides = [run.load_recipe(digest) for digest in (decision.incumbent, decision.candidate)]
        except InputError:
            lost += 1
            continue
        runs = [[kept_run(of_run, side, seed) for side in sides] for seed in range(MOST_SEEDS)]
        pairs = [(old, new) for old, new in runs if old is not None and new is not None][: decision.num_seeds]
        if len(pairs) < max(2, decision.num_seeds):
            lost += 1
            continue
        found = judge(
            pairs, targets, info, len(bench.dataset.splits.held_out(0)[0]), before, decision.looks, bench.dataset.splits
        )
        counted += 1
        numbers = ((decision.effect, found.found.effect), (decision.p_better, found.judged.p_better))
        for stated, again in numbers:
            if stated is None or not math.isclose(stated, again, rel_tol=1e-6, abs_tol=1e-9):
                wrong.append(f"{said}: stated {stated}, counted again {again:.6g}")
                break
        else:
            if not follows(decision.verdict, grown, found.judged, found.error):
                wrong.append(f"{said}: P(better) {found.judged.p_better:.3f} says otherwise")
    reason = "; ".join(wrong[:MOST_NAMED])
    if not wrong and lost:
        reason = f"{lost} without predictions in artifacts/evidence"
    measured = sum(d.effect is not None for d in decisions)
    verdict = FAILS if wrong else HOLDS if counted == measured else UNCHECKED
    return Claim(
        "ledger", LEDGER, verdict, f"{measured} measured", f"{counted} counted again", f"{EXACT:g} of it", reason
    )


def kept_shapes(run: RunDir) -> dict[str, Any]:
    """The facts of the run's network shapes that can be read, by file name."""
    found = {}
    for path in sorted((run.artifacts / "shapes").glob("*.json")):
        try:
            found[path.name] = read_json(path)
        except InputError:
            continue
    return found
