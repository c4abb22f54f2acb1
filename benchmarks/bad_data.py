"""Bad folders of images, label files and tables."""

import os
import random
from functools import partial
from pathlib import Path

from bad_cases import (
    Case,
    bomb,
    both,
    column,
    csv_text,
    good_parquet,
    good_photos,
    good_table,
    images,
    labelled,
    labels,
    nothing,
    parquet,
    png,
    put,
    rows,
    zipped,
)

INSPECT = "inspect data.csv --target label"


def noise(count: int) -> bytes:
    """Bytes that are no format, the same each time."""
    return random.Random(1).randbytes(count)


def folder(*names: str):
    """Lays out empty folders."""

    def make(at: Path) -> None:
        for name in names:
            (at / name).mkdir(parents=True)

    return make


def link(name: str, to: str):
    """Lays out a symbolic link."""

    def make(at: Path) -> None:
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).symlink_to(to)

    return make


def pipe(at: Path) -> None:
    """A named pipe that nobody writes to: reading it would wait for ever."""
    os.mkfifo(at / "data.csv")


def cut(seed: int) -> bytes:
    """The first half of a PNG."""
    data = png(seed, (32, 32))
    return data[: len(data) // 2]


def paths() -> list[Case]:
    """What is named as data and is none."""
    named = [
        ("missing-file", "a file that is not there", "data.csv", nothing),
        ("missing-folder", "a folder that is not there", "photos/train", nothing),
        ("mistyped-name", "a bundled data set, mistyped", "digitz", nothing),
        ("wrong-case", "a bundled data set in capitals", "IRIS", nothing),
        ("url", "an address on the web", "https://example.org/data.csv", nothing),
        ("home-of-nobody", "the home folder of a user who is not there", "~nosuchuser/data.csv", nothing),
        ("very-long-name", "a name longer than a file system takes", "a" * 300 + ".csv", nothing),
        ("very-long-path", "a path longer than a file system takes", "a/" * 3000 + "b.csv", nothing),
        ("broken-link", "a link that leads nowhere", "data.csv", link("data.csv", "gone.csv")),
        ("link-to-itself", "a link that leads to itself", "data.csv", link("data.csv", "data.csv")),
        ("below-a-file", "a path that goes through a file", "data.csv/train", good_table),
        ("empty-folder", "an empty folder", "photos", folder("photos")),
        ("folder-named-csv", "an empty folder with the name of a table", "data.csv", folder("data.csv")),
        ("empty-classes", "class folders with nothing in them", "photos", folder("photos/cat", "photos/dog")),
        ("hidden-only", "a folder with hidden files only", "photos", put("photos/.DS_Store", noise(40))),
        ("texts", "a folder of text files", "photos", put("photos/readme.txt", "hello\n")),
        ("other-suffix", "an Excel file", "book.xlsx", put("book.xlsx", b"PK\3\4" + noise(400))),
        ("zip", "an archive of images", "photos.zip", put("photos.zip", b"PK\3\4" + noise(400))),
        ("no-suffix", "a file without a suffix", "data", put("data", csv_text())),
        ("python-file", "a script", "train.py", put("train.py", "print(1)\n")),
        ("pipe", "a named pipe", "data.csv", pipe),
        ("device-file", "a device file", "/dev/null", nothing),
    ]
    found = [Case(f"path/{name}", what, f"inspect {source}", source[:60], make) for name, what, source, make in named]
    for command in ("search", "lr-find"):
        found += [
            Case(f"path/{command}-{name}", what, f"{command} {source}", source, make)
            for name, what, source, make in named
            if name in ("missing-file", "mistyped-name", "empty-folder", "empty-classes", "texts")
        ]
    return [*found, Case("path/empty-name", "an empty name", "inspect ''", "data set ''")]


def photos() -> list[Case]:
    """Folders of images that cannot be learned from, or not as asked."""
    two, search = partial(images, "photos/cat"), "inspect photos"
    dog = images("photos/dog")
    named = [
        ("one-class", "one class folder", "photos", images("photos/cat", 24)),
        ("one-image-in-class", "a class with one image", "dog", both(two(), images("photos/dog", 1))),
        ("one-image-each", "one image in each class", "cat", both(two(1), images("photos/dog", 1))),
        ("few-images", "six images", "6", both(two(3), images("photos/dog", 3))),
        ("one-image", "a single image", "photos", images("photos", 1)),
        ("no-classes", "images without class folders or labels", "photos", images("photos", 24)),
        ("zero-bytes", "images of zero bytes", "24", both(two(12, lambda i: b""), images("photos/dog", 12, lambda i: b""))),
        ("all-cut-off", "images that are cut off", "24", both(two(12, cut), images("photos/dog", 12, cut))),
        ("all-noise", "noise named .png", "24", both(*(images(f"photos/{c}", 12, lambda i: noise(99)) for c in "ab"))),
        ("pages-named-png", "web pages named .png", "24", both(*(images(f"photos/{c}", 12, lambda i: b"<html>no</html>") for c in "ab"))),
        ("bombs-only", "images of 60,000 x 60,000 pixels", "24", both(*(images(f"photos/{c}", 12, lambda i: bomb()) for c in "ab"))),
        ("one-class-broken", "one of two classes broken", "cat", both(two(), images("photos/dog", 12, cut))),
        ("one-class-of-bombs", "one of two classes bombs", "cat", both(two(), images("photos/dog", 12, lambda i: bomb()))),
        ("one-class-empty", "one of two class folders empty", "photos", both(two(), folder("photos/dog"))),
        ("one-class-of-texts", "one of two classes holds texts", "photos", both(two(), put("photos/dog/a.txt", "dog"))),
        ("test-without-class", "a class in test that train lacks", "bird", both(images("photos/train/cat"), images("photos/train/dog"), images("photos/test/bird"))),

        ("empty-train", "an empty train folder", "train", both(folder("photos/train"), images("photos/test/cat"), images("photos/test/dog"))),
        ("train-has-one-class", "one class in train", "dog", both(images("photos/train/cat"), images("photos/test/cat"), images("photos/test/dog"))),
    ]  # fmt: skip
    found = [Case(f"images/{name}", what, search, says, make) for name, what, says, make in named]
    options = [
        ("resolution-zero", "--resolution 0", "0"),
        ("resolution-negative", "--resolution -8", "-8"),
        ("resolution-tiny", "--resolution 3", "3"),
        ("resolution-huge", "--resolution 100000", "100000"),
        ("resolution-word", "--resolution big", "--resolution"),
        ("regression", "--task regression", "regression"),
        ("metric-of-regression", "--metric rmse", "rmse"),
        ("metric-unknown", "--metric acuracy", "acuracy"),
        ("task-unknown", "--task segmentation", "segmentation"),
        ("group-column", "--group patient", "--group"),
        ("time-column", "--time day", "--time"),
        ("range", "--range 0,1", "range"),
    ]
    found += [
        Case(f"images/{name}", f"{words} for class folders", f"inspect photos {words}", says, good_photos)
        for name, words, says in options
    ]
    three = both(two(), dog, images("photos/bird"))
    return [
        *found,
        Case("images/binary-of-three", "three classes as binary", "inspect photos --task binary", "3", three),
    ]


def label_files() -> list[Case]:
    """`labels.csv` beside images."""
    good = labels()
    named = [
        ("missing-files", "it names files that are not there", "nothere", "filename,label\n" + "".join(f"nothere{i}.png,{'ab'[i % 2]}\n" for i in range(24))),
        ("outside", "it names a file outside the folder", "../secret.png", good + "../secret.png,cat\n"),
        ("absolute", "it names an absolute path", "/etc/hostname.png", good + "/etc/hostname.png,cat\n"),
        ("two-labels-for-one", "a file with two different labels", "00.png", good + "00.png,bird\n"),
        ("no-header", "no header", "filename", good.split("\n", 1)[1]),
        ("other-header", "no column filename", "filename", good.replace("filename", "path")),
        ("no-label-column", "no column label", "label", good.replace("label", "kind")),
        ("empty", "an empty file", "labels.csv", ""),
        ("header-only", "a header and nothing else", "names no image", "filename,label\n"),
        ("binary", "bytes that are no text", "labels.csv", noise(2000)),
        ("zero-bytes", "zero bytes in the text", "labels.csv", good.replace("cat", "c\0t")),
        ("short-row", "a row with one field", "line 26", good + "00.png\n"),
        ("long-row", "a row with three fields", "line 26", good + "00.png,cat,7\n"),
        ("open-quote", "a quotation mark that is never closed", "labels.csv", good + '"23.png,cat\n' + "x,y\n" * 200),
        ("no-file-name", "a row without a file name", "line 26", good + ",cat\n"),
        ("all-empty-labels", "no row has a label", "label", labels(label=lambda i: "")),
        ("one-label", "one label", "cat", labels(label=lambda i: "cat")),
        ("float-and-text", "numbers with fractions and texts as labels", "label", labels(label=lambda i: "cat" if i == 7 else f"{i}.5")),
        ("all-different", "a label of its own for each image", "label", labels(label=lambda i: f"name{i}")),
        ("long-label", "a label of 5,000 characters", "5,000", good + "00.png," + "x" * 5000 + "\n"),
        ("twice-the-column", "the column label twice", "label", good.replace("filename,label", "filename,label,label").replace(",cat", ",cat,1").replace(",dog", ",dog,2")),
        ("a-page", "a web page", "labels.csv", "<!doctype html>\n<html><body>Not found</body></html>\n"),
    ]  # fmt: skip
    found = [Case(f"labels/{name}", what, "inspect photos", says, labelled(text)) for name, what, says, text in named]
    more = [
        Case("labels/target", "--target names no column", "inspect photos --target kind", "kind", labelled(good)),
        Case("labels/binary-of-three", "three labels as binary", "inspect photos --task binary", "3", labelled(labels(label=lambda i: "abc"[i % 3]))),
        Case("labels/regression", "names as regression", "inspect photos --task regression", "cat", labelled(good)),
        Case("labels/two-files", "labels.csv and Labels.csv", "inspect photos", "Labels.csv", both(labelled(good), put("photos/Labels.csv", good))),
        Case("labels/all-broken", "every image is broken", "inspect photos", "24", both(images("photos", 24, cut), put("photos/labels.csv", good))),
        Case("labels/link-outside", "an image that is a link to a file outside", "inspect photos", "24.png", both(labelled(good + "24.png,cat\n"), put("secret.png", png()), link("photos/24.png", "../secret.png"))),
        Case("labels/one-missing", "it names one file that is not there", "inspect photos", "gone.png", labelled(good + "gone.png,cat\n")),
        Case("labels/no-images", "a label file without images", "inspect photos", "00.png", put("photos/labels.csv", good)),
    ]  # fmt: skip
    return found + more


def table_files() -> list[Case]:
    """Files that are no table, or a broken one."""
    good = csv_text()
    named = [
        ("empty", "an empty file", "data.csv", "data.csv", ""),
        ("blank-lines", "blank lines only", "data.csv", "data.csv", "\n \n\n"),
        ("header-only", "a header and nothing else", "data.csv", "data.csv", csv_text(body=[])),
        ("one-column", "one column", "data.csv", "label", "label\n" + "yes\nno\n" * 30),
        ("few-rows", "five rows", "data.csv", "5", csv_text(body=rows(5))),
        ("short-row", "a row with a field too few", "data.csv", "line 30", csv_text(body=[*rows(28), ["1", "2", "red"], *rows(28)])),
        ("long-row", "a row with a field too many", "data.csv", "line 30", csv_text(body=[*rows(28), ["1", "2", "red", "yes", "9"], *rows(28)])),
        ("same-names", "two columns of the same name", "data.csv", "size", csv_text(["size", "size", "colour", "label"])),
        ("same-target", "two columns of the target's name", "data.csv", "label", csv_text(["size", "label", "colour", "label"])),
        ("binary", "bytes that are no text", "data.csv", "data.csv", noise(4000)),
        ("zero-bytes", "zero bytes in the text", "data.csv", "data.csv", good.replace("red", "r\0d")),
        ("picture", "a picture named .csv", "data.csv", "data.csv", png()),
        ("workbook", "an Excel file named .csv", "data.csv", "data.csv", b"PK\3\4" + noise(4000)),
        ("open-quote", "a quotation mark that is never closed", "data.csv", "data.csv", csv_text(body=[*rows(28), ['"1', "2", "red", "yes"], *rows(28)])),
        ("a-page", "a web page", "data.csv", "data.csv", "<!doctype html>\n<html><body>\n<p>Not found, sorry</p>\n</body></html>\n"),
        ("json", "JSON", "data.csv", "data.csv", '{"rows": [\n{"size": 1, "label": "yes"},\n{"size": 2, "label": "no"}\n]}\n'),
        ("prose", "a letter", "data.csv", "data.csv", "Dear colleague,\nplease find, as promised, the data attached.\nYours, A.\n"),
        ("gz-noise", "noise named .csv.gz", "data.csv.gz", "data.csv.gz", noise(500)),
        ("gz-cut-off", "a .csv.gz that is cut off", "data.csv.gz", "data.csv.gz", zipped(good)[:200]),
        ("gz-damaged", "a .csv.gz with damage in the middle", "data.csv.gz", "data.csv.gz", zipped(good)[:300] + b"\0" * 40 + zipped(good)[340:]),
        ("gz-empty", "a .csv.gz of nothing", "data.csv.gz", "data.csv.gz", zipped("")),
        ("parquet-noise", "noise named .parquet", "data.parquet", "data.parquet", noise(500)),
        ("parquet-empty", "an empty .parquet", "data.parquet", "data.parquet", b""),
        ("parquet-cut-off", "a .parquet that is cut off", "data.parquet", "data.parquet", lambda: good_parquet()[:900]),
        ("parquet-of-text", "a CSV file named .parquet", "data.parquet", "data.parquet", good),
        ("parquet-no-rows", "a .parquet without rows", "data.parquet", "data.parquet", lambda: parquet(["size", "label"], [])),
        ("parquet-lists", "a .parquet whose target holds lists", "data.parquet", "label", lambda: parquet(["size", "label"], [[float(i), [i]] for i in range(60)])),
        ("tsv-of-commas", "commas in a .tsv, one column by its tabs", "data.tsv", "label", good.replace(",label", " label").replace("\n", "\n", 1)),
    ]  # fmt: skip
    found = [
        Case(f"table/{name}", what, f"inspect {file} --target label", says, put(file, text))
        for name, what, file, says, text in named
        if name != "tsv-of-commas"
    ]
    found += [
        Case("table/test-without-column", "test.csv without a column of train.csv", "inspect both --target label", "weight", both(put("both/train.csv", good), put("both/test.csv", csv_text(["size", "label"], [[r[0], r[3]] for r in rows()])))),
        Case("table/test-new-class", "a class in test.csv that train.csv lacks", "inspect both --target label", "perhaps", both(put("both/train.csv", good), put("both/test.csv", csv_text(body=[[*r[:3], "perhaps"] for r in rows(20)])))),
        Case("table/test-empty", "an empty test.csv", "inspect both --target label", "test.csv", both(put("both/train.csv", good), put("both/test.csv", ""))),
        Case("table/two-trains", "train.csv and train.parquet", "inspect both --target label", "train", both(put("both/train.csv", good), put("both/train.parquet", good_parquet))),
        Case("table/search-binary", "bytes that are no text, searched", "search data.csv", "data.csv", put("data.csv", noise(4000))),
        Case("table/lr-find-empty", "an empty file, for lr-find", "lr-find data.csv", "data.csv", put("data.csv", "")),
    ]  # fmt: skip
    return found


def targets() -> list[Case]:
    """Columns and options that do not fit a good table."""
    named = [
        ("target-mistyped", "a target that is no column", "--target lable", "lable"),
        ("target-empty", "an empty target", "--target ''", "''"),
        ("target-case", "a target in capitals", "--target Label", "Label"),
        ("target-unlike", "a target that is like no column", "--target price", "price"),
        ("target-repeated", "a label column named twice", "--target label,label", "label"),
        ("targets-unknown", "one of several targets is no column", "--target size,lable", "lable"),
        ("targets-not-binary", "several targets that do not hold 0 and 1", "--target size,weight", "size"),
        ("task-unknown", "a task that is none", "--target label --task clasification", "clasification"),
        ("task-regression", "texts as regression", "--target label --task regression", "label"),
        ("task-binary", "three classes as binary", "--target colour --task binary", "colour"),
        ("metric-unknown", "a metric that is none", "--target label --metric acuracy", "acuracy"),
        ("metric-of-regression", "a metric of another task", "--target label --metric rmse", "rmse"),
        ("metric-of-classes", "a metric of another task", "--target size --metric accuracy", "accuracy"),
        ("metric-empty", "an empty metric", "--target label --metric ''", "''"),
        ("keep-unknown", "a column to keep that is not there", "--target label --keep colr", "colr"),
        ("drop-unknown", "a column to leave out that is not there", "--target label --drop colr", "colr"),
        ("drop-target", "the target is left out", "--target label --drop label", "label"),
        ("drop-all", "every column is left out", "--target label --drop size --drop weight --drop colour", "colour"),
        ("group-unknown", "a group that is no column", "--target label --group patient", "patient"),
        ("group-is-target", "the group is the target", "--target label --group label", "label"),
        ("time-unknown", "a time that is no column", "--target label --time day", "day"),
        ("time-of-texts", "a time that holds texts", "--target label --time colour", "colour"),
        ("time-is-target", "the time is the target", "--target size --time size", "size"),
        ("group-and-time", "group and time at once", "--target label --group colour --time weight", "--time"),
        ("range-reversed", "a range from high to low", "--target size --range 5,1", "5,1"),
        ("range-nonsense", "a range that is none", "--target size --range wide", "wide"),
        ("range-one-number", "a range of one number", "--target size --range 5", "5"),
        ("range-nan", "a range up to nan", "--target size --range 0,nan", "nan"),
        ("range-of-classes", "a range for classes", "--target label --range 0,1", "range"),
        ("range-too-narrow", "targets outside the range", "--target size --range 0,0.1", "0"),
        ("resolution", "a resolution for a table", "--target label --resolution 3", "resolution"),
    ]
    found = [
        Case(f"option/{name}", what, f"inspect data.csv {words}", says, good_table) for name, what, words, says in named
    ]
    filled = [
        ("all-na", "a target without a value", "", lambda i: ""),
        ("all-na-words", "a target of NA", "", lambda i: "NA"),
        ("constant", "a target with one value", "yes", lambda i: "yes"),
        ("all-different", "a class of its own for each row", "60", lambda i: f"name{i}"),
        ("almost-all-na", "a target with four values", "4", lambda i: ("yes", "no")[i % 2] if i < 4 else ""),
    ]
    return found + [
        Case(f"target/{name}", what, INSPECT, says or "label", put("data.csv", column("label", values)))
        for name, what, says, values in filled
    ] + [
        Case("target/infinite", "a target of infinities", "inspect data.csv --target size --task regression", "size", put("data.csv", column("size", lambda i: "inf"))),
        Case("target/no-inputs", "the target and an empty column", "inspect data.csv --target label", "empty", put("data.csv", csv_text(["label", "empty"], [[r[3], ""] for r in rows()]))),
    ]  # fmt: skip


def fine() -> list[Case]:
    """Odd, and to be read all the same: exit code 0."""
    good = csv_text()
    accented = good.replace("red", "röt")
    named = [
        ("utf-16", "UTF-16 with its mark", "data.csv", accented.encode("utf-16")),
        ("latin-1", "Latin-1", "data.csv", accented.encode("latin-1")),
        ("mark", "UTF-8 with a byte-order mark", "data.csv", accented.encode("utf-8-sig")),
        ("windows-lines", "lines that end as on Windows", "data.csv", good.replace("\n", "\r\n")),
        ("semicolons", "semicolons between the fields", "data.csv", csv_text(mark=";")),
        ("tabs", "tabs in a .csv", "data.csv", csv_text(mark="\t")),
        ("no-last-newline", "no newline at the end", "data.csv", good.rstrip()),
        ("blank-lines", "blank lines between the rows", "data.csv", good.replace("\n", "\n\n")),
        ("gz", "a .csv.gz", "data.csv.gz", zipped(good)),
        ("parquet", "a .parquet", "data.parquet", good_parquet),
        ("upper-suffix", "a suffix in capitals", "DATA.CSV", good),
        ("gaps", "gaps in a column", "data.csv", column("size", lambda i: "" if i % 3 else "1.5")),
        ("infinities", "infinities in a column", "data.csv", column("size", lambda i: "inf" if i % 3 else "1.5")),
        ("some-na-target", "gaps in the target", "data.csv", column("label", lambda i: ("yes", "no", "")[i % 3])),
        ("constant-column", "a constant column", "data.csv", column("extra", lambda i: "7")),
        ("identifier", "an identifier", "data.csv", column("id", lambda i: f"{i:05}")),
    ]
    found = [
        Case(f"fine/{name}", what, f"inspect {file} --target label", "label", put(file, text))
        for name, what, file, text in named
    ]
    broken = both(good_photos, put("photos/cat/broken.png", cut(0)), put("photos/dog/bomb.png", bomb))
    return [
        *found,
        Case("fine/some-broken", "a broken image and a bomb among good ones", "inspect photos", "broken", broken),
        Case("fine/labels-utf-16", "a label file in UTF-16", "inspect photos", "cat", labelled(labels().encode("utf-16"))),
        Case("fine/test-without-target", "test.csv without the target", "inspect both --target label", "target", both(put("both/train.csv", good), put("both/test.csv", csv_text(["size", "weight", "colour", "kind"])))),
        Case("fine/labels-text-file", "a label file that names a text file", "inspect photos", "note.txt", both(labelled(labels() + "note.txt,cat\n"), put("photos/note.txt", "hello"))),
        Case("fine/empty-test", "an empty test folder", "inspect photos", "cat", both(images("photos/train/cat"), images("photos/train/dog"), folder("photos/test"))),
        Case("fine/cache-is-a-file", "a cache that cannot be written", "inspect photos", "cat", both(good_photos, put("cache", "x")), {"AUTORECIPE_CACHE": "cache"}),
    ]  # fmt: skip
