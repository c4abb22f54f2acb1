"""A recipe in about ten lines that a person would write."""

from autorecipe.clock import amount
from autorecipe.outputs.wording import count, percent
from autorecipe.recipe import Recipe, describe, difference

FAMILIES = {"resnet": "residual network", "mlp": "perceptron", "linear": "linear model"}
DECAYS = {"adamw": "AdamW", "sgd": "SGD with Nesterov momentum"}
FIELDS = {
    "optimizer.lr": "learning rate",
    "optimizer.weight_decay": "weight decay",
    "optimizer.name": "optimizer",
    "optimizer.beta2": "beta 2",
    "optimizer.beta1": "beta 1",
    "optimizer.clip_norm": "gradient clipping",
    "schedule.name": "schedule",
    "schedule.warmup": "warm-up",
    "schedule.cooldown": "cool-down",
    "training.batch_size": "batch size",
    "regularization.dropout": "dropout",
    "regularization.label_smoothing": "label smoothing",
    "regularization.mixup": "mixup",
    "regularization.crop": "shifts (pixels)",
    "regularization.flip": "mirroring",
    "regularization.erase": "random erasing",
    "regularization.class_weights": "class weights",
    "regularization.averaging": "weight averaging",
}
"""What a question may change beside the network, in words."""


def recipe_lines(recipe: Recipe, num_params: float | None, num_train: float | None) -> list[tuple[str, str]]:
    """Title and words of each line.

    Args:
        recipe: what was trained.
        num_params: parameters of all its networks, if known.
        num_train: examples that it was trained on, if known.
    """
    lines = [
        ("Network", _network(recipe)),
        ("Size", _size(recipe, num_params)),
        ("Input", _input(recipe)),
        ("Optimizer", _optimizer(recipe)),
        ("Schedule", _schedule(recipe)),
        ("Regularization", _regularization(recipe)),
        ("Augmentation", _augmentation(recipe)),
        ("Length", _length(recipe, num_train)),
        ("Numerics", _numerics(recipe)),
        ("Prediction", _prediction(recipe)),
    ]
    return [(title, words) for title, words in lines if words]


def _network(recipe: Recipe) -> str:
    section = recipe.network
    name = FAMILIES.get(section.family, section.family)
    if section.family == "resnet":
        widths = "-".join(str(block.width) for block in section.blocks)
        odd = sorted({block.kernel for block in section.blocks if block.kernel != 3})
        kernels = f", some {' and '.join(f'{k}x{k}' for k in odd)} kernels" if odd else ""
        strides = sum(block.stride > 1 for block in section.blocks)
        halved = f", halved {'once' if strides == 1 else f'{strides} times'}" if strides else ""
        stem = f", stem of {section.width}" if section.width else ""
        stride = f" with stride {section.stem_stride}" if section.stem_stride > 1 else ""
        return f"{name}: {_times(len(section.blocks), 'block')} of {widths} channels{stem}{stride}{kernels}{halved}"
    if section.family == "mlp":
        widths = "-".join(str(block.width) for block in section.blocks)
        return f"{name}: {_times(len(section.blocks), 'hidden layer')} of {widths} features"
    options = ", ".join(f"{key} {value}" for key, value in section.options.items())
    return f"{name}{f': {options}' if options else ''}"


def _size(recipe: Recipe, num_params: float | None) -> str:
    size = f"{count(num_params)} parameters" if num_params is not None else ""
    members = recipe.finish.members
    if members > 1:
        return f"{members} such networks, averaged{f'; {size} together' if size else ''}"
    return size


def _input(recipe: Recipe) -> str:
    data, network = recipe.data, recipe.network
    if data.modality == "image":
        return f"{data.resolution} x {data.resolution} pixels, {'grey' if data.channels == 1 else 'colour'}"
    embedding = {
        "periodic": f"numbers embedded in {network.embedding_width} periodic features",
        "piecewise": f"numbers embedded piecewise linearly in {network.embedding_width} features",
    }.get(network.embedding, "numbers as they are")
    left = f"; {len(data.drop)} columns left out on request" if data.drop else ""
    return f"a table's row, {embedding}{left}"


def _optimizer(recipe: Recipe) -> str:
    part = recipe.optimizer
    words = [
        DECAYS.get(part.name, part.name),
        f"learning rate {part.lr:.3g}",
        f"batches of {recipe.training.batch_size}",
    ]
    words.append(f"momentum {part.beta1:g}" if part.name == "sgd" else f"betas {part.beta1:g}, {part.beta2:g}")
    if part.clip_norm:
        words.append(f"gradients clipped at {part.clip_norm:g}")
    return ", ".join(words)


def _schedule(recipe: Recipe) -> str:
    part = recipe.schedule
    start = f"{percent(part.warmup)} warm-up, then "
    if part.name == "cosine":
        return f"{start}a cosine to zero"
    return (
        f"{start}{f'constant, the last {percent(part.cooldown)} falling to zero' if part.name == 'wsd' else 'constant'}"
    )


def _regularization(recipe: Recipe) -> str:
    part = recipe.regularization
    words = [
        (recipe.optimizer.weight_decay, f"weight decay {recipe.optimizer.weight_decay:.3g}"),
        (part.dropout, f"dropout {part.dropout:.2g}"),
        (part.label_smoothing, f"label smoothing {part.label_smoothing:.2g}"),
        (part.mixup, f"mixup {part.mixup:.2g}"),
        (part.class_weights, f"rare classes weighted up (power {part.class_weights:g})"),
        (part.averaging, f"weights averaged over the last {percent(part.averaging)} of the steps"),
    ]
    return ", ".join(text for value, text in words if value) or "none"


def _augmentation(recipe: Recipe) -> str:
    part = recipe.regularization
    if recipe.data.modality != "image":
        return ""
    words = [
        (part.crop, f"shifted by up to {_times(part.crop, 'pixel')}"),
        (part.flip, "mirrored at random"),
        (part.erase, f"a rectangle erased in {percent(part.erase)} of the images"),
    ]
    return ", ".join(text for value, text in words if value) or "none"


def _length(recipe: Recipe, num_train: float | None) -> str:
    part = recipe.training
    where = " + ".join(part.train_on.split("+"))
    epochs = f" ({amount(part.steps * part.batch_size / num_train)} epochs)" if num_train else ""
    return f"{count(part.steps)} steps{epochs} on {where}, seed {part.seed}"


def _numerics(recipe: Recipe) -> str:
    part = recipe.training
    return f"{part.precision}{', channels last' if part.channels_last else ''}"


def _prediction(recipe: Recipe) -> str:
    part = recipe.finish
    words = [
        (part.flip_tta, "averaged with the mirror image"),
        (part.shift_tta, f"averaged over shifts of {_times(part.shift_tta, 'pixel')}"),
        (part.temperature != 1.0, f"temperature {part.temperature:.3g}"),
        (part.thresholds, f"thresholds {', '.join(f'{value:.2g}' for value in part.thresholds[:8])}"),
    ]
    return "; ".join(text for value, text in words if value) or ""


def _times(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def change_words(old: Recipe | None, new: Recipe | None) -> list[str]:
    """What a question changed, a line each: the network in a few words, and every setting that may be asked about."""
    if old is None or new is None:
        return []
    before, after = describe(old.network), describe(new.network)
    found = [f"network {before} → {after}"] if before != after else []
    for name, (was, now) in difference(old, new).items():
        if name in FIELDS:
            found.append(f"{FIELDS[name]} {_value(was)} → {_value(now)}")
    return found


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
