"""Search spaces: what each stage may try, from `search_spaces/*.yaml` or the user's copy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_record
from importlib import resources
from pathlib import Path
from typing import Any

from autorecipe.data import Dataset
from autorecipe.data.metrics import METRICS
from autorecipe.data.targets import range_text
from autorecipe.errors import InputError, did_you_mean
from autorecipe.networks import family
from autorecipe.recipe import Recipe, field_names, from_dict, get, replace
from autorecipe.recipe_checks import check_recipe
from autorecipe.results import DatasetInfo
from autorecipe.yaml_text import read_file, read_yaml

FORMAT = 1
LR_FACTOR = "lr_factor"
STAGE_NAMES = ("small", "width", "depth", "regularize")
_CLASSIFICATION_ONLY = ("regularization.label_smoothing", "regularization.class_weights")
LEAST_TRIALS = 3
"""The incumbent and two others."""
UNEQUAL = 3.0
"""Class weights are tried where the largest class has more than so many times the examples of the smallest."""


@dataclass(frozen=True)
class StageSpace:
    """What one stage may try."""

    vary: dict[str, Any] = field(default_factory=dict)
    """Recipe field, or `lr_factor`, to a list of choices or a range {low, high, log}."""
    known: tuple[dict[str, Any], ...] = ()
    """Points that are tried first: changes to the incumbent; fields not named keep its values."""
    trials: int | None = None
    """Trials of the stage's question; none: as many as `stages.STAGES` says."""
    embeddings: tuple[dict[str, Any], ...] = ()
    """Small stage, tables: changes to the network's embedding of numbers, compared in longer trials."""
    factors: tuple[int, ...] = (2,)
    """Width stage: how many times as wide."""
    kernels: tuple[int, ...] = (3,)
    """Depth stage: kernel sizes of a new block."""
    widths: tuple[float, ...] = (1.0,)
    """Depth stage: width of a new block, as a multiple of its neighbour's."""


@dataclass(frozen=True)
class Space:
    """A whole search space file."""

    modality: str
    family: str
    stages: dict[str, StageSpace]
    start: dict[str, Any] = field(default_factory=dict)
    """Fields of the starting recipe."""
    format: int = FORMAT


def shipped_path(modality: str) -> Path:
    """Where the shipped space lies: inside the wheel, or at the top of a checkout."""
    packaged = Path(str(resources.files("autorecipe"))) / "search_spaces" / f"{modality}.yaml"
    if packaged.exists():
        return packaged
    return Path(__file__).resolve().parents[2] / "search_spaces" / f"{modality}.yaml"


def load_space(modality: str, path: Path | str | None = None) -> Space:
    """The shipped space for a kind of data, or the user's file.

    Raises:
        InputError: the file cannot be read, has an unknown key or does not fit the data.
    """
    file = Path(path) if path is not None else shipped_path(modality)
    data = read_yaml(read_file(file, "the space file"), f"the space file {file}")
    try:
        space = from_dict(Space, data)
        assert isinstance(space, Space)
        _check(space)
    except InputError as error:
        raise InputError(f"the space file {file}: {error}") from error
    check_modality(space, modality, file)
    return space


def check_modality(space: Space, modality: str, file: Path | str) -> None:
    """Refuse a space for another kind of data.

    Raises:
        InputError: with both kinds.
    """
    if space.modality != modality:
        raise InputError(
            f"the space file {file} is for {space.modality}s, but the data set holds {modality}s; "
            f"give a copy of search_spaces/{modality}.yaml"
        )


def modality_of(path: Path | str) -> str:
    """The kind of data that a space file names; `image` where it names none, for `load_space` to refuse."""
    try:
        data = read_yaml(read_file(path, "the space file"), str(path))
    except InputError:
        return "image"
    return str(data.get("modality", "image")) if isinstance(data, dict) else "image"


