"""Records of what was found, measured and decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that inspection saw in the data."""

    kind: str
    """A short name, such as `missing_values`."""
    found: str
    """What was found, with counts and examples."""
    done: str = ""
    """What is done about it."""
    otherwise: str = ""
    """What to type to have it otherwise."""
    warn: bool = False
    """Whether the user should look at it."""
    rows: tuple[int, ...] = ()
    """A few examples that show it: their numbers in the data set; of a pair the earlier one first."""


@dataclass(frozen=True)
class TargetScale:
    """How the targets of a regression become what a network is trained on, and its outputs predictions.

    Trained on: (f(y) - mean) / std, where f is the identity, or sign(y) log(1 + |y| / log_unit).
    """

    log_unit: float = 0.0
    """0: f is the identity."""
    mean: float = 0.0
    """Of f(y) over train."""
    std: float = 1.0
    low: float | None = None
    """No prediction is below this, in the user's unit."""
    high: float | None = None
    link: str = "identity"
    """What the network's last layer ends with: `identity`, `sigmoid` (between `low` and `high`), or `exp` (above 0;
    the loss is then the Poisson deviance)."""


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set: what families, checks and plans may know."""

    name: str
    modality: str
    """`image` or `table`."""
    task: str
    """`binary`, `multiclass`, `multilabel` or `regression`."""
    task_reason: str
    metric: str
    metric_reason: str
    num_examples: dict[str, int]
    """Examples in `train`, `val`, `confirm` and `test`."""
    classes: tuple[str, ...] = ()
    """The classes, or the labels of `multilabel`; empty for regression."""
    class_counts: tuple[int, ...] = ()
    """Examples of each class or label, test left out."""
    resolution: int = 0
    channels: int = 0
    resolution_reason: str = ""
    pixel_mean: tuple[float, ...] = ()
    """Mean of each channel over the training images, 0 to 255."""
    pixel_std: tuple[float, ...] = ()
    num_numbers: int = 0
    """Numeric input features of a table, missing-value signals included."""
    cardinalities: tuple[int, ...] = ()
    """Number of codes of each categorical column; code 0 is "missing or unseen"."""
    bins: tuple[tuple[float, ...], ...] = ()
    """Quantile edges of each numeric feature after scaling, for piecewise-linear embeddings."""
    target: str = ""
    group: str = ""
    """Column of what belongs together, as `--group` says."""
    time: str = ""
    """Column that orders the rows, as `--time` says."""
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    """Columns that stay, and that are left out, as the user said."""
    files: dict[str, Any] = field(default_factory=dict)
    """How `pandas.read_csv` reads each file of a table, by its name: arguments; none for Parquet."""
    target_as_text: bool = False
    """Whether a table's target is a column of texts, such as `$5` or classes."""
    target_scale: TargetScale = TargetScale()
    cross_validated: bool = False
    """Whether confirm is replaced by fresh folds (under 5,000 examples)."""
    findings: tuple[Finding, ...] = ()
    digest: str = ""
    """Digest of the examples and their targets."""

    @property
    def num_outputs(self) -> int:
        """Outputs of the network: one a class or label, or one for regression."""
        return 1 if self.task == "regression" else len(self.classes)


@dataclass(frozen=True)
class CheckResult:
    """One check of the training loop."""

    name: str
    passed: bool
    measured: str
    expected: str
    advice: str = ""
    decided: bool = True
    """False: there was too little time to say."""


@dataclass(frozen=True)
class CurvePoint:
    """The state of a training run at one moment."""

    step: int
    seconds: float
    lr: float
    train_loss: float
    """Mean training loss since the point before."""
    score: float | None = None
    """The metric on the scored examples, if they were scored here."""
    loss: float | None = None
    """The unregularised loss on the scored examples."""


