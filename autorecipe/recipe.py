"""The recipe: the full specification of one training run.

A trial's configuration, the incumbent, `recipe.yaml` and the input of `replay` are this one type.
A stage changes a recipe with `replace(recipe, {"network.width": 32})`.
"""

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from autorecipe.errors import InputError, did_you_mean
from autorecipe.recipe_checks import check_recipe
from autorecipe.yaml_text import read_file, read_yaml, write_yaml

FORMAT = 1
Scalar = str | int | float | bool


@dataclass(frozen=True)
class DataSection:
    """What the recipe was made for; `replay` refuses a data set that does not fit."""

    modality: str = "table"
    """`image` or `table`."""
    task: str = "multiclass"
    """`binary`, `multiclass`, `multilabel` or `regression`."""
    metric: str = "accuracy"
    """The metric that decisions are taken in."""
    target: str = ""
    """The target's column, for tables."""
    keep: tuple[str, ...] = ()
    """Columns that stay although they look useless."""
    drop: tuple[str, ...] = ()
    """Columns that are left out."""
    group: str = ""
    """Column of what no split may divide."""
    time: str = ""
    """Column by which the splits are ordered."""
    range: str = "auto"
    """Bounds of a regression's target: `LO,HI`, `none`, or `auto` (found from the data)."""
    resolution: int = 0
    """Side of the images in pixels; 0 for tables."""
    channels: int = 0
    """1 for grey, 3 for colour; 0 for tables."""
    split_seed: int = 0
    """Seed of the splits."""
    digest: str = ""
    """The data's digest when the recipe was made."""


@dataclass(frozen=True)
class Block:
    """One block of a network: a residual block of a `resnet`, a hidden layer of an `mlp`."""

    width: int
    """Channels or features that leave the block."""
    kernel: int = 3
    """Kernel size in pixels, for convolutions."""
    stride: int = 1
    """Stride of the block's first convolution."""


@dataclass(frozen=True)
class NetworkSection:
    """Which network; the family's `build` turns it into a `torch.nn.Module`."""

    family: str = "linear"
    """A name in `autorecipe.networks.FAMILIES`."""
    width: int = 0
    """Channels of the stem or features of the first layer: the number that `wider` doubles."""
    blocks: tuple[Block, ...] = ()
    """The body, from input to output."""
    stem_kernel: int = 3
    """Kernel size of the first convolution."""
    stem_stride: int = 1
    """Stride of the stem: 1, 2 or 4."""
    embedding: str = "none"
    """Numerical embedding for tables: `none`, `periodic` or `piecewise`."""
    embedding_width: int = 16
    """Features per embedded number."""
    embedding_scale: float = 0.05
    """Initial scale of the frequencies of periodic embeddings."""
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Anything a user's own family wants."""


@dataclass(frozen=True)
class OptimizerSection:
    """The optimizer and its constants."""

    name: str = "adamw"
    """`adamw` or `sgd` (Nesterov)."""
    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.0
    """Decoupled weight decay, on matrices and kernels only."""
    beta1: float = 0.9
    """First moment of AdamW; momentum of SGD."""
    beta2: float = 0.99
    """Second moment of AdamW."""
    clip_norm: float = 0.0
    """Largest gradient norm; 0: off."""


@dataclass(frozen=True)
class ScheduleSection:
    """The learning rate over the steps."""

    name: str = "wsd"
    """`wsd` (warm-up, stable, decay: comparable while stable), `cosine` or `constant`."""
    warmup: float = 0.15
    """Share of the steps over which the learning rate rises."""
    cooldown: float = 0.4
    """Share of the steps over which it falls to zero (`wsd`)."""


@dataclass(frozen=True)
class TrainingSection:
    """How long, on what and with which numbers."""

    steps: int = 100
    """Optimizer steps."""
    batch_size: int = 128
    """Examples in a step."""
    seed: int = 0
    """Seed of initialisation, order and augmentation."""
    train_on: str = "train"
    """`train`; for the final model `train+val`, or `train+val+confirm` where the latest examples count most."""
    precision: str = "fp32"
    """`fp32` or `bf16` (autocast)."""
    channels_last: bool = False
    """Memory layout of images."""