def _check(space: Space) -> None:
    if space.format != FORMAT:
        raise InputError(f"format {space.format} is not known; this version reads format {FORMAT}")
    for stage, content in space.stages.items():
        if stage not in STAGE_NAMES:
            raise InputError(f"unknown stage '{stage}': {did_you_mean(stage, STAGE_NAMES)}")
        _check_growth(content, stage)
        for name, values in content.vary.items():
            _check_field(name, f"stages.{stage}.vary", allowed=(LR_FACTOR,))
            if isinstance(values, Mapping):
                if name != LR_FACTOR and not isinstance(get(Recipe(), name), float):
                    raise InputError(f"stages.{stage}.vary.{name} takes a list of choices, for it is not a real number")
                _check_range(values, f"stages.{stage}.vary.{name}")
                for value in (values["low"], values["high"]):
                    _check_value(name, value, f"stages.{stage}.vary")
            elif not isinstance(values, list) or not values:
                raise InputError(f"stages.{stage}.vary.{name} must be a list of choices or {{low, high, log}}")
            else:
                for value in values:
                    _check_value(name, value, f"stages.{stage}.vary")
        for point in content.known:
            for name, value in point.items():
                _check_field(name, f"stages.{stage}.known", allowed=(LR_FACTOR,))
                _check_value(name, value, f"stages.{stage}.known")
        for point in content.embeddings:
            for name, value in point.items():
                if not name.startswith("network.embedding"):
                    raise InputError(
                        f"stages.{stage}.embeddings takes network.embedding and its settings, not '{name}'"
                    )
                _check_field(name, f"stages.{stage}.embeddings")
                _check_value(name, value, f"stages.{stage}.embeddings")
    for name, value in space.start.items():
        _check_field(name, "start")
        _check_value(name, value, "start")


def _check_value(name: str, value: Any, where: str) -> None:
    if name != LR_FACTOR:
        check_recipe(replace(Recipe(), {name: value}))
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InputError(f"{where}.{LR_FACTOR} must be a number above zero, found {value!r}")


def _check_growth(content: StageSpace, stage: str) -> None:
    if content.trials is not None and content.trials < LEAST_TRIALS:
        raise InputError(f"stages.{stage}.trials must be {LEAST_TRIALS} or more, found {content.trials}")
    if any(factor < 2 for factor in content.factors):
        raise InputError(f"stages.{stage}.factors must be 2 or more, found {list(content.factors)}")
    if any(kernel < 1 or kernel % 2 == 0 for kernel in content.kernels):
        raise InputError(f"stages.{stage}.kernels must be odd, found {list(content.kernels)}")
    if any(not 0 < width < math.inf for width in content.widths):
        raise InputError(f"stages.{stage}.widths must be above zero, found {list(content.widths)}")


def _check_field(name: str, where: str, allowed: tuple[str, ...] = ()) -> None:
    if name not in allowed and name not in field_names():
        raise InputError(f"unknown key '{name}' in {where}: {did_you_mean(name, [*field_names(), *allowed])}")


def _check_range(values: Mapping[str, Any], where: str) -> None:
    for key in values:
        if key not in ("low", "high", "log"):
            raise InputError(f"unknown key '{where}.{key}': {did_you_mean(str(key), ('low', 'high', 'log'))}")
    low, high = values.get("low"), values.get("high")
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)) or not -math.inf < low < high < math.inf:
        raise InputError(f"{where} needs numbers low < high, found low={low!r}, high={high!r}")
    if values.get("log") and low <= 0:
        raise InputError(f"{where}: a log range needs low > 0, found {low!r}")


SHIFT = "regularization.crop"
SHIFT_PARTS = 28
"""A space file gives shifts in parts of the image's side, so that one file suits all sizes; a recipe, in pixels."""


