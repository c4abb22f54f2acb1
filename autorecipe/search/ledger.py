"""The ledger: where the search stands, decision by decision."""

from dataclasses import dataclass, field
from typing import Any

from autorecipe.data.metrics import gain
from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, from_dict, to_dict, told_apart
from autorecipe.results import Decision, TrainResult
from autorecipe.rundir import RunDir, read_json, write_json
from autorecipe.search import decide, studies
from autorecipe.search.answer import Answer, sentence
from autorecipe.search.points import Question
from autorecipe.search.tried import recorded_result
from autorecipe.search.workbench import Workbench


@dataclass
class Progress:
    """Where the agent is: what the questions have answered so far."""

    incumbent: Recipe
    result: TrainResult | None = None
    runner_up: Recipe | None = None
    decisions: list[Decision] = field(default_factory=list)
    evidence: list[decide.Evidence] = field(default_factory=list)
    earlier: list[studies.Earlier] = field(default_factory=list)
    done: tuple[str, ...] = ()
    diverged: float = 0.0
    """Share of the last question's trials that diverged."""


def accept(bench: Workbench, question: Question, answer: Answer, progress: Progress) -> None:
    """Carry an answer on and write it down."""
    progress.decisions.append(answer.decision)
    progress.incumbent = answer.recipe
    progress.runner_up = answer.runner_up
    progress.result = answer.result or progress.result
    progress.diverged = answer.diverged
    progress.evidence += answer.evidence
    progress.earlier.append(studies.Earlier(answer.decision.study, _flat(answer.recipe)))
    save_decisions(bench.run, progress.decisions)
    bench.say(
        "decision",
        sentence=sentence(answer.decision, bench),
        verdict=answer.decision.verdict,
        stage=question.stage,
        question=question.text,
        chosen=told_apart(answer.recipe, question.incumbent)[0],
        reason=answer.decision.reason,
    )


def recall(bench: Workbench, progress: Progress, decision: Decision) -> None:
    """A decision of an earlier part of the run."""
    progress.decisions.append(decision)
    progress.incumbent = bench.run.load_recipe(decision.chosen)
    progress.result = recorded_result(bench, progress.incumbent) or progress.result
    other = decision.candidate if decision.chosen == decision.incumbent else decision.incumbent
    progress.runner_up = bench.run.load_recipe(other)
    progress.earlier.append(studies.Earlier(decision.study, _flat(progress.incumbent)))
    progress.diverged = 0.0
    progress.evidence += evidence_of(decision, bench.dataset.info.metric)


def carry_on(bench: Workbench, progress: Progress, winner: Recipe) -> None:
    """Go on with the winner of a race."""
    if winner != progress.incumbent:
        progress.incumbent, progress.result = winner, recorded_result(bench, winner)


def evidence_of(decision: Decision, metric: str) -> list[decide.Evidence]:
    """The evidence of a decision again, from what it has written down: seed variance is pooled over all questions."""
    found = []
    for measure, values in ((metric, decision.scores), ("log_loss", decision.losses)):
        old, new = values.get("incumbent", ()), values.get("candidate", ())
        if old and len(old) == len(new):
            differences = tuple(gain(measure, b, a) for a, b in zip(old, new, strict=True))
            error = decide.error_of(measure, sum(old) / len(old), max(1, decision.num_examples))
            variance = decision.example_variance if measure == metric else decision.loss_example_variance
            found.append(
                decide.Evidence(differences, variance, error, decision.parts, decision.overlap, measure, decision.steps)
            )
    return found


def _flat(recipe: Recipe) -> dict[str, Any]:
    """The scalar fields of a recipe by dotted name."""
    return {
        f"{section}.{name}": value
        for section, fields in to_dict(recipe).items()
        for name, value in fields.items()
        if isinstance(value, (int, float, str, bool))
    }


def save_decisions(run: RunDir, decisions: list[Decision]) -> None:
    """Write `decisions.json`."""
    write_json(run.decisions, [to_dict(d) for d in decisions])


def load_decisions(run: RunDir) -> list[Decision]:
    """The decisions of an earlier part of the run.

    Raises:
        InputError: the file is damaged.
    """
    if not run.decisions.exists():
        return []
    rows = read_json(run.decisions)
    if not isinstance(rows, list):
        raise InputError(f"{run.decisions} is damaged: it holds no list; put back a copy of it, or begin a new run")
    return [from_dict(Decision, row, f"decisions.json {i}") for i, row in enumerate(rows)]


def search_score(progress: Progress) -> float | None:
    """The search score of the incumbent."""
    return progress.result.score if progress.result is not None else None


def cross_validated(run: RunDir, progress: Progress) -> float | None:
    """Mean held-out score of the incumbent's decision runs, where there is no confirm split.

    An unstable stage may have changed its learning rate since; of another network, as after a race, there is none.
    """
    incumbent = progress.incumbent
    known = {digest for decision in progress.decisions for digest in (decision.candidate, decision.incumbent)}
    digest = incumbent.digest
    if digest not in known and progress.decisions:
        digest = progress.decisions[-1].chosen
        last = run.load_recipe(digest)
        if (last.network, last.regularization) != (incumbent.network, incumbent.regularization):
            return None
    for decision in reversed(progress.decisions):
        for who, name in ((decision.candidate, "candidate"), (decision.incumbent, "incumbent")):
            if who == digest and decision.scores.get(name):
                values = decision.scores[name]
                return sum(values) / len(values)
    return None
