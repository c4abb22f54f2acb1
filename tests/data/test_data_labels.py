"""Folders with labels.csv: what is read, what is refused, and in which words."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autorecipe.data import ReadOptions, detect, inspect_dataset, load_dataset, modality
from autorecipe.data.image.labels import names_files, read_rows
from autorecipe.errors import InputError

IMAGE = modality("image")


def load(source, **options):
    return load_dataset(source, ReadOptions(**options))


def read(source, **options):
    return IMAGE.read(source, ReadOptions(**options), lambda sentence, done: None)


def found(raw, kind):
    findings = raw.findings if hasattr(raw, "findings") else raw.info.findings
    return [finding for finding in findings if finding.kind == kind]


@pytest.fixture
def labelled(tmp_path):
    """Write images `0.png` ... and a labels.csv; returns the folder."""

    def write(
        text=None, *, labels=("cat", "dog"), count=20, folder="set", images="", name="labels.csv", seed=0
    ) -> Path:
        root = tmp_path / folder
        (root / images).mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(seed)
        for i in range(count):
            pixels = random.integers(0, 256, (9, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(root / images / f"{i}.png")
        if text is None:
            text = "filename,label\n" + "".join(f"{i}.png,{labels[i % len(labels)]}\n" for i in range(count))
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return write


def rows(count=20, labels=("cat", "dog"), mark=",", end="\n"):
    return end.join(f"{i}.png{mark}{labels[i % len(labels)]}" for i in range(count)) + end


def test_labels_are_those_of_the_file(labelled):
    root = labelled()
    dataset = load(root)
    assert dataset.info.classes == ("cat", "dog")
    assert (dataset.info.task, dataset.info.target) == ("binary", "label")
    assert detect(root)[1] == "its labels.csv names images"
    assert detect(root / "labels.csv")[0].name == "image"
    assert load(root / "labels.csv").info == dataset.info
    for name, target, pixels in zip(dataset.names, dataset.targets, dataset.inputs[0], strict=True):
        assert ("cat", "dog")[int(Path(name).stem) % 2] == dataset.info.classes[target]
        assert np.array_equal(np.asarray(Image.open(root / name)), pixels[0].numpy())
    assert not dataset.info.findings


@pytest.mark.parametrize(
    "text",
    [
        "Filename,LABEL\n" + rows(),
        "file_name , Labels\r\n" + rows(end="\r\n"),
        "\ufeffFileName;label\n" + rows(mark=";"),
        "filename\tlabel\n" + rows(mark="\t"),
        '"filename","label"\n' + "".join(f'"{i}.png","{("cat", "dog")[i % 2]}"\n' for i in range(20)),
        "label,filename\n" + "".join(f"{('cat', 'dog')[i % 2]},./{i}.png\n" for i in range(20)),
        "\n\nfilename,label,\n\n" + rows().replace("\n", ",\n"),
        ("filename,label\n" + rows()).encode("utf-16"),
        "filename,label\r" + rows(end="\r"),
    ],
)
def test_ways_to_write_it(labelled, text):
    raw = read(labelled(text))
    assert raw.targets.tolist() == [("cat", "dog")[int(Path(name).stem) % 2] for name in raw.names]
    assert not raw.findings


def test_the_name_of_the_file_in_any_case_and_another_column(labelled):
    text = "filename,label,kind\n" + "".join(f"{i}.png,x,{('a', 'b')[i % 2]}\n" for i in range(20))
    raw = read(labelled(text, name="Labels.CSV"), target="kind")
    assert raw.facts["classes"] == ("a", "b")
    assert raw.facts["target"] == "kind"
    assert "'label'" in found(raw, "other_columns")[0].found
    assert read(labelled(text, folder="c"), target="Kind").facts["target"] == "kind"
    with pytest.raises(InputError, match=r"no column 'kid' of labels: did you mean 'kind'"):
        read(labelled(text, folder="b"), target="kid")


@pytest.mark.parametrize(("odd", "name"), [("ä€", "Windows-1252"), ("ä\x81", "Latin-1")])
def test_other_encodings_are_read_and_said_as_for_tables(labelled, odd, name):
    encoding = "cp1252" if name == "Windows-1252" else "latin-1"
    raw = read(labelled(("filename,label\n" + rows(labels=(f"B{odd}r", "Kuh"))).encode(encoding)))
    assert set(raw.targets) == {f"B{odd}r", "Kuh"}
    (finding,) = found(raw, "encoding")
    assert finding.warn
    assert "line 2" in finding.found
    assert "0xe4" in finding.found
    assert name in finding.done


def test_names_with_commas_quotes_and_accents(tmp_path):
    names = ["a, b.png", 'say "x".png', "Ära.png", "sub dir/c.png"]
    (tmp_path / "sub dir").mkdir()
    lines = ["filename,label"]
    for i, name in enumerate(names * 3):
        name = name.replace(".png", f"{i}.png")
        Image.new("L", (8, 8), i * 9).save(tmp_path / name)
        lines.append('"' + name.replace('"', '""') + f'",{"ab"[i % 2]}')
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    assert len(read(tmp_path).names) == 12


def test_a_name_in_two_characters_is_found(tmp_path):
    for i in range(12):
        Image.new("L", (8, 8), i * 9).save(tmp_path / f"Bu\u0308r{i}.png")
    lines = [f"B\u00fcr{i}.png,{'ab'[i % 2]}" for i in range(12)]
    (tmp_path / "labels.csv").write_text("filename,label\n" + "\n".join(lines), encoding="utf-8")
    assert len(read(tmp_path).names) == 12


def test_windows_separators(labelled):
    text = "filename,label\n" + "".join(f"pictures\\{i}.png,{'ab'[i % 2]}\n" for i in range(20))
    assert read(labelled(text, images="pictures")).names[0] == "pictures/0.png"


def test_images_in_a_folder_beside_the_file(labelled):
    raw = read(labelled(images="images"))
    assert raw.names[0] == "images/0.png"
    assert "images/" in found(raw, "images_below")[0].found


def test_each_split_has_its_file(labelled):
    labelled(folder="set/train", count=20)
    labelled(folder="set/TEST", count=8, seed=1)
    root = labelled(folder="set/validation", count=6, seed=2).parent
    dataset = load(root)
    assert dataset.info.num_examples == {"train": 20, "val": 6, "confirm": 0, "test": 8}
    assert all(dataset.names[i].startswith("TEST/") for i in dataset.splits.test)
    (root / "validation" / "labels.csv").unlink()
    dataset = load(root)
    assert "'validation' has neither labels.csv nor class folders" in found(dataset, "ignored_folder")[0].found


def test_a_train_folder_with_a_wrong_file_is_no_class(labelled):
    labelled("name,what\n0.png,cat\n", folder="set/train")
    root = labelled("name,what\n0.png,cat\n", folder="set/test").parent
    with pytest.raises(InputError, match=r"no column 'filename'; its first line is: name, what"):
        read(root)


def test_the_files_folders_are_splits_if_all_of_them_are(labelled):
    labelled(folder="set/train")
    root = labelled(folder="set/test", count=6, seed=1).parent
    for folder in ("train", "test"):
        (root / folder / "labels.csv").unlink()
    lines = [f"{place}/{i}.png,{'ab'[i % 2]}" for place, count in (("train", 20), ("test", 6)) for i in range(count)]
    (root / "labels.csv").write_text("filename,label\n" + "\n".join(lines))
    assert load(root).info.num_examples["test"] == 6
    Image.new("L", (9, 9)).save(root / "x.png")
    (root / "labels.csv").write_text("filename,label\nx.png,a\n" + "\n".join(lines))
    assert load(root).info.num_examples["test"] != 6


def test_the_file_wins_over_class_folders(image_folder):
    root = image_folder()
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    lines = [f"{name},{'ab'[i % 2]}" for i, name in enumerate(names)]
    (root / "labels.csv").write_text("filename,label\n" + "\n".join(lines))
    assert read(root).facts["classes"] == ("a", "b")
    (root / "labels.csv").write_text("id,name\n1,cat\n")  # it names no files: a list of the classes, say
    raw = read(root)
    assert raw.facts["classes"] == ("cat", "dog")
    assert "labels.csv" in found(raw, "other_files")[0].found


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (("0", "1"), "binary"),
        (("0", "1", "2"), "multiclass"),
        (("0.5", "1.5", "2"), "regression"),
        (("1e-3", "-2.5", "+.5"), "regression"),
        (("1.0", "2.0", "3.0"), "regression"),  # whole, but written as floats
        (("0.0", "1.0"), "binary"),
        (tuple(map(str, range(90))), "regression"),  # 2 of each: a quantity
        (("a", "1", "2.5"), "multiclass"),
    ],
)
def test_the_task_is_seen_in_the_labels(labelled, labels, task):
    raw = read(labelled(labels=labels, count=180))
    assert raw.facts["task"] == task
    if task == "regression":
        assert raw.targets.dtype == np.float64
        expected = [float(labels[int(Path(name).stem) % len(labels)]) for name in raw.names]
        assert raw.targets.tolist() == expected


def test_many_whole_numbers_are_classes_unless_asked(labelled):
    root = labelled(labels=tuple(map(str, range(30))), count=180)
    raw = read(root)
    assert (raw.facts["task"], len(raw.facts["classes"])) == ("multiclass", 30)
    assert "--task regression" in raw.facts["task_reason"]
    assert read(root, task="regression").targets.dtype == np.float64


def test_joined_labels_are_multilabel(labelled):
    raw = read(labelled(labels=("b|a", "a", "", "c | a|a", "|")))
    assert raw.facts["task"] == "multilabel"
    assert raw.facts["classes"] == ("a", "b", "c")
    expected = {0: "a|b", 1: "a", 2: "", 3: "a|c", 4: ""}
    assert raw.targets.dtype == object
    assert raw.targets.tolist() == [expected[int(Path(name).stem) % 5] for name in raw.names]
    assert "joined by '|'" in raw.facts["task_reason"]
    dataset = load(labelled(labels=("b|a", "a", "", "c | a|a", "|")))
    rows = {0: [1, 1, 0], 1: [1, 0, 0], 2: [0, 0, 0], 3: [1, 0, 1], 4: [0, 0, 0]}
    assert dataset.targets.tolist() == [rows[int(Path(name).stem) % 5] for name in dataset.names]
    assert "8 of 20 examples have no label" in found(dataset, "no_labels")[0].found


def test_single_labels_are_multilabel_if_asked(labelled):
    raw = read(labelled(), task="multilabel")
    assert raw.facts["task"] == "multilabel"
    assert set(raw.targets) == {"cat", "dog"}
    assert set(read(labelled(labels=("b|a", "a"), folder="b"), task="multiclass").targets) == {"b|a", "a"}
    with pytest.raises(InputError, match="'label' has one label, 'a', in 20 examples"):
        read(labelled(labels=("a", "a|a", ""), folder="c"))


def test_images_without_a_label_are_counted_and_left_out(labelled):
    raw = read(labelled(labels=("cat", "dog", "", "dog")))
    assert len(raw.names) == 15
    (finding,) = found(raw, "missing_labels")
    assert finding.warn
    assert "5 of 20" in finding.found
    raw = read(labelled(labels=("1.5", "NaN", "2.25", "n/a", "3"), folder="b"))
    assert raw.facts["task"] == "regression"
    assert len(raw.names) == 12
    assert read(labelled(labels=("None", "x"), folder="c")).facts["classes"] == ("None", "x")


def test_images_that_are_not_named_are_left_out(labelled):
    raw = read(labelled("filename,label\n" + rows(12)))
    assert len(raw.names) == 12
    assert "does not name: 8 (12.png, 13.png, 14.png, ...)" in found(raw, "unlabelled_images")[0].found


def test_the_same_line_again_is_dropped_and_said(labelled):
    raw = read(labelled("filename,label\n" + rows() + "3.png,dog\nx/../3.png,dog\n"))
    assert len(raw.names) == 20
    assert "label: 2 (line 22: 3.png" in found(raw, "named_twice")[0].found
    raw = read(labelled("filename,label\n" + rows(labels=("a|b", "c")) + "0.png,b|a\n", folder="b"))
    assert len(raw.names) == 20


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("filename,label\n" + rows() + "3.png,cat\n", r"'3.png' in line 5 as 'dog' and in line 22 as 'cat'.*join"),
        ("filename,label\n" + rows() + "99.png,cat\n", r"files that are not in .*: 1 of 21 \(line 22: 99.png.*remove"),
        ("filename,label\n../x.png,cat\n", r"line 2: '../x.png' leads out of"),
        ("filename,label\na/../../x.png,cat\n", "leads out of"),
        ("filename,label\n..\\x.png,cat\n", "leads out of"),
        ("filename,label\n/etc/passwd,cat\n", "'/etc/passwd' leads out of"),
        ("filename,label\nC:\\x.png,cat\n", "leads out of"),
        ("filename,label\n.,cat\n", "not in"),
        ("filename,label\n" + "x" * 5000 + ",cat\n", "not in"),
        ("filename,label\n" + rows() + "4.png\n", r"line 22: 1 fields, but the first line has 2"),
        ("filename,label\n" + rows() + "4.png,cat,dog\n", "line 22: 3 fields"),
        ("filename,label\n" + rows() + ",cat\n", "line 22 names no file"),
        ("filename,label\n", "nothing stands below"),
        ("filename,class\n" + rows(), r"no column 'label'; it has: filename, class. To take another: --target COLUMN"),
        ("filename,label,label\n1.png,a,b\n", "'label' more than once"),
        (rows(), r"no column 'filename'; its first line is: 0.png, cat. Write there: filename,label"),
        ("", "its first line is: nothing"),
        ("filename,label\n" + rows(labels=("",)), "20 rows leave it empty"),
        ("filename,label\n" + rows(labels=("cat",)), "only one value, 'cat'"),
        ("filename,label\n" + rows(labels=("1.5", "inf")), "infinite"),
        ("filename,label\n" + rows(labels=("1.5", "1e999")), "infinite"),
        ("filename,label\n" + rows() + '"4.png,cat\n', "quotation marks"),
        (b"filename,label\n\x00\x01", "zero bytes"),
        (b"\x89PNG\r\n\x1a\n\xff\xff", "no column 'filename'"),
        ("filename,label\n0.png," + "x" * 500 + "\n", r"label of 500 characters"),
        ("filename,label\n0.png," + "x" * 200_000 + "\n", r"line 2: field larger"),
        ("filename,label\n" + rows() + "0.png|1.png,a\n", "not in"),
    ],
)
def test_what_is_refused(labelled, text, match):
    root = labelled(text)
    with pytest.raises(InputError, match=match):
        load(root)


def test_a_class_of_one_image_is_refused(labelled):
    with pytest.raises(InputError, match=r"class 'cow' in .* has 1 image"):
        load(labelled("filename,label\n" + rows(19) + "19.png,cow\n"))


def test_links_out_of_the_folder_are_refused(labelled, tmp_path):
    root = labelled()
    (tmp_path / "secret.png").write_bytes((root / "0.png").read_bytes())
    (root / "3.png").unlink()
    (root / "3.png").symlink_to(root / "4.png")
    assert len(read(root).names) == 20
    (root / "3.png").unlink()
    (root / "3.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match=r"line 5: '3.png' leads out of"):
        read(root)
    (root / "3.png").unlink()
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "x.png").write_bytes((root / "0.png").read_bytes())
    (root / "away").symlink_to(tmp_path / "away")
    (root / "labels.csv").write_text("filename,label\n" + rows(3) + "away/x.png,dog\n")
    with pytest.raises(InputError, match=r"line 5: 'away/x.png' leads out of"):
        read(root)


def test_a_file_without_its_images_is_no_table(tmp_path):
    (tmp_path / "labels.csv").write_text("filename,label\n" + rows())
    with pytest.raises(InputError, match=r"files that are not in .*: 20 of 20"):
        inspect_dataset(tmp_path, ReadOptions())


def test_two_label_files_are_refused(labelled):
    root = labelled()
    (root / "Labels.csv").write_text("filename,label\n")
    if len(list(root.iterdir())) == 22:  # not where case does not count
        with pytest.raises(InputError, match=r"Labels.csv and labels.csv; leave one"):
            read(root)


def test_a_file_that_is_no_image_is_left_out_and_named(labelled):
    root = labelled()
    (root / "0.png").write_bytes(b"no image")
    (root / "1.png").write_bytes(b"")
    (root / "notes.txt").write_text("x")
    (root / "labels.csv").write_text("filename,label\n" + rows() + "notes.txt,cat\n")
    raw = read(root)
    assert len(raw.names) == 18
    (finding,) = found(raw, "unreadable_files")
    assert "3 of 21" in finding.found
    assert "0.png, notes.txt: not an image" in finding.found


def test_classes_that_are_lost_with_their_files_are_named(labelled):
    root = labelled(labels=("cat", "dog", "cow"))
    for i in range(2, 20, 3):
        (root / f"{i}.png").write_bytes(b"no image")
    raw = read(root)
    assert raw.facts["classes"] == ("cat", "dog")
    assert "can be read: 1 (cow)" in found(raw, "lost_classes")[0].found


def test_new_labels_need_no_new_decoding(labelled, monkeypatch):
    from autorecipe.data.image import decode

    root = labelled()
    read(root)
    (root / "labels.csv").write_text("label,filename\n" + "".join(f"{'xy'[i % 2]},{19 - i}.png\n" for i in range(20)))
    monkeypatch.setattr(decode, "decode", None)
    assert read(root).facts["classes"] == ("x", "y")


HEADERS = [b"", b"filename,label\n", b"\xef\xbb\xbffilename;label\r\n", b"filename\tlabel\n", b'"filename","label"\n']
LINES = st.lists(
    st.sampled_from(
        [b"0.png,a", b"1.png;b", b"2.png\tc", b"../x,y", b'"3.png","a|b"', b'"', b"0.png,", b",", b"4.png,1.5"]
    )
    | st.binary(max_size=12),
    max_size=8,
)


@pytest.fixture(scope="module")
def five():
    """A folder with five images."""
    with tempfile.TemporaryDirectory() as place:
        for i in range(5):
            Image.new("L", (8, 8), 40 * i).save(Path(place) / f"{i}.png")
        yield Path(place)


@settings(deadline=None)
@given(header=st.sampled_from(HEADERS), lines=LINES, rest=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(five, header, lines, rest):
    path = five / "labels.csv"
    path.write_bytes(header + b"\n".join(lines) + rest)
    try:
        rows = read_rows(path)
    except InputError:
        rows = None
    else:
        assert len(rows.files) == len(rows.labels) == len(rows.lines) > 0
    try:
        raw = read(five)
    except InputError:
        return
    assert rows is not None
    assert set(raw.names) <= {f"{i}.png" for i in range(5)}
    assert names_files(path)


names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.dictionaries(names.map(str.strip).filter(bool), names.map(str.strip), min_size=1), st.sampled_from(",;\t"))
def test_what_is_written_is_read(table, mark):
    import csv

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "labels.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=mark)
            writer.writerow(["filename", "label"])
            writer.writerows(table.items())
        rows = read_rows(path)
    assert dict(zip(rows.files, rows.labels, strict=True)) == table