@dataclass(frozen=True)
class RegularizationSection:
    """Every regularizer; each default is off."""

    dropout: float = 0.0
    """Share of features dropped before the last layer (`resnet`) or after each layer (`mlp`)."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    mixup: float = 0.0
    """Beta parameter of mixup (Zhang et al. 2018)."""
    crop: int = 0
    """Pixels by which images are shifted at random."""
    flip: bool = False
    """Whether images are mirrored left to right at random."""
    erase: float = 0.0
    """Share of images in which a random rectangle is erased (Zhong et al. 2020)."""
    class_weights: float = 0.0
    """How far rare classes count for more: 1 makes every class count alike, 0.5 takes the square root."""
    averaging: float = 0.0
    """Averaged weights: the window as a share of the steps so far."""


@dataclass(frozen=True)
class FinishSection:
    """What is done with the trained model; each only if it helped on confirm."""

    members: int = 1
    """Networks of this recipe, with seeds that follow each other, that are trained at once and whose predictions are
    averaged."""
    flip_tta: bool = False
    """Average the predictions for an image and its mirror image."""
    shift_tta: int = 0
    """Pixels; average the predictions for an image and for it shifted up, down, left and right. 0: off."""
    temperature: float = 1.0
    """The logits are divided by it."""
    thresholds: tuple[float, ...] = ()
    """Probability from which on each label, or the second of two classes, is said; empty: 0.5."""


@dataclass(frozen=True)
class Recipe:
    """The full specification of one training run."""

    data: DataSection = DataSection()
    network: NetworkSection = NetworkSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    training: TrainingSection = TrainingSection()
    regularization: RegularizationSection = RegularizationSection()
    finish: FinishSection = FinishSection()

    @functools.cached_property
    def digest(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the recipe's canonical JSON."""
        text = json.dumps(to_dict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_dict(record: Any) -> Any:
    """Plain dicts, lists and scalars of a record."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_dict(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): to_dict(value) for key, value in record.items()}
    if isinstance(record, (tuple, list)):
        return [to_dict(item) for item in record]
    return record


def from_dict(kind: type[Any], data: object, where: str = "") -> Any:
    """Build a record of `kind` from plain data, strictly.

    Args:
        kind: a frozen dataclass.
        data: what YAML or JSON gave.
        where: the dotted path so far, for errors.

    Raises:
        InputError: an unknown key, a missing key or a value of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{where or kind.__name__} must be a mapping of names to values, found {_show(data)}")
    hints = _hints(kind)  # type: ignore[arg-type]
    names = [f.name for f in dataclasses.fields(kind)]
    for key in data:
        if key not in names:
            raise InputError(f"unknown key '{_join(where, str(key))}': {did_you_mean(str(key), names)}")
    values = {str(key): _convert(hints[str(key)], value, _join(where, str(key))) for key, value in data.items()}
    missing = [
        f.name
        for f in dataclasses.fields(kind)
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{where or kind.__name__} lacks the key '{missing[0]}'; add it")
    return kind(**values)


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """The types of a record's fields; looking them up takes longer than building the record."""
    return typing.get_type_hints(kind)


def _convert(hint: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        args = typing.get_args(hint)
        if value is None and type(None) in args:
            return None
        for option in sorted((a for a in args if a is not type(None)), key=lambda a: a is not type(value)):
            try:
                return _convert(option, value, where)
            except InputError:
                continue
        raise InputError(f"{where} must be one of {hint}, found {_show(value)}")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where} must be a list, found {_show(value)}")
        args = typing.get_args(hint)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(args[0], item, f"{where}.{i}") for i, item in enumerate(value))
        if len(args) != len(value):
            raise InputError(f"{where} must have {len(args)} items, found {len(value)}")
        return tuple(_convert(arg, item, f"{where}.{i}") for i, (arg, item) in enumerate(zip(args, value, strict=True)))
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a mapping, found {_show(value)}")
        inner = typing.get_args(hint)[1]
        return {str(key): _convert(inner, item, _join(where, str(key))) for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type[Any], hint), value, where)
    if hint is Any or hint is object:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, bool):
        raise InputError(f"{where} must be a whole number, found {_show(value)}")
    if not isinstance(value, hint):
        raise InputError(f"{where} must be of type {hint.__name__}, found {_show(value)}")
    return value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _show(value: object) -> str:
    text = repr(value)
    return f"{text[:60]}{'...' if len(text) > 60 else ''} ({type(value).__name__})"


def replace(recipe: Recipe, changes: Mapping[str, object]) -> Recipe:
    """A recipe with some fields changed, by dotted name: `{"network.blocks.2.width": 64}`.

    Raises:
        InputError: an unknown name or a value of the wrong type.
    """
    sections = {name.partition(".")[0] for name in changes}
    data = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    data |= {name: to_dict(data[name]) for name in sections & data.keys()}
    for name, value in changes.items():
        _set(data, name, to_dict(value))
    changed = {name: _convert(_hints(Recipe)[name], data[name], name) for name in sections}
    return dataclasses.replace(recipe, **changed)


