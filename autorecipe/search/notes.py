"""What the dashboard says in words, in Markdown: a note for each study and for each trial."""

from fractions import Fraction

from autorecipe.clock import amount
from autorecipe.data.metrics import direction
from autorecipe.recipe import Recipe, dump_yaml
from autorecipe.results import DatasetInfo, Decision, LRRange, TrainResult, in_words
from autorecipe.search.points import Question
from autorecipe.search.workbench import RUNGS


def question_note(question: Question, info: DatasetInfo, unit: str) -> str:
    """The note of a study whose question is open.

    Args:
        question: what is asked.
        info: of the data.
        unit: of a trial's share: `seconds` or `epochs`.
    """
    return "\n\n".join((_title(question), "Not decided yet.", _legend(question, info, unit)))


def answer_note(
    question: Question, decision: Decision, found: str, networks: tuple[str, str], info: DatasetInfo, unit: str
) -> str:
    """The note of a study whose question is decided.

    Args:
        question: what was asked.
        decision: the answer.
        found: what was measured, in words; empty if nothing was.
        networks: incumbent's and candidate's networks in a few words.
        info: of the data.
        unit: of a trial's share: `seconds` or `epochs`.
    """
    incumbent, candidate = (
        f"{network} (recipe `{digest}`)"
        for network, digest in zip(networks, (decision.incumbent, decision.candidate), strict=True)
    )
    adopted = decision.adopted
    verdict = in_words(decision.verdict, networks[0] == networks[1])
    facts = {"Verdict": f"**{verdict}**", "Finding": found or "nothing was measured on fresh seeds"}
    if decision.interval is not None:
        low, high = decision.interval
        facts["Effect"] = f"{decision.effect:+.4g} in {info.metric}, 90 % interval {low:+.4g} to {high:+.4g}"
    facts["Why"] = decision.reason
    facts["Incumbent"] = incumbent
    if decision.candidate != decision.incumbent:
        facts["Candidate"] = candidate
    facts["The search goes on with"] = "the candidate" if adopted else "the incumbent"
    return "\n\n".join((_title(question), _list(facts), _legend(question, info, unit)))


def trial_note(
    recipe: Recipe, result: TrainResult, suggested: LRRange, network: str, metric: str, reused: bool = False
) -> str:
    """The note of a trial that has ended.

    Args:
        recipe: what was trained.
        result: how it ended.
        suggested: the learning rate that the trial's factor multiplies.
        network: the network in a few words.
        metric: the metric's name.
        reused: whether the same recipe had been trained before, so that its result was taken.
    """
    ended = f"**{result.state.replace('_', ' ')}**"
    if result.reason:
        ended += f": {' '.join(result.reason.split())}"
    elif result.score is not None:
        ended += f": {metric} {result.score:.4g} on val"
    factor = recipe.optimizer.lr / suggested.suggestion
    steps = f"{result.steps:,} of {recipe.training.steps:,} steps of {recipe.training.batch_size} examples"
    facts = {
        "Network": f"{network}, {result.num_params:,} parameters",
        "Learning rate": f"{recipe.optimizer.lr:.4g}, {factor:.3g} times the suggested {suggested.suggestion:.3g}",
        f"Why {suggested.suggestion:.3g}": suggested.reason,
        "Training": "none: this recipe had been trained before" if reused else f"{steps}, {result.seconds:.1f} s",
    }
    parts = [ended, _list(facts)]
    if result.curve:
        parts.append(_curve(result, metric))
    parts.append(f"Recipe `{recipe.digest}`:\n\n```yaml\n{dump_yaml(recipe, compact=True)}```")
    return "\n\n".join(parts)


def _title(question: Question) -> str:
    return f"## {question.text}\n\nQuestion {question.number}, stage {question.stage}"


def _list(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in facts.items())


def _curve(result: TrainResult, metric: str) -> str:
    """A training curve as a table."""
    # The dashboard sets columns close to each other: a space keeps their titles apart.
    titles = ("step", "learning rate", "training loss", "loss on val", f"{metric} on val")
    rows = ["| " + " | ".join(f"&emsp;{title}" for title in titles) + " |", "|---:|---:|---:|---:|---:|"]
    for p in result.curve:
        held_out = " | ".join("" if value is None else f"{value:.4f}" for value in (p.loss, p.score))
        rows.append(f"| {p.step:,} | {p.lr:.3g} | {p.train_loss:.4f} | {held_out} |")
    return "\n".join(rows)


def _legend(question: Question, info: DatasetInfo, unit: str) -> str:
    """How to read a study."""
    rungs = ", ".join(str(Fraction(share)) for share in RUNGS)
    return "\n".join(
        (
            "### How to read this study",
            f"- A trial's value is the {info.metric} on val ({direction(info.metric)}) after {amount(question.share)} "
            f"{unit} of training, the same for all.",
            f"- Its intermediate values at steps 0, 1, 2 were read after {rungs} of its training; a trial among "
            "the worse half is stopped there: *pruned*. Its note says why.",
            "- The learning rate `lr` is `lr_suggested` times `lr_factor`; `lr_reason` says where the former is from.",
            "- `known` trials are the incumbent and known-good points, which are never pruned; `quasi_random` ones "
            "are spread evenly; TPE chose the others.",
            "- `carried_from` trials ran in an earlier study. Their values are shifted to the level of this one: they "
            "only teach TPE.",
        )
    )
