"""Bad options, space files, recipes, runs and disks."""

import json
from pathlib import Path

import yaml
from bad_cases import (
    Case,
    Made,
    Make,
    both,
    csv_text,
    good_photos,
    good_table,
    images,
    nothing,
    png,
    put,
    recipe_text,
    rows,
)
from bad_data import cut, folder, noise

SEARCH = "search data.csv --target label --budget 5epochs"
ALIASES = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [*{m}, *{m}, *{m}, *{m}]\n" for m, n in zip("abcdefghijk", "bcdefghijkl", strict=False)
)
"""YAML of a few lines that stands for millions of items."""


def options() -> list[Case]:
    """Values of options that cannot work, and words that are no command."""
    budgets = {
        "zero": "0", "zero-seconds": "0s", "zero-epochs": "0epochs", "negative": "-5m", "empty": "", "word": "soon",
        "nan": "nan", "infinite": "inf", "exponent": "1e9", "unknown-unit": "10parsecs", "two-points": "1.2.3m",
        "comma": "1,5h", "huge": "99999999d", "overflow": "9" * 400, "huge-epochs": "1" + "0" * 30 + "epochs",
        "minus-only": "-", "plus-only": "+", "unit-only": "m", "nul-like": "\\0",
    }  # fmt: skip
    found = [
        Case(f"budget/{name}", f"a budget of '{value[:20]}'", f"search data.csv --budget='{value}'", value[:40] if len(value) > 2 else f"'{value}'", good_table)
        for name, value in budgets.items()
    ]  # fmt: skip
    named = [
        ("metric", "a metric that is none", "--metric acuracy", "acuracy"),
        ("task", "a task that is none", "--task clustering", "clustering"),
        ("device", "a device that is none", "--device gpuu", "gpuu"),
        ("device-absent", "a device that is not here", "--device mps", "mps"),
        ("device-number", "the hundredth GPU", "--device cuda:99", "cuda:99"),
        ("device-meta", "a device that holds nothing", "--device meta", "meta"),
        ("device-empty", "an empty device", "--device ''", "''"),
        ("threads-zero", "no thread", "--threads 0", "--threads"),
        ("threads-negative", "minus two threads", "--threads -2", "--threads"),
        ("threads-word", "threads in words", "--threads two", "--threads"),
        ("threads-huge", "a million threads", "--threads 1000000", "1000000"),
        ("seed-negative", "a negative seed", "--seed -1", "--seed"),
        ("seed-fraction", "a seed with a fraction", "--seed 1.5", "--seed"),
        ("seed-huge", "a seed of 30 digits", "--seed 1" + "0" * 29, "1000"),
        ("reserve-low", "a reserve of 0", "--reserve 0", "--reserve"),
        ("reserve-high", "a reserve of 0.99", "--reserve 0.99", "--reserve"),
        ("reserve-nan", "a reserve of nan", "--reserve nan", "--reserve"),
        ("max-width", "no width", "--max-width 0", "--max-width"),
        ("max-depth", "no depth", "--max-depth 0", "--max-depth"),
        ("max-params", "no parameters", "--max-params 0", "--max-params"),
        ("unknown-option", "an option that is none", "--budgets 5m", "--budgets"),
        ("two-data-sets", "two data sets", "more.csv", "more.csv"),
        ("quiet-and-json", "two ways of output at once", "--quiet --json", "--json"),
        ("storage-nonsense", "a storage that is no URL", "--storage trials", "trials"),
        ("storage-no-folder", "a storage in a folder that is not there", "--storage sqlite:///no/where.db", "sqlite:///no/where.db"),
        ("storage-redis", "a storage that keeps pickles", "--storage redis://localhost", "redis"),
        ("storage-no-driver", "a storage whose driver is not there", "--storage oracle://u:secret@h/x", "oracle"),
        ("storage-text", "a storage that is a text file", "--storage sqlite:///data.csv", "data.csv"),
        ("from-missing", "a recipe that is not there", "--from none.yaml", "none.yaml"),
        ("space-missing", "a space file that is not there", "--space none.yaml", "none.yaml"),
    ]  # fmt: skip
    found += [Case(f"search/{name}", what, f"{SEARCH} {words}", says, good_table) for name, what, words, says in named]
    outs = [
        ("out-is-a-file", "--out is a file", "out", put("out", "hello")),
        ("out-below-a-file", "--out lies below a file", "out/run", put("out", "hello")),
        ("out-not-empty", "--out holds a file", "out", put("out/thesis.txt", "important")),
        ("out-long", "--out is longer than a file system takes", "r" * 300, nothing),
        ("out-here", "--out is the folder of the data", ".", nothing),
    ]
    for command, words in (("search", SEARCH), ("replay", "replay recipe.yaml data.csv")):
        found += [
            Case(f"{command}/{name}", what, f"{words} --out {out}", out[:40] if out != "." else ". is not empty", both(good_table, put("recipe.yaml", recipe_text), make))
            for name, what, out, make in outs
        ]  # fmt: skip
    typed = [
        ("unknown-command", "a command that is none", "serch data.csv", "serch"),
        ("no-data-set", "no data set", "search", "DATASET"),
        ("inspect-nothing", "no data set to inspect", "inspect", "DATASET"),
        ("steps-few", "a range test of 3 steps", "lr-find data.csv --steps 3", "--steps"),
        ("seeds-none", "a range test without a sweep", "lr-find data.csv --seeds 0", "--seeds"),
        ("lr-find-device", "a range test on a device that is none", "lr-find data.csv --device tpu", "tpu"),
        ("plot-kind", "a plot of a kind that there is not", "lr-find data.csv --plot lr.xlsx", ".xlsx"),
        ("plot-table", "a plot in place of the data", "lr-find data.csv --plot data.csv", ".csv"),
        ("cache-option", "an option that the cache lacks", "cache --clean", "--clean"),
        ("port", "a port that is none", "dashboard run --port 99999", "--port"),
        ("port-word", "a port in words", "dashboard run --port http", "--port"),
    ]
    found += [Case(f"command/{name}", what, words, says, good_table) for name, what, words, says in typed]
    limits = [
        ("limit", "AUTORECIPE_CACHE_LIMIT", "lots"),
        ("cap", "AUTORECIPE_MEMORY_CAP", "-1"),
        ("cap-nan", "AUTORECIPE_MEMORY_CAP", "nan"),
    ]
    return found + [
        Case(f"environment/{name}", f"{key} is '{value}'", "inspect photos", key, good_photos, {key: value})
        for name, key, value in limits
    ]  # fmt: skip


