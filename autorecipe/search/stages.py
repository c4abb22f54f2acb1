"""Stages and their order, as data; and the diagnosis that chooses between them."""

from dataclasses import dataclass

from autorecipe.data.metrics import gain
from autorecipe.results import TrainResult

UNDERFITTING = "underfitting"
OVERFITTING = "overfitting"
UNSTABLE = "unstable"
NOISE_FLOOR = "at the noise floor"
FITTING = "fitting"


@dataclass(frozen=True)
class Stage:
    """One stage of the search."""

    name: str
    trials: int
    """Trials of one question."""
    failures: int
    """The stage ends after so many questions in a row without an adoption."""
    most: int
    """The most questions of the stage."""
    asks: str
    """What the stage is for, in words."""


STAGES = (
    Stage("small", 8, 3, 2, "how far does the smallest sensible network go?"),
    Stage("width", 6, 2, 6, "does a network twice as wide pay?"),
    Stage("depth", 6, 2, 6, "does one more block pay, and where?"),
    Stage("regularize", 9, 1, 1, "which regularization helps, and how strong?"),
    Stage("regrow", 5, 1, 1, "does the regularised network want more width?"),
)
"""The order when nothing speaks against it; `finish` follows."""


FEW_EPOCHS = 12.0
"""In fewer epochs than these no network of ours has learned its training data by heart."""
MANY_DIVERGED = 1 / 3
"""Share of diverged trials that makes a question's training unstable."""


@dataclass(frozen=True)
class Transition:
    """A diagnosis after a stage that changes the order, or the recipe."""

    stage: str
    diagnosis: str
    go: str
    """The stage that comes next."""
    reason: str
    changes: tuple[tuple[str, float], ...] = ()
    """Changes to the incumbent's fields: the factor for `optimizer.lr`, the value for others."""


TRANSITIONS = (
    Transition("small", OVERFITTING, "regularize", "a larger network would overfit more: regularise first"),
    Transition("small", NOISE_FLOOR, "regularize", "nothing is left that more capacity could explain"),
    Transition("width", OVERFITTING, "regularize", "a deeper network would overfit more: regularise first"),
    Transition("width", NOISE_FLOOR, "regularize", "nothing is left that more capacity could explain"),
    Transition(
        "depth", UNDERFITTING, "finish", "the network cannot even fit its training data: it needs no regularization"
    ),
    Transition("depth", NOISE_FLOOR, "finish", "differences are below what the held-out examples can show"),
    Transition(
        "small",
        UNSTABLE,
        "width",
        "a lower learning rate and clipped gradients",
        (("optimizer.lr", 0.5), ("optimizer.clip_norm", 1.0)),
    ),
    Transition(
        "width",
        UNSTABLE,
        "depth",
        "a lower learning rate and clipped gradients",
        (("optimizer.lr", 0.5), ("optimizer.clip_norm", 1.0)),
    ),
    Transition(
        "depth",
        UNSTABLE,
        "regularize",
        "a lower learning rate and clipped gradients",
        (("optimizer.lr", 0.5), ("optimizer.clip_norm", 1.0)),
    ),
)


def names_after(stage: str) -> list[str]:
    """The stages after `stage`, in their usual order."""
    names = [s.name for s in STAGES]
    return names[names.index(stage) + 1 :]


def following(stage: str, diagnosis: str, done: tuple[str, ...]) -> tuple[str, Transition | None]:
    """The stage after `stage`, and the transition that chose it, if one did.

    Args:
        stage: the stage that ended.
        diagnosis: of the incumbent.
        done: stages that have run; none runs twice.
    """
    for transition in TRANSITIONS:
        if (transition.stage, transition.diagnosis) == (stage, diagnosis) and transition.go not in done:
            return transition.go, transition
    for name in names_after(stage):
        if name not in done:
            return name, None
    return "finish", None


def diagnose(
    result: TrainResult,
    metric: str,
    wrong: int | None,
    num_scored: int,
    epochs: float,
    finish_epochs: float,
    diverged: float = 0.0,
) -> tuple[str, str]:
    """What the curves of the incumbent say, with the reason.

    Args:
        result: the incumbent's training run, with losses on training and on held-out examples.
        metric: the metric's name.
        wrong: held-out examples that are wrong; None where the metric does not count them.
        num_scored: held-out examples.
        epochs: of the run.
        finish_epochs: what the finish will have.
        diverged: share of the last question's trials that diverged.
    """
    lowest = min((p for p in result.curve if p.loss is not None), key=lambda p: p.loss or 0.0, default=None)
    training = [p.train_loss for p in result.curve]
    if result.state == "diverged":
        return UNSTABLE, result.reason
    if diverged >= MANY_DIVERGED:
        return UNSTABLE, f"{diverged:.0%} of the last question's trials diverged"
    later = training[len(training) // 3 :]
    if len(later) > 2 and max(later) > 1.5 * max(training[0], 1e-9):
        return UNSTABLE, f"the training loss rose from {training[0]:.3g} to {max(later):.3g}"
    if result.loss is None or result.train_loss is None or lowest is None or lowest.loss is None:
        return FITTING, "no curve to judge by"
    if wrong is not None and wrong < 2:
        return NOISE_FLOOR, f"fewer than 2 of {num_scored} held-out examples are wrong"
    gap = result.loss - result.train_loss
    # A network that only becomes too sure of itself has a rising loss and a metric that still improves; but of a loss
    # above the one that training began with nothing can be said to have been learned, whatever a few examples say.
    improved = result.score is not None and lowest.score is not None and gain(metric, result.score, lowest.score) > 0
    surer = improved and result.loss < training[0]
    if result.loss > 1.1 * lowest.loss and result.train_loss < 0.5 * result.loss and not surer:
        return OVERFITTING, (
            f"the held-out loss rose from {lowest.loss:.3g} to {result.loss:.3g}, "
            f"while the training loss fell to {result.train_loss:.3g}"
        )
    if gap < 0.1 * result.loss and finish_epochs < FEW_EPOCHS:
        return (
            UNDERFITTING,
            f"training loss {result.train_loss:.3g} is hardly below the held-out loss {result.loss:.3g}",
        )
    return FITTING, f"training loss {result.train_loss:.3g}, held-out loss {result.loss:.3g} after {epochs:.1f} epochs"
