"""What a bad input is, and the small good data sets and runs that bad ones are made of."""

import gzip
import io
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Make = Callable[[Path], object]


def nothing(folder: Path) -> None:
    """Lay out nothing."""


@dataclass(frozen=True)
class Case:
    """One bad input, as a user would have it."""

    name: str
    what: str
    """What is wrong with it."""
    words: str
    """What is typed after `autorecipe`, in the folder where `make` has laid out the input."""
    says: str
    """What the message must contain: the thing that was found."""
    make: Make = nothing
    """Lays the input out in an empty folder."""
    environment: dict[str, str] = field(default_factory=dict)
    place: str = ""
    """`full`: the folder `here` is a disk with a few free KiB; `read-only`: it may not be written."""


# Tables


def rows(count: int = 60, seed: int = 0) -> list[list[str]]:
    """Rows of size, weight, colour, label: learnable, two classes."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        size, colour = draw.gauss(0, 1), draw.choice(["red", "green", "blue"])
        label = "yes" if size + (colour == "red") > 0.3 else "no"
        found.append([f"{size:.4f}", f"{draw.gauss(5, 2):.4f}", colour, label])
    return found


HEADER = ["size", "weight", "colour", "label"]


def csv_text(header: list[str] | None = None, body: list[list[str]] | None = None, mark: str = ",") -> str:
    """A table as text; the good one unless header or body are given."""
    lines = [HEADER if header is None else header, *(rows() if body is None else body)]
    return "\n".join(mark.join(line) for line in lines) + "\n"


def column(name: str, values: Callable[[int], str]) -> str:
    """The good table with a column filled anew, or added; `values` is given the number of the row."""
    header = HEADER if name in HEADER else [name, *HEADER]
    body = [row if name in HEADER else ["", *row] for row in rows()]
    at = header.index(name)
    return csv_text(header, [[*row[:at], values(i), *row[at + 1 :]] for i, row in enumerate(body)])


def put(name: str, content: str | bytes | Callable[[], str | bytes]) -> Make:
    """Lays out one file; its folders too."""

    def make(folder: Path) -> None:
        data = content() if callable(content) else content
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    return make


def both(*makes: Make) -> Make:
    """One after the other."""

    def make(folder: Path) -> None:
        for one in makes:
            one(folder)

    return make


def good_table(folder: Path) -> None:
    """`data.csv`."""
    put("data.csv", csv_text())(folder)


def parquet(header: list[str], body: list[list[object]]) -> bytes:
    """A table as the bytes of a Parquet file."""
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(body, columns=header).to_parquet(buffer, index=False)
    return buffer.getvalue()


def good_parquet() -> bytes:
    """The good table as Parquet."""
    return parquet(HEADER, [[float(a), float(b), c, d] for a, b, c, d in rows()])


def zipped(text: str) -> bytes:
    """Text as gzip makes it, with no time in it."""
    return gzip.compress(text.encode(), mtime=0)


# Images


def png(seed: int = 0, size: tuple[int, int] = (8, 8)) -> bytes:
    """A small grey picture of noise, brighter for odd seeds."""
    from PIL import Image

    draw = random.Random(seed)
    low = 120 * (seed % 2)
    image = Image.frombytes("L", size, bytes(low + draw.randrange(100) for _ in range(size[0] * size[1])))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 60,000 x 60,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def images(name: str, count: int = 12, content: Callable[[int], bytes] | None = None) -> Make:
    """Lays out a folder of `count` images; `content` is given the number of each."""
    odd = sum(map(ord, name)) % 2

    def make(folder: Path) -> None:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            data = png(2 * i + odd) if content is None else content(i)
            (folder / name / f"{i:02}.png").write_bytes(data)

    return make


def good_photos(folder: Path) -> None:
    """`photos/cat` and `photos/dog`."""
    both(images("photos/cat"), images("photos/dog"))(folder)


def labelled(text: str | bytes | Callable[[], str | bytes], count: int = 24) -> Make:
    """`photos/` with numbered images and a label file."""
    return both(images("photos", count), put("photos/labels.csv", text))


def labels(count: int = 24, label: Callable[[int], str] = lambda i: ("cat", "dog")[i % 2]) -> str:
    """A good label file for them."""
    return "filename,label\n" + "".join(f"{i:02}.png,{label(i)}\n" for i in range(count))


# Runs


@dataclass(frozen=True)
class Made:
    """Finished runs that damaged ones are copies of."""

    folder: Path

    def copy(self, name: str) -> Make:
        """Lays out `run/`, a copy of the run `name`, beside a copy of its data."""

        def make(folder: Path) -> None:
            shutil.copytree(self.folder / "runs" / name, folder / "run")
            shutil.copytree(self.folder / "data", folder, dirs_exist_ok=True)
            settings = json.loads((folder / "run/settings.json").read_text())
            settings["source"] = str(folder / Path(settings["source"]).name)
            (folder / "run/settings.json").write_text(json.dumps(settings))

        return make


def recipe_text(kind: str = "table", **changes: object) -> str:
    """A short recipe for the good table or the good photos, as YAML; `network__width=4` changes a field."""
    from autorecipe.recipe import Recipe, dump_yaml, replace

    fitting = {
        "table": {"data.task": "binary", "data.target": "label", "network.family": "mlp"},
        "image": {"data.task": "binary", "data.resolution": 8, "data.channels": 1, "network.family": "resnet"},
    }[kind]
    short = {"network.width": 4, "network.blocks": [{"width": 4}], "training.steps": 2, "training.batch_size": 8}
    fields = {name.replace("__", "."): value for name, value in changes.items()}
    return dump_yaml(replace(Recipe(), {"data.modality": kind, **fitting, **short, **fields}))


def make_runs(folder: Path) -> Made:
    """Train the two short recipes on their data: finished runs."""
    from autorecipe.cli.main import run as autorecipe

    (folder / "data").mkdir(parents=True, exist_ok=True)
    good_table(folder / "data")
    good_photos(folder / "data")
    for kind, source in (("table", "data.csv"), ("image", "photos")):
        recipe, run = folder / f"{kind}.yaml", folder / "runs" / kind
        recipe.write_text(recipe_text(kind))
        if not (run / "summary.json").exists():
            words = [str(recipe), str(folder / "data" / source), "--out", str(run), "--threads", "1", "--quiet"]
            if code := autorecipe(["replay", *words]):
                raise SystemExit(f"the run '{kind}' that bad ones are copies of ended with exit code {code}")
            settings = json.loads((run / "settings.json").read_text())
            settings.pop("replay")  # short as they are, they stand for runs of searches
            (run / "settings.json").write_text(json.dumps(settings))
    return Made(folder)