def spaces() -> list[Case]:
    """Space files."""
    good = {
        "format": 1,
        "modality": "table",
        "family": "mlp",
        "stages": {"small": {"vary": {"lr_factor": {"low": 0.25, "high": 4.0, "log": True}}}},
    }

    def small(**content: object) -> str:
        return yaml.safe_dump({**good, "stages": {"small": content}})

    def vary(name: str, values: object) -> str:
        return small(vary={name: values})

    named = [
        ("empty", "an empty file", "space.yaml", ""),
        ("list", "a list", "space.yaml", "- small\n- width\n"),
        ("scalar", "a word", "space.yaml", "small\n"),
        ("no-yaml", "no YAML", "space.yaml", "stages: {small: [\n"),
        ("tabs", "tabs as indentation", "space.yaml", "stages:\n\tsmall: {}\n"),
        ("binary", "bytes that are no text", "space.yaml", noise(300)),
        ("aliases", "aliases that stand for millions of items", "space.yaml", ALIASES),
        ("aliases-in-place", "such aliases where choices should be", "space.yaml", ALIASES + yaml.safe_dump(good).replace("lr_factor:", "optimizer.name: *k\n      lr_factor:")),
        ("itself", "a list that holds itself", "space.yaml", "stages: &a [*a]\n"),
        ("deep", "a thousand brackets", "space.yaml", "[" * 1000 + "]" * 1000),
        ("python", "a tag that would run a program", "space.yaml", "stages: !!python/object/apply:os.system [echo]\n"),
        ("list-as-key", "a list as a key", "space.yaml", "? [a, b]\n: c\n"),
        ("date", "a date where a stage should be", "stages", yaml.safe_dump({**good, "stages": 7}).replace("7", "2024-01-01")),
        ("no-stages", "no stages", "stages", yaml.safe_dump({k: v for k, v in good.items() if k != "stages"})),
        ("key-typo", "a key with a typo", "stagse", yaml.safe_dump(good).replace("stages", "stagse")),
        ("stage-typo", "a stage with a typo", "smal", yaml.safe_dump(good).replace("small", "smal")),
        ("field-typo", "a field with a typo", "regularization.dropot", vary("regularization.dropot", [0.1])),
        ("vary-typo", "vary with a typo", "very", small(very={})),
        ("family", "a family that is none", "mpl", yaml.safe_dump({**good, "family": "mpl"})),
        ("family-of-images", "a family that takes no tables", "resnet", yaml.safe_dump({**good, "family": "resnet"})),
        ("modality", "another kind of data", "image", yaml.safe_dump({**good, "modality": "image"})),
        ("modality-typo", "a kind of data that is none", "tabel", yaml.safe_dump({**good, "modality": "tabel"})),
        ("format", "a format of later", "99", yaml.safe_dump({**good, "format": 99})),
        ("range-reversed", "a range from high to low", "4.0", vary("lr_factor", {"low": 4.0, "high": 0.25})),
        ("range-empty", "a range of one number", "1.0", vary("lr_factor", {"low": 1.0, "high": 1.0})),
        ("range-nan", "a range up to nan", "nan", vary("lr_factor", {"low": 0.1, "high": float("nan")})),
        ("range-text", "a range of words", "few", vary("lr_factor", {"low": "few", "high": "many"})),
        ("range-half", "a range without an end", "high", vary("lr_factor", {"low": 0.1})),
        ("range-log-zero", "a log range from 0", "log", vary("optimizer.weight_decay", {"low": 0, "high": 0.1, "log": True})),
        ("range-key", "a range with a typo", "hihg", vary("lr_factor", {"low": 0.1, "hihg": 4.0})),
        ("range-of-whole", "a range for whole numbers", "training.batch_size", vary("training.batch_size", {"low": 16, "high": 64})),
        ("range-negative", "a dropout below zero", "dropout", vary("regularization.dropout", {"low": -1.0, "high": 0.5})),
        ("no-choices", "an empty list of choices", "optimizer.name", vary("optimizer.name", [])),
        ("one-value", "a value instead of choices", "optimizer.name", vary("optimizer.name", "sgd")),
        ("choice-type", "a choice of the wrong type", "batch_size", vary("training.batch_size", [16, "many"])),
        ("choice-unknown", "an optimizer that is none", "adamm", vary("optimizer.name", ["adamw", "adamm"])),
        ("choice-dropout", "a dropout of 3", "dropout", vary("regularization.dropout", [0.1, 3.0])),
        ("known-list", "known points that are no list", "known", small(known={"optimizer.lr": 0.1})),
        ("known-field", "a known point with a typo", "network.embeding", small(known=[{"network.embeding": "none"}])),
        ("known-factor", "a factor below zero", "lr_factor", small(known=[{"lr_factor": -2.0}])),
        ("factors", "a width factor of 1", "factors", small(factors=[1])),
        ("kernels", "an even kernel", "kernels", small(kernels=[4])),
        ("widths", "a width below zero", "widths", small(widths=[-0.5])),
        ("start-field", "a start with a typo", "training.batchsize", yaml.safe_dump({**good, "start": {"training.batchsize": 64}})),
        ("start-type", "a start of the wrong type", "training.batch_size", yaml.safe_dump({**good, "start": {"training.batch_size": "large"}})),
        ("start-zero", "a batch of zero", "batch_size", yaml.safe_dump({**good, "start": {"training.batch_size": 0}})),
    ]  # fmt: skip
    found = [
        Case(f"space/{name}", f"a space file: {what}", f"{SEARCH} --space space.yaml --out run", says, both(good_table, put("space.yaml", text)))
        for name, what, says, text in named
    ]  # fmt: skip
    return [
        *found,
        Case(
            "space/folder",
            "a space file that is a folder",
            f"{SEARCH} --space space.yaml",
            "space.yaml",
            both(good_table, folder("space.yaml")),
        ),
    ]