@dataclass(frozen=True)
class TrainResult:
    """How one training run ended."""

    state: str
    """`complete`, `pruned`, `diverged`, `out_of_memory` or `stopped`."""
    steps: int
    seconds: float
    score: float | None
    loss: float | None
    train_score: float | None = None
    """The metric on as many training examples, without augmentation."""
    train_loss: float | None = None
    num_params: int = 0
    curve: tuple[CurvePoint, ...] = ()
    reason: str = ""
    """Why a run did not complete."""


@dataclass(frozen=True)
class LRRange:
    """What the learning-rate range test found for one shape and optimizer."""

    suggestion: float
    """The learning rate to start from."""
    reason: str
    lrs: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    """Smoothed median loss at each learning rate."""
    spread: float = 0.0
    """Standard deviation of the suggestions of single seeds, in log10."""
    flat: bool = False
    """Whether the curve gave no suggestion."""
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()
    """The band of the seeds' smoothed losses at each learning rate."""
    rules: Mapping[str, float] = field(default_factory=dict)
    """What each rule reads off the median curve."""
    interval: tuple[float, float] | None = None
    """Learning rates that are nearly as good as the best of a race, as far as it went; None: there was none."""
    race_lrs: tuple[float, ...] = ()
    race_losses: tuple[float, ...] = ()
    """Mean loss of the race's runs at each of its rates; infinite where one diverged."""
    steps: int = 0
    """Training steps of all its runs."""


def in_words(verdict: str, same_network: bool) -> str:
    """A verdict as it is shown: of two recipes of one network neither is the smaller."""
    return verdict.replace("kept the smaller", "kept as it was") if same_network else verdict


@dataclass(frozen=True)
class Decision:
    """The answer to one question, with the evidence (a row of `decisions.json`)."""

    stage: str
    question: str
    incumbent: str
    """Digest of the recipe carried into the question."""
    candidates: tuple[str, ...]
    """Digests of the recipes that were tried."""
    candidate: str
    """Digest of the recipe that was compared with the incumbent."""
    study: str
    trials: tuple[int, ...]
    effect: float | None
    """Gain of the candidate in the metric, positive is better; None if it was not measured."""
    standard_error: float | None
    interval: tuple[float, float] | None
    """90 % interval of the effect."""
    p_better: float | None
    num_examples: int
    num_seeds: int
    seconds: float
    verdict: str
    reason: str
    chosen: str
    """Digest of the recipe carried out of the question."""
    scores: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Held-out scores of each seed, for `incumbent` and `candidate`."""
    held_out: str = "confirm"
    """`confirm`, or `cross-validated` for small data."""
    diagnosis: str = ""
    next_stage: str = ""
    candidate_score: float | None = None
    """Search score (val) of the candidate, which is optimistic: it won there."""
    num_params: int = 0
    """Parameters of the chosen network."""
    judged_by: str = ""
    """What `p_better` and the verdict rest on: the metric, or `log_loss` where that is too coarse."""
    looks: int = 0
    """How often the fresh seeds were looked at: 2 if the first seeds did not decide."""
    example_variance: float = 0.0
    """Part of the effect's variance that comes from the choice of held-out examples."""
    parts: int = 0
    """Different held-out parts among the seeds."""
    overlap: float = 0.0
    """Held-out examples over those trained on."""
    steps: int = 0
    """Of the shorter of the two trainings that were compared; 0: nothing was measured."""
    losses: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Log losses of each seed after temperature scaling, for `incumbent` and `candidate`; empty for a regression."""
    loss_example_variance: float = 0.0
    loss_interval: tuple[float, float] | None = None
    """90 % interval of the gain in log loss."""
    expected: tuple[float, float] | None = None
    """Relative gain of the candidate that is expected at the end of the finish, and its standard deviation."""

    @property
    def adopted(self) -> bool:
        """Whether another recipe was carried out of the question than into it."""
        return self.chosen == self.candidate != self.incumbent

    @property
    def risked(self) -> bool:
        """Whether what was adopted is not expected to be better, only likely enough: the race is to tell."""
        return self.adopted and self.expected is not None and self.expected[0] <= 0
