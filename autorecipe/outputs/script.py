"""`train.py`: a run's final recipe as a standalone PyTorch script, with what this recipe uses and nothing else."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from autorecipe.data.metrics import OWN
from autorecipe.data.sources import bundled_of
from autorecipe.errors import InputError
from autorecipe.networks.layers import TargetLink
from autorecipe.predictor import Result
from autorecipe.recipe import Recipe, describe
from autorecipe.results import DatasetInfo
from autorecipe.rundir import read_mapping, write_text
from autorecipe.search.polish import num_views
from autorecipe.training.evaluate import CHANCES, USUAL
from autorecipe.training.metrics import OURS

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_LINES = 300
"""A script of so many lines has one blank line between its functions instead of two."""
FAMILIES = ("linear", "mlp", "resnet")
"""Families that the templates know."""
_MODULES = (
    "contextlib", "copy", "csv", "io", "json", "math", "os", "re", "sys", "unicodedata",
)  # fmt: skip
"""Of the standard library: what of it a script names is imported."""
_NUMERIC = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


def write_script(result: Result, out: Path | None = None) -> Path:
    """Write the script; returns where.

    Args:
        result: the run.
        out: the file; None: `train.py` in the run's folder.

    Raises:
        InputError: the network is of a family that the script does not know, or the run is damaged.
    """
    path = result.run.script if out is None else out
    write_text(path, script_of(result))
    return path


def script_of(result: Result) -> str:
    """The script's text.

    Raises:
        InputError: as for `write_script`.
    """
    recipe = result.recipe
    if recipe.network.family not in FAMILIES:
        raise InputError(
            f"train.py cannot be written: the network is of your own family '{recipe.network.family}', whose code the "
            "script would need; train it with: autorecipe replay"
        )
    text = _environment().get_template("train.py.j2").render(**_facts(result))
    code = text.partition('\n"""\n')[2]
    imports = [f"import {name}\n" for name in _MODULES if re.search(rf"(?<![\w.]){name}\.", code)]
    if "ThreadPoolExecutor" in code:
        imports.append("from concurrent.futures import ThreadPoolExecutor\n")
    text = re.sub(r"\n{4,}", "\n\n\n", text.replace("# imports\n", "".join(imports))).rstrip("\n") + "\n"
    return text if text.count("\n") < MOST_LINES else text.replace("\n\n\n", "\n\n")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # imported here: few commands write a script

    return Environment(
        loader=PackageLoader("autorecipe.outputs"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )


def _facts(result: Result) -> dict[str, Any]:
    """Everything that the templates ask for."""
    recipe, info = result.recipe, result.info
    facts = {
        "r": recipe,
        "g": recipe.regularization,
        "f": recipe.finish,
        "n": recipe.network,
        "scale": info.target_scale,
        "table": info.modality == "table",
        "regression": info.task == "regression",
        "multilabel": info.task == "multilabel",
        "outputs": info.num_outputs,
        "members": recipe.finish.members,
        "parts": tuple(recipe.training.train_on.split("+")),
        **_training_facts(recipe, info),
        **_network_facts(recipe, info),
        **_metric_facts(recipe, info),
    }
    facts |= _source_facts(result)
    facts |= _words(result, facts)
    return facts


def _training_facts(recipe: Recipe, info: DatasetInfo) -> dict[str, Any]:
    section, image = recipe.regularization, info.modality == "image"
    weighted = section.class_weights > 0 and info.task != "regression"
    moved = []
    if image and section.crop:
        moved.append(f"shifted by up to {section.crop} pixels")
    if image and section.flip:
        moved.append("mirrored")
    schedule = recipe.schedule
    words = {"wsd": "it rises, stays and falls to zero", "cosine": "it rises and falls along a cosine"}
    flat = "it rises and stays" if schedule.warmup else "it stays the same"
    return {
        "moved": " and ".join(moved),
        "augmented": image and bool(section.crop or section.flip or section.erase),
        "mixup": image and section.mixup > 0,
        "weighted": weighted,
        "w": ", weights" if weighted else "",
        "dropout": section.dropout,
        "averaging": section.averaging,
        "schedule": schedule.name,
        "warmup": schedule.warmup > 0,
        "schedule_words": flat if schedule.name == "wsd" and not schedule.cooldown else words.get(schedule.name, flat),
        "bf16": recipe.training.precision == "bf16",
        "layout": ", memory_format=torch.channels_last" if recipe.training.channels_last and image else "",
        "thresholds": list(recipe.finish.thresholds),
        "views": num_views(recipe) if image else 1,
        "views_words": " and ".join(
            word
            for word, used in (
                (f"itself, shifted by {recipe.finish.shift_tta} in four directions", recipe.finish.shift_tta),
                ("mirror images", recipe.finish.flip_tta),
            )
            if used
        ),
    }


def _network_facts(recipe: Recipe, info: DatasetInfo) -> dict[str, Any]:
    section, scale = recipe.network, info.target_scale
    embedding = (
        section.embedding if info.modality == "table" and section.family == "mlp" and info.num_numbers else "none"
    )
    return {
        "family": section.family,
        "network": describe(section),
        "blocks": [(block.width, block.kernel, block.stride) for block in section.blocks],
        "widths": [block.width for block in section.blocks],
        "half": max(1, section.width // 2),
        "embedding": embedding,
        "single": any(len(edges) == 2 for edges in info.bins),
        "pieces": max((len(edges) - 1 for edges in info.bins), default=0),
        "num_numbers": info.num_numbers,
        "number_features": info.num_numbers * (1 if embedding == "none" else section.embedding_width),
        "cardinalities": len(info.cardinalities),
        "link": scale.link,
        "t": None if scale.link == "identity" else TargetLink(nn.Identity(), scale),
        "bounded": scale.low is not None or scale.high is not None,
    }


def _metric_facts(recipe: Recipe, info: DatasetInfo) -> dict[str, Any]:
    metric = USUAL[info.task][0] if info.metric.startswith(OWN) else info.metric
    count_ratio, _, way = OURS.get(metric, metric).partition("_")
    kind = "loss" if metric == "log_loss" else "chances" if metric in CHANCES else "said"
    return {"metric": metric, "metric_name": metric, "count_ratio": count_ratio, "way": way, "kind": kind}


def _source_facts(result: Result) -> dict[str, Any]:
    """Where the data is from, and how it is read."""
    settings, preprocess = read_mapping(result.run.settings), result.preprocess
    source = settings.get("source")
    bundled = bundled_of(source) if source is not None else None
    names = []
    if result.run.splits.exists():
        splits = read_mapping(result.run.splits)
        names = [str(name) for split in ("train", "val", "confirm", "test") for name in splits.get(split, ())]
    facts = {"bundled": bundled, "python": source is None, "pictures": False}
    if result.info.modality == "image":
        part = _class_part(names, preprocess)
        deep = preprocess.get("deep_range") is not None
        facts |= {"pictures": source is not None and not bundled, "deep": deep}
        return {**facts, "labelled": part is None, "class_part": part}
    return {**facts, **_table_facts(result.info, preprocess, bundled is not None)}


def _class_part(names: list[str], preprocess: dict[str, Any]) -> int | None:
    """Which folder of a file's name is its class; None: a label file says it."""
    classes = set(preprocess["classes"])
    if preprocess["target"] != "class" or preprocess["task"] not in ("binary", "multiclass"):
        return None
    for part in (0, 1):
        if names and all(name.count("/") > part and name.split("/")[part].strip() in classes for name in names):
            return part
    return None


def _table_facts(info: DatasetInfo, preprocess: dict[str, Any], bundled: bool) -> dict[str, Any]:
    columns = preprocess["columns"]
    kinds = {column["kind"] for column in columns}
    labels = [name.strip() for name in str(preprocess["target"]).split(",") if name.strip()]
    label_columns = labels if info.task == "multilabel" and set(labels) == set(preprocess["classes"]) else []
    numeric = bool(preprocess["classes"]) and all(_NUMERIC.fullmatch(name) for name in preprocess["classes"])
    numeric = numeric and info.task in ("binary", "multiclass") and not bundled
    # A run of an older version does not say which columns are numbers written as text.
    typed = any(column["kind"] == "number" and column.get("as_text", not bundled) for column in columns)
    typed = typed or (info.target_as_text and (numeric or info.task == "regression"))
    parquet = [not options for options in info.files.values()]
    reader = "pd.read_parquet(path / name)" if all(parquet) else "pd.read_csv(path / name, **options)"
    if any(parquet) and not all(parquet):
        reader = f"{reader} if options else pd.read_parquet(path / name)"
    return {
        "typed_columns": not bundled and (not info.files or any(parquet)),
        "files": len(info.files) > 1,
        "parquet": parquet,
        "reader": reader,
        "label_columns": label_columns,
        "number_columns": "number" in kinds,
        "as_numbers": "number" in kinds or info.task == "regression",
        "dates": "date" in kinds,
        "free_texts": "text" in kinds,
        "categories": "category" in kinds,
        "truths": "truth" in kinds,
        "yes": "truth" in kinds or bool(label_columns),
        "typed": typed,
        "class_number": "" if not numeric else "number" if info.target_as_text else "float",
        "texts": bool(kinds - {"number"}) or info.task != "regression" or typed,
    }


def _words(result: Result, facts: dict[str, Any]) -> dict[str, Any]:
    """What the script's docstring says."""
    recipe, info, summary = result.recipe, result.info, result.summary
    several = f"{recipe.finish.members} networks " if recipe.finish.members > 1 else ""
    title = f"{several}{describe(recipe.network)} for {info.task} on {info.name}: recipe {recipe.digest} of autorecipe."
    if facts["bundled"]:
        source, example = f"the set '{info.name}' that comes with scikit-learn", str(facts["bundled"])
    elif facts["python"]:
        source = "an .npz file: the run was made on data from Python, numpy.savez('data.npz', X=X, y=y) saves it"
        example = "data.npz"
    else:
        source, example = f"the {'table' if facts['table'] else 'folder of images'} that the run was made on", "DATASET"
    differences = []
    if info.metric.startswith(OWN):
        differences.append(
            f"the metric '{_one_line(info.metric)}' is your own function: {facts['metric']} is printed instead"
        )
    if facts["mixup"]:
        differences.append("mixup draws its shares from numpy's generator: the same distribution, other numbers")
    if recipe.regularization.dropout:
        differences.append("dropout draws other numbers, at the same rate")
    if facts["python"] and facts["table"]:
        differences.append("columns of a DataFrame are those of X, in the order of preprocess.json's 'inputs'")
    score = (summary.get("scores") or {}).get("test")
    said = "has not been scored on test yet" if score is None else f"has {facts['metric_name']} {score:.4f} on test"
    if score is not None and info.metric.startswith(OWN):
        said = f"has {_one_line(info.metric)} {score:.4f} on test"
    return {
        "title": _one_line(title),
        "source": _one_line(source),
        "example": example,
        "result": f"The run's model {said}; another machine or seed scores a little differently.",
        "differences": differences,
    }


def _one_line(text: str) -> str:
    """A text that cannot end the docstring it stands in: names of data sets may hold anything."""
    return " ".join(re.sub(r'["\\]', "'", text).encode("ascii", "replace").decode().split())