def recipes() -> list[Case]:
    """Recipes for `replay`, `search --from` and `lr-find --recipe`."""
    good = recipe_text()

    def without(line: str) -> str:
        return "\n".join(text for text in good.splitlines() if line not in text)

    def changed(**fields: object) -> str:
        return recipe_text("table", **fields)

    named = [
        ("empty", "empty", "recipe.yaml", ""),
        ("list", "a list", "recipe.yaml", "- network\n"),
        ("no-yaml", "no YAML", "recipe.yaml", "network: {width: [\n"),
        ("cut-off", "cut off in the middle of a word", "recipe", good[: good.index("schedule") + 5]),
        ("binary", "bytes that are no text", "recipe.yaml", noise(300)),
        ("weights", "a file of weights", "recipe.yaml", b"\x80\0\0\0\0\0\0\0" + noise(300)),
        ("aliases", "aliases that stand for millions of items", "recipe.yaml", ALIASES),
        ("aliases-in-place", "such aliases where blocks should be", "recipe.yaml", ALIASES + "network: {blocks: *k}\n"),
        ("python", "a tag that would run a program", "recipe.yaml", "network: !!python/object/apply:os.system [echo]\n"),
        ("format", "a format of later", "99", good.replace("format: 1", "format: 99")),
        ("section-typo", "a section with a typo", "netwrok", good.replace("network:", "netwrok:")),
        ("field-typo", "a field with a typo", "widht", good.replace("  width: 4\n  blocks", "  widht: 4\n  blocks")),
        ("field-type", "a word where a number should be", "lr", good.replace("lr: 0.001", "lr: small")),
        ("section-null", "a section with nothing in it", "optimizer", "optimizer:\n"),
        ("lr-negative", "a negative learning rate", "lr", changed(optimizer__lr=-0.1)),
        ("lr-nan", "a learning rate of nan", "lr", changed(optimizer__lr=float("nan"))),
        ("lr-infinite", "an infinite learning rate", "lr", changed(optimizer__lr=float("inf"))),
        ("decay-negative", "a negative weight decay", "weight_decay", changed(optimizer__weight_decay=-1.0)),
        ("beta", "a beta above 1", "beta2", changed(optimizer__beta2=1.5)),
        ("clip", "a negative gradient norm", "clip_norm", changed(optimizer__clip_norm=-1.0)),
        ("steps-zero", "no steps", "steps", changed(training__steps=0)),
        ("steps-negative", "minus ten steps", "steps", changed(training__steps=-10)),
        ("batch-zero", "a batch of zero", "batch_size", changed(training__batch_size=0)),
        ("batch-negative", "a batch of minus eight", "batch_size", changed(training__batch_size=-8)),
        ("seed-negative", "a negative seed", "seed", changed(training__seed=-1)),
        ("seed-huge", "a seed of 30 digits", "seed", changed(training__seed=10**29)),
        ("split-seed-negative", "a negative seed of the splits", "split_seed", changed(data__split_seed=-1)),
        ("train-on", "an unknown part to train on", "everything", changed(training__train_on="everything")),
        ("precision", "an unknown precision", "fp8", changed(training__precision="fp8")),
        ("optimizer", "an unknown optimizer", "adamm", changed(optimizer__name="adamm")),
        ("schedule", "an unknown schedule", "cosin", changed(schedule__name="cosin")),
        ("warmup", "a warm-up of 300 %", "warmup", changed(schedule__warmup=3.0)),
        ("cooldown", "a negative cooldown", "cooldown", changed(schedule__cooldown=-0.5)),
        ("family", "an unknown family", "transfomer", changed(network__family="transfomer")),
        ("family-of-images", "a family that takes no tables", "resnet", changed(network__family="resnet")),
        ("width-zero", "a block of no width", "width", changed(network__blocks=[{"width": 0}])),
        ("width-negative", "a block of negative width", "width", changed(network__blocks=[{"width": -4}])),
        ("width-huge", "a block of a billion features", "width", changed(network__width=10**9, network__blocks=[{"width": 10**9}])),
        ("embedding", "an unknown embedding", "fourier", changed(network__embedding="fourier")),
        ("embedding-width", "an embedding of no width", "embedding_width", changed(network__embedding="periodic", network__embedding_width=0)),
        ("dropout", "a dropout of 2", "dropout", changed(regularization__dropout=2.0)),
        ("smoothing", "a label smoothing of -1", "label_smoothing", changed(regularization__label_smoothing=-1.0)),
        ("mixup", "a negative mixup", "mixup", changed(regularization__mixup=-1.0)),
        ("averaging", "an averaging of 2", "averaging", changed(regularization__averaging=2.0)),
        ("temperature", "a temperature of 0", "temperature", changed(finish__temperature=0.0)),
        ("task", "an unknown task", "clasification", changed(data__task="clasification")),
        ("metric", "an unknown metric", "acuracy", changed(data__metric="acuracy")),
        ("metric-of-other-task", "a metric of another task", "rmse", changed(data__metric="rmse")),
        ("modality", "an unknown kind of data", "tabel", changed(data__modality="tabel")),
        ("other-target", "a target that the data set lacks", "price", changed(data__target="price")),
        ("of-images", "made for images", "image", lambda: recipe_text("image")),
        ("other-task", "made for regression", "regression", changed(data__task="regression", data__metric="rmse")),
    ]  # fmt: skip
    found = [
        Case(f"recipe/{name}", f"a recipe: {what}", "replay recipe.yaml data.csv --out run --threads 1", says, both(good_table, put("recipe.yaml", text)))
        for name, what, says, text in named
    ]  # fmt: skip
    for door, words in (
        ("from", f"{SEARCH} --out run --from recipe.yaml"),
        ("lr-find", "lr-find data.csv --target label --recipe recipe.yaml"),
    ):
        found += [
            Case(f"recipe/{door}-{name}", f"a recipe: {what}", words, says, both(good_table, put("recipe.yaml", text)))
            for name, what, says, text in named
            if name in ("empty", "field-typo", "lr-nan", "batch-zero", "width-negative", "optimizer", "of-images", "family")
        ]  # fmt: skip
    good_image = both(images("photos/cat"), images("photos/dog"))
    return [
        *found,
        Case("recipe/missing", "a recipe that is not there", "replay none.yaml data.csv", "none.yaml", good_table),
        Case("recipe/folder", "a recipe that is a folder", "replay recipe.yaml data.csv", "recipe.yaml", both(good_table, folder("recipe.yaml"))),
        Case("recipe/of-tables", "a recipe for tables, for images", "replay recipe.yaml photos", "table", both(good_image, put("recipe.yaml", good))),
        Case("recipe/kernel-even", "a recipe: an even kernel", "replay recipe.yaml photos --out run", "kernel", both(good_image, put("recipe.yaml", lambda: recipe_text("image", network__stem_kernel=4)))),
        Case("recipe/kernel-negative", "a recipe: a negative kernel", "replay recipe.yaml photos --out run", "kernel", both(good_image, put("recipe.yaml", lambda: recipe_text("image", network__blocks=[{"width": 4, "kernel": -3}])))),
        Case("recipe/stride-zero", "a recipe: a stride of zero", "replay recipe.yaml photos --out run", "stride", both(good_image, put("recipe.yaml", lambda: recipe_text("image", network__blocks=[{"width": 4, "stride": 0}])))),
        Case("recipe/crop-negative", "a recipe: a negative crop", "replay recipe.yaml photos --out run", "crop", both(good_image, put("recipe.yaml", lambda: recipe_text("image", regularization__crop=-2)))),
        Case("recipe/other-channels", "a recipe: for images in colour", "replay recipe.yaml photos --out run", "channels", both(good_image, put("recipe.yaml", lambda: recipe_text("image", data__channels=3)))),
        Case("recipe/resolution-huge", "a recipe: images of 100,000 pixels", "replay recipe.yaml photos --out run", "100000", both(good_image, put("recipe.yaml", lambda: recipe_text("image", data__resolution=100_000)))),
    ]  # fmt: skip