def _set(data: Any, name: str, value: object) -> None:
    *path, last = name.split(".")
    here = data
    for part in path:
        here = _get(here, part, name)
    _get(here, last, name, setting=True)
    if isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value


def _get(here: Any, part: str, name: str, setting: bool = False) -> Any:
    if isinstance(here, list):
        if not part.isdigit() or int(part) >= len(here):
            raise InputError(f"'{name}': there is no item {part} in a list of {len(here)}")
        return here[int(part)]
    if not isinstance(here, dict) or (part not in here and not (setting and ".options." in f".{name}")):
        known = here if isinstance(here, dict) else ()
        raise InputError(f"unknown recipe field '{name}': {did_you_mean(part, known)}")
    return here.get(part)


def get(recipe: Recipe, name: str) -> Any:
    """The value of a dotted field name, as plain data.

    Raises:
        InputError: an unknown name.
    """
    here: Any = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    for part in name.split("."):
        here = _get(here, part, name)
        if dataclasses.is_dataclass(here):
            here = to_dict(here)
    return here


def field_names() -> list[str]:
    """The dotted names of a recipe's fields, for completion and "did you mean"."""
    return [
        f"{section.name}.{f.name}"
        for section in dataclasses.fields(Recipe)
        for f in dataclasses.fields(typing.cast(type[Any], section.type))
    ]


def difference(old: Recipe, new: Recipe) -> dict[str, tuple[object, object]]:
    """Fields in which two recipes differ: dotted name to (old value, new value)."""
    a, b = to_dict(old), to_dict(new)
    return {
        f"{section}.{name}": (a[section][name], b[section][name])
        for section in a
        for name in a[section]
        if a[section][name] != b[section][name]
    }


def dump_yaml(recipe: Recipe, compact: bool = False) -> str:
    """A recipe as YAML, sections and fields in their own order, one on a line; several if `compact`."""
    data = {"format": FORMAT, **to_dict(recipe)}
    title = "# An autorecipe recipe.  Train it again:  autorecipe replay recipe.yaml DATASET"
    return f"{title}\n{write_yaml(data, compact)}"


def load_yaml(text: str, source: str = "the recipe") -> Recipe:
    """Read a recipe from YAML.

    Raises:
        InputError: the text is no YAML, of another format, or names an unknown field.
    """
    data = read_yaml(text, source)
    if not isinstance(data, dict):
        raise InputError(
            f"{source} holds no recipe: expected sections such as 'network:', found {_show(data)}; give a recipe.yaml"
        )
    found = data.pop("format", FORMAT)
    if found != FORMAT:
        raise InputError(
            f"{source} has format {found!r}; this version reads format {FORMAT}: give a recipe that it wrote"
        )
    if not data:
        raise InputError(f"{source} holds no recipe: it has no section; give one that a search wrote")
    try:
        result = from_dict(Recipe, data)
        assert isinstance(result, Recipe)
        check_recipe(result)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return result


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe file.

    Raises:
        InputError: the file cannot be read or holds no valid recipe.
    """
    return load_yaml(read_file(path, "the recipe"), source=str(path))


def describe(section: NetworkSection) -> str:
    """A network in a few words: `resnet 16-32-64`, `mlp 64-64-64 piecewise`, `mlp 64-64-64 periodic 0.3`."""
    body = "-".join(f"{b.width}{f'k{b.kernel}' if b.kernel != 3 else ''}" for b in section.blocks)
    words = [section.family, body or (str(section.width) if section.width else "")]
    if section.embedding != "none":
        words.append(section.embedding)
    if section.embedding == "periodic":
        words.append(f"{section.embedding_scale:g}")
    return " ".join(word for word in words if word)


def told_apart(one: Recipe, other: Recipe) -> tuple[str, str]:
    """Two recipes in a few words: their networks, and, of the same network, the settings in which they differ.

    `resnet 16-32 (weight_decay 0.003, crop 0)` and `resnet 16-32 (weight_decay 0.03, crop 2)`.
    """
    networks = describe(one.network), describe(other.network)
    changed = {} if networks[0] != networks[1] else difference(one, other)
    shown = [
        (name.split(".")[1], pair)
        for name, pair in changed.items()
        if name.startswith(("optimizer.", "regularization.")) or name == "training.batch_size"
    ]
    settings = [", ".join(f"{name} {_short(pair[k])}" for name, pair in shown) for k in (0, 1)]
    first, second = (f"{name} ({words})" if words else name for name, words in zip(networks, settings, strict=True))
    return first, second


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