def pixels(shift: int, side: int) -> int:
    """A space file's shift for images of so many pixels: a pixel at least, half the image at most."""
    return min(max(1, round(shift * side / SHIFT_PARTS)), side // 2) if shift else 0


def in_pixels(fields: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    """A space file's fields or choices of fields, as recipes have them."""
    here = dict(fields)
    if isinstance(here.get(SHIFT), list):
        here[SHIFT] = list(dict.fromkeys(pixels(shift, info.resolution) for shift in here[SHIFT]))
    elif SHIFT in here:
        here[SHIFT] = pixels(here[SHIFT], info.resolution)
    return here


def varied(stage: StageSpace, info: DatasetInfo) -> dict[str, Any]:
    """The fields that a stage varies on this data set: what cannot matter is left out."""
    fields = in_pixels(stage.vary, info)
    if info.task == "regression":
        for name in _CLASSIFICATION_ONLY:
            fields.pop(name, None)
    elif not (METRICS[info.metric].balanced and unequal(info)):
        fields.pop("regularization.class_weights", None)
    if info.modality == "table" and info.num_numbers == 0:
        fields.pop("network.embedding", None)
    return fields


def unequal(info: DatasetInfo) -> bool:
    """Whether some classes, or the two values of some label, have far fewer examples than others."""
    counts = [max(1, count) for count in info.class_counts]
    if info.task == "multilabel":
        total = sum(info.num_examples.get(name, 0) for name in ("train", "val", "confirm"))
        return any(max(count, total - count) > UNEQUAL * max(1, min(count, total - count)) for count in counts)
    return max(counts) > UNEQUAL * min(counts)


def known_points(stage: StageSpace, info: DatasetInfo) -> tuple[dict[str, Any], ...]:
    """The points that a stage tries first on this data set: those that change nothing here are left out."""
    names = varied(stage, info)
    kept: list[dict[str, Any]] = []
    for point in stage.known:
        here = {name: value for name, value in in_pixels(point, info).items() if name in names}
        if (here or not point) and here not in kept:
            kept.append(here)
    return tuple(kept)


def data_fields(info: DatasetInfo, split_seed: int = 0) -> dict[str, Any]:
    """The recipe's fields that say what data it was made for."""
    return {
        "data.modality": info.modality,
        "data.task": info.task,
        "data.metric": info.metric,
        "data.target": info.target,
        "data.keep": info.keep,
        "data.drop": info.drop,
        "data.group": info.group,
        "data.time": info.time,
        "data.range": range_text(info.target_scale) if info.task == "regression" else "auto",
        "data.resolution": info.resolution,
        "data.channels": info.channels,
        "data.split_seed": split_seed,
        "data.digest": info.digest,
    }


def starting_recipe(space: Space, dataset: Dataset, split_seed: int = 0) -> Recipe:
    """What a search begins with: the smallest network of the space's family, and the space's priors.

    Raises:
        InputError: the family does not take such data.
    """
    info, chosen = dataset.info, family(space.family)
    if info.modality not in chosen.modalities:
        raise InputError(f"the family '{space.family}' does not take {info.modality}s")
    section = chosen.smallest(info)
    if unembedded(dataset):
        section = replace_record(section, embedding="none")
    return replace(Recipe(), {"network": section, **starting_changes(space, info), **data_fields(info, split_seed)})


FEW_VALUES = 32
"""Up to so many different values a number is a scale of steps rather than continuous."""


def unembedded(dataset: Dataset) -> bool:
    """Whether numbers enter as they are, and this is not asked: of classes, if none has over `FEW_VALUES` values.

    An embedding then knows each value by itself, and forgets that 7 lies between 6 and 8: it loses 5 % on average, with
    one of nine targets ahead by 1 % (`docs/log.md`), which is less than one long trial of each can see.
    """
    if dataset.info.modality != "table" or dataset.info.task == "regression":
        return False
    train = dataset.splits.train  # some 10,000 of its rows are looked at
    numbers = dataset.inputs[0][train[:: 1 + len(train) // 10_000]]
    return numbers.shape[1] > 0 and all(len(column.unique()) <= FEW_VALUES for column in numbers.T)


def starting_changes(space: Space, info: DatasetInfo) -> dict[str, Any]:
    """The fields of the starting recipe, fitted to the size of the data set."""
    changes = in_pixels(space.start, info)
    count = info.num_examples["train"]
    batch = int(changes.get("training.batch_size", 128))
    # A small data set needs a minimum of steps an epoch, or the averages and schedules are coarse.
    while batch > 16 and count / batch < 16:
        batch //= 2
    changes["training.batch_size"] = batch
    return changes