def damage(name: str, content: object) -> Make:
    """Writes over a file of the run; None removes it; a function is given its bytes."""

    def make(at: Path) -> None:
        path = at / "run" / name
        if content is None:
            path.unlink()
        elif callable(content):
            path.write_bytes(content(path.read_bytes()))
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)  # type: ignore[union-attr]

    return make


def fields(**values: object):
    """Changes fields of a JSON file."""

    def change(data: bytes) -> bytes:
        found = json.loads(data)
        for name, value in values.items():
            *path, last = name.split("__")
            here = found
            for part in path:
                here = here[part]
            here[last] = value
        return json.dumps(found).encode()

    return change


def weights_of_other(data: bytes) -> bytes:
    """The same tensors, each one row longer."""
    import numpy as np
    from safetensors.numpy import load, save

    return save({name: np.concatenate([t, t[:1]]) if t.ndim else t for name, t in load(data).items()})


def weights_changed(data: bytes) -> bytes:
    """One bit of one weight turned over."""
    return data[:-1] + bytes([data[-1] ^ 64])


def unfinished(at: Path) -> None:
    """A run that was killed: no summary yet."""
    (at / "run/summary.json").unlink()


def journal(*records: object):
    """A journal of these lines."""
    return damage("study.journal", "".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records))


def inputs(made: Made) -> list[Case]:
    """What `predict` is given."""
    table, image = made.copy("table"), made.copy("image")
    named = [
        ("missing", "a file that is not there", "new.csv", "new.csv", nothing),
        ("empty", "an empty file", "new.csv", "new.csv", put("new.csv", "")),
        ("no-rows", "a header without rows", "new.csv", "new.csv", put("new.csv", csv_text(HEADERS, []))),
        ("missing-column", "a table without a column", "new.csv", "weight", put("new.csv", csv_text(["size", "colour"], [["1", "red"]]))),
        ("missing-columns", "a table without any of the columns", "new.csv", "size", put("new.csv", csv_text(["a", "b"], [["1", "2"]]))),
        ("renamed-column", "a column with a typo", "new.csv", "weight", put("new.csv", csv_text(["size", "wieght", "colour"], [["1", "2", "red"]]))),
        ("texts", "texts in a column of numbers", "new.csv", "size", put("new.csv", csv_text(HEADERS, [["large", "2", "red"], ["small", "2", "red"]]))),
        ("same-names", "a column twice", "new.csv", "size", put("new.csv", csv_text(["size", "size", "weight", "colour"], [["1", "1", "2", "red"]]))),
        ("short-row", "a ragged row", "new.csv", "line 3", put("new.csv", csv_text(HEADERS, [["1", "2", "red"], ["1", "2"]]))),
        ("binary", "bytes that are no text", "new.csv", "new.csv", put("new.csv", noise(3000))),
        ("parquet-cut-off", "a .parquet that is cut off", "new.parquet", "new.parquet", put("new.parquet", noise(300))),
        ("image", "an image, for a run of tables", "new.png", "new.png", put("new.png", png())),
        ("folder-of-images", "images, for a run of tables", "new", "new", images("new", 3)),
        ("empty-folder", "an empty folder", "new", "new", folder("new")),
        ("bundled", "a bundled data set without the columns", "iris", "size", nothing),
    ]  # fmt: skip
    found = [
        Case(f"predict/{name}", what, f"predict run {source} --out p.csv", says, both(table, make))
        for name, what, source, says, make in named
    ]
    pictures = [
        ("missing", "an image that is not there", "new.png", "new.png", nothing),
        ("table", "a table, for a run of images", "new.csv", "new.csv", put("new.csv", csv_text())),
        ("broken", "a broken image", "new.png", "new.png", put("new.png", cut(0))),
        ("zero-bytes", "an image of zero bytes", "new.png", "new.png", put("new.png", b"")),
        ("all-broken", "broken images only", "new", "3", images("new", 3, cut)),
        ("empty-folder", "an empty folder", "new", "new", folder("new")),
        ("texts", "a folder of texts", "new", "new", put("new/a.txt", "hello")),
    ]
    found += [
        Case(f"predict/image-{name}", what, f"predict run {source}", says, both(image, make))
        for name, what, source, says, make in pictures
    ]
    outs = [
        ("suffix", "predictions.xlsx", "xlsx", nothing),
        ("no-suffix", "predictions", "predictions", nothing),
        ("folder", "out.csv", "out.csv", folder("out.csv")),
        ("below-a-file", "data.csv/p.csv", "data.csv", nothing),
        ("its-input", "data.csv", "data.csv", nothing),
    ]
    return found + [
        Case(f"predict/out-{name}", f"--out {out} cannot be written", f"predict run data.csv --out {out}", says, both(table, make))
        for name, out, says, make in outs
    ]  # fmt: skip


HEADERS = ["size", "weight", "colour"]


def damaged(made: Made) -> list[Case]:
    """Runs with a file that is damaged or gone."""
    table = made.copy("table")
    gone_or_garbage = [
        ("preprocess.json", ("gone", None), ("empty", ""), ("noise", noise(300)), ("list", "[]"), ("cut-off", lambda data: data[: len(data) // 2]), ("no-info", fields(info={})), ("info-type", fields(info__classes=7)), ("columns-type", fields(preprocess__columns="x"))),
        ("recipe.yaml", ("gone", None), ("empty", ""), ("noise", noise(300)), ("cut-off", lambda data: data[: len(data) // 2]), ("other", lambda data: data.replace(b"width: 4", b"width: 6"))),
        ("model.safetensors", ("gone", None), ("empty", ""), ("noise", noise(300)), ("cut-off", lambda data: data[: len(data) // 2]), ("other-shapes", weights_of_other), ("changed", weights_changed), ("huge-header", b"\xff" * 7 + b"\x7f" + noise(99))),
        ("summary.json", ("empty", ""), ("noise", noise(300)), ("list", "[]")),
        ("settings.json", ("gone", None),),
    ]  # fmt: skip
    found = [
        Case(f"run/{file}-{name}", f"{file} of a run: {name.replace('-', ' ')}", "predict run data.csv --out p.csv", "run" if file == "settings.json" or content is None else file.split(".")[0], both(table, damage(file, content)))
        for file, *contents in gone_or_garbage
        for name, content in contents
    ]  # fmt: skip
    killed = both(table, unfinished)
    other_data = put("data.csv", csv_text(body=rows(60, seed=5)))
    resumes = [
        ("finished", "a finished run without more time", "resume run", "complete", table),
        ("other-kind", "seconds for a run of epochs", "resume run --budget +5m", "epochs", table),
        ("replay", "a replay", "resume run", "replay", both(table, damage("settings.json", fields(replay=True)))),
        ("budget", "more time that is none", "resume run --budget soon", "soon", table),
        ("missing", "a run that is not there", "resume runs/none", "runs/none", nothing),
        ("no-run", "a folder that is no run", "resume photos", "photos", good_photos),
        ("a-file", "a file instead of a run", "resume data.csv", "data.csv", good_table),
        ("settings-noise", "settings.json: noise", "resume run", "settings.json", both(killed, damage("settings.json", noise(300)))),
        ("settings-list", "settings.json: a list", "resume run", "settings.json", both(killed, damage("settings.json", "[]"))),
        ("settings-key", "settings.json: an unknown key", "resume run", "budgte", both(killed, damage("settings.json", fields(budgte="5m")))),
        ("settings-type", "settings.json: a seed in words", "resume run", "seed", both(killed, damage("settings.json", fields(seed="one")))),
        ("settings-budget", "settings.json: a budget that is none", "resume run", "soon", both(killed, damage("settings.json", fields(budget="soon")))),
        ("state-noise", "state.json: noise", "resume run", "state.json", both(killed, damage("state.json", noise(300)))),
        ("state-list", "state.json: a list", "resume run", "state.json", both(killed, damage("state.json", "[1]"))),
        ("state-type", "state.json: seconds in words", "resume run", "state.json", both(killed, damage("state.json", fields(spent_seconds="many")))),
        ("state-plan", "state.json: a plan that is none", "resume run", "state.json", both(killed, damage("state.json", fields(plan={"trial": 1})))),
        ("summary-noise", "summary.json: noise", "resume run", "summary.json", both(table, damage("summary.json", noise(300)))),
        ("summary-list", "summary.json: a list", "resume run", "summary.json", both(table, damage("summary.json", "[]"))),
        ("preprocess-noise", "preprocess.json: noise", "resume run", "preprocess.json", both(killed, damage("preprocess.json", noise(300)))),
        ("preprocess-list", "preprocess.json: a list", "resume run", "preprocess.json", both(killed, damage("preprocess.json", "[]"))),
        ("decisions-noise", "decisions.json: noise", "resume run", "decisions.json", both(killed, damage("decisions.json", noise(300)))),
        ("decisions-mapping", "decisions.json: a mapping", "resume run", "decisions.json", both(killed, damage("decisions.json", "{}"))),
        ("decisions-number", "decisions.json: a number", "resume run", "decisions.json", both(killed, damage("decisions.json", "7"))),
        ("decisions-rows", "decisions.json: rows that are none", "resume run", "decisions.json", both(killed, damage("decisions.json", '[{"stage": 1}]'))),
        ("journal-noise", "the journal: noise", "resume run", "study.journal", both(killed, damage("study.journal", noise(3000)))),
        ("journal-text", "the journal: a text", "resume run", "study.journal", both(killed, journal("hello", "world"))),
        ("journal-unknown", "the journal: a record of no known kind", "resume run", "study.journal", both(killed, journal({"op_code": 99, "worker_id": "x"}))),
        ("journal-half", "the journal: a record that lacks its facts", "resume run", "study.journal", both(killed, journal({"op_code": 0, "worker_id": "x"}))),
        ("journal-folder", "the journal: a folder", "resume run", "study.journal", both(killed, lambda at: (at / "run/study.journal").unlink(missing_ok=True), folder("run/study.journal"))),
        ("data-gone", "the data is gone", "resume run", "data.csv", both(killed, lambda at: (at / "data.csv").unlink())),
        ("data-changed", "the data has changed", "resume run", "data", both(killed, other_data)),
        ("space-gone", "its space file is gone", "resume run", "space.yaml", both(killed, damage("settings.json", fields(space="space.yaml")))),
    ]  # fmt: skip
    found += [Case(f"resume/{name}", what, words, says, make) for name, what, words, says, make in resumes]
    boards = [
        ("missing", "a run that is not there", "dashboard none", "none", nothing),
        ("no-run", "a folder that is no run", "dashboard photos", "photos", good_photos),
        ("no-journal", "a run without a journal", "dashboard run", "study.journal", both(table, lambda at: (at / "run/study.journal").unlink(missing_ok=True))),
        ("journal-noise", "a journal of noise", "dashboard run", "study.journal", both(table, damage("study.journal", noise(3000)))),
        ("settings-list", "settings.json: a list", "dashboard run", "settings.json", both(table, damage("settings.json", "[]"))),
        ("storage", "a storage that is none", "dashboard run --storage nonsense", "nonsense", table),
    ]  # fmt: skip
    found += [Case(f"dashboard/{name}", what, words, says, make) for name, what, words, says, make in boards]
    of_arrays = damage("settings.json", fields(source=None))
    checked = [
        ("verify-missing", "a run that is not there", "verify runs/none", "runs/none", nothing),
        ("verify-no-run", "a folder that is no run", "verify photos", "photos", good_photos),
        ("verify-budget", "a budget that is none", "verify run --budget soon", "soon", table),
        ("verify-device", "a device that is none", "verify run --device tpu", "tpu", table),
        ("verify-settings", "settings.json: noise", "verify run", "settings.json", both(table, damage("settings.json", noise(300)))),
        ("verify-data-gone", "the data is gone", "verify run", "--data", both(table, lambda at: (at / "data.csv").unlink())),
        ("verify-data-missing", "data that is not there", "verify run --data new.csv", "new.csv", table),
        ("verify-data-other", "data without the target", "verify run --data new.csv --budget 1epochs", "label", both(table, put("new.csv", csv_text(["a", "b"], [["1", "2"]] * 9)))),
        ("verify-arrays", "a run of arrays from Python", "verify run", "data=(X, y)", both(table, of_arrays)),
        ("compare-missing", "a run that is not there", "compare run runs/none", "runs/none", table),
        ("compare-no-run", "a folder that is no run", "compare run photos", "photos", both(table, good_photos)),
        ("compare-one", "one run", "compare run", "RUN", table),
        ("compare-summary", "summary.json: noise", "compare run run", "summary.json", both(table, damage("summary.json", noise(300)))),
        ("compare-recipe", "recipe.yaml: noise", "compare run run", "recipe.yaml", both(table, damage("recipe.yaml", noise(300)))),
        ("compare-preprocess", "preprocess.json: without its facts", "compare run run", "preprocess.json", both(table, damage("preprocess.json", fields(info={})))),
    ]  # fmt: skip
    found += [Case(f"check/{name}", what, words, says, make) for name, what, words, says, make in checked]
    empty = both(folder("run"), put("run/settings.json", '{"source": "data.csv"}'), good_table)
    return [
        *found,
        Case("check/verify-no-model", "a run that has no model yet", "verify run", "resume", empty),
        Case("check/compare-no-model", "a run that has no model yet", "compare run run", "resume", empty),
        Case("run/no-model", "a run that has no model yet", "predict run data.csv", "resume", empty),
        Case("run/missing", "a run that is not there", "predict runs/none data.csv", "runs/none", good_table),
        Case("run/no-run", "a folder that is no run", "predict photos data.csv", "photos", both(good_photos, good_table)),
        Case("run/search-over", "--out holds a finished run", f"{SEARCH} --out run", "resume run", table),
        Case("run/replay-over", "--out of a replay holds a finished run", "replay run/recipe.yaml data.csv --out run", "run", table),
    ]  # fmt: skip


def disks(made: Made) -> list[Case]:
    """A disk that is full, and a folder that may not be written; `here` is that place."""
    table, image = made.copy("table"), made.copy("image")
    recipe = put("recipe.yaml", recipe_text)

    def moved(at: Path) -> None:
        (at / "run").rename(at / "here/run")

    named: list[tuple[str, str, str, str, Make]] = [
        ("search", "search", f"{SEARCH} --out here/new", "here", good_table),
        (
            "replay",
            "replay",
            "replay recipe.yaml data.csv --out here/new --threads 1",
            "here",
            both(good_table, recipe),
        ),
        ("predict", "predict --out", "predict run data.csv --out here/p.csv", "here", table),
        ("predict-parquet", "predict --out", "predict run data.csv --out here/p.parquet", "here", table),
        ("resume", "resume", "resume here/run", "here", both(table, unfinished, folder("here"), moved)),
        (
            "resume-more",
            "resume --budget",
            "resume here/run --budget +5epochs",
            "here",
            both(image, folder("here"), moved),
        ),
    ]
    return [
        Case(f"disk/{place}-{name}", f"{what} {said}", words, says, both(make, lambda at: (at / "here").mkdir(exist_ok=True)), place=place)
        for place, said in (("full", "on a full disk"), ("read-only", "where nothing may be written"))
        for name, what, words, says, make in named
    ]  # fmt: skip


def all_cases(made: Made) -> list[Case]:
    """Everything of this file."""
    return [*options(), *spaces(), *recipes(), *inputs(made), *damaged(made), *disks(made)]
