import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from autorecipe.data import ReadOptions, load_dataset, modality
from autorecipe.data.image import arrays, decode
from autorecipe.data.image.decode import Shape
from autorecipe.data.image.measure import choose_resolution
from autorecipe.errors import InputError

IMAGE = modality("image")


def load(source, **options):
    return load_dataset(source, ReadOptions(**options))


def findings(dataset, kind):
    return [finding for finding in dataset.info.findings if finding.kind == kind]


def test_a_folder_of_class_folders(image_folder):
    root = image_folder(count=20)
    dataset = load(str(root))
    (pixels,) = dataset.inputs
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (40, 1, 12, 12)
    info = dataset.info
    assert (info.name, info.modality, info.task, info.classes) == ("set", "image", "binary", ("cat", "dog"))
    assert (info.resolution, info.channels, info.resolution_reason) == (12, 1, "all images are 12x12")
    assert info.num_examples == {"train": 26, "val": 6, "confirm": 0, "test": 8}
    for name, picture, target in zip(dataset.names, pixels, dataset.targets, strict=True):
        assert np.array_equal(np.asarray(Image.open(root / name)), picture[0].numpy())
        assert name.startswith(info.classes[target])
    assert json.loads(json.dumps(dataset.preprocess)) == dataset.preprocess


def test_pixel_statistics_are_those_of_train(image_folder):
    dataset = load(image_folder(count=20, grey=False))
    train = dataset.inputs[0][torch.from_numpy(dataset.splits.train)].double()
    assert dataset.info.channels == 3
    assert dataset.info.pixel_mean == pytest.approx(train.mean(dim=(0, 2, 3)).tolist())
    assert dataset.info.pixel_std == pytest.approx(train.std(dim=(0, 2, 3), correction=0).tolist())


def test_black_images_have_a_spread_of_one_grey_level():
    dataset = load((np.zeros((20, 8, 8), dtype=np.uint8), np.arange(20) % 2))
    assert dataset.info.pixel_std == (1.0,)


def test_given_splits_in_any_case(image_folder):
    root = image_folder("set/Train", count=10)
    image_folder("set/validation", count=3, seed=1)
    image_folder("set/TEST", count=4, seed=2)
    dataset = load(root.parent)
    assert dataset.info.num_examples == {"train": 20, "val": 6, "confirm": 0, "test": 8}
    assert all(dataset.names[i].startswith("TEST/") for i in dataset.splits.test)
    assert all(dataset.names[i].startswith("validation/") for i in dataset.splits.val)


def test_train_as_a_class_of_vehicles_is_a_class(image_folder):
    assert load(image_folder(classes=("train", "car"))).info.classes == ("car", "train")


def test_a_test_folder_without_classes_and_strange_folders_are_left_out(image_folder):
    root = image_folder("set/train").parent
    shutil.copytree(root / "train" / "cat", root / "test")
    shutil.copytree(root / "train" / "cat", root / "spare")
    dataset = load(root)
    assert len(dataset.targets) == 20
    assert {f.found.split("'")[1] for f in findings(dataset, "ignored_folder")} == {"test", "spare"}


def test_a_class_only_in_test_is_refused(image_folder):
    root = image_folder("set/train").parent
    image_folder("set/test", classes=("cat", "cow"), count=3)
    with pytest.raises(InputError, match=r"class 'cow' has 3 examples in test.*none in train"):
        load(root)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "bmp", "gif", "webp", "tif", "TIFF", "PNG"])
def test_formats(image_folder, suffix):
    dataset = load(image_folder(suffix=suffix))
    assert dataset.inputs[0].shape == (20, 1, 12, 12)
    assert dataset.inputs[0].float().std() > 10


def test_hidden_files_and_other_files_are_passed_over(image_folder):
    root = image_folder()
    shutil.copy(root / "cat" / "000.png", root / "cat" / "._000.png")
    shutil.copy(root / "cat" / "000.png", root / "cat" / "notes.txt")
    (root / ".git").mkdir()
    shutil.copy(root / "cat" / "000.png", root / ".git" / "000.png")
    assert len(load(root).targets) == 20


def test_broken_files_are_named_and_left_out(image_folder):
    root = image_folder(count=12)
    good = (root / "cat" / "000.png").read_bytes()
    (root / "cat" / "broken.png").write_bytes(b"no image")
    (root / "cat" / "cut.png").write_bytes(good[: len(good) // 2])
    (root / "cat" / "empty.png").write_bytes(b"")
    (root / "dog" / "more.png").write_bytes(b"no image")
    for _ in range(2):  # decoded, then from the cache
        dataset = load(root)
        assert len(dataset.targets) == len(dataset.names) == 24
        assert "cat/broken.png" not in dataset.names
        (finding,) = findings(dataset, "unreadable_files")
        assert finding.warn
        assert "4 of 28 files" in finding.found
        assert "cat/empty.png: the file is empty" in finding.found
        assert "cat/cut.png: " in finding.found
        assert "cat/broken.png, dog/more.png: not an image" in finding.found


def test_image_bombs_are_named_and_left_out(image_folder, monkeypatch):
    root = image_folder(size=(10, 10))
    Image.new("L", (40, 40)).save(root / "cat" / "bomb.png")
    monkeypatch.setattr(decode, "MOST_PIXELS", 1000)
    dataset = load(root)
    assert len(dataset.targets) == 20
    assert "cat/bomb.png: declares more than 1,000 pixels" in findings(dataset, "unreadable_files")[0].found


def test_only_broken_files_are_an_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"none of the 6 files.*a/0.png"):
        load(tmp_path)


def test_one_class_or_a_class_of_one_image_is_an_error(image_folder):
    with pytest.raises(InputError, match="one class, 'cat'"):
        load(image_folder("one", classes=("cat",)))
    root = image_folder("few")
    for i in range(1, 10):
        (root / "dog" / f"{i:03d}.png").unlink()
    with pytest.raises(InputError, match=r"class 'dog' in .* has 1 image"):
        load(root)


def test_colour_is_seen_in_pixels_not_in_the_files_mode(image_folder):
    root = image_folder(classes=("a", "b"))
    for path in root.rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    assert load(root).info.channels == 1
    coloured = Image.new("RGB", (12, 12), (200, 30, 30))
    for i in range(3):
        coloured.save(root / "a" / f"red{i}.png")
    assert load(root).info.channels == 3


@pytest.mark.parametrize(
    ("sizes", "asked", "resolution", "words"),
    [
        ([(28, 28)], None, 28, "all images are 28x28"),
        ([(8, 8)], None, 8, "all images are 8x8"),
        ([(30, 50), (50, 30), (31, 31)], None, 28, "rounded down to 28"),
        ([(96, 96)], None, 64, "--resolution N"),
        ([(400, 300), (500, 500)], None, 64, "--resolution N"),
        ([(400, 300), (500, 500)], 100, 100, "as asked"),
        ([(5, 6), (7, 5)], None, 8, "median short side is 5"),
    ],
)
def test_resolution(sizes, asked, resolution, words):
    found, reason = choose_resolution(sizes, asked)
    assert found == resolution
    assert words in reason


def test_the_asked_resolution_is_used(image_folder):
    root = image_folder()
    assert load(root, resolution=20).inputs[0].shape[2:] == (20, 20)
    assert load(root, resolution=6).inputs[0].shape[2:] == (6, 6)
    with pytest.raises(InputError, match="between 4 and 1024"):
        load(root, resolution=2)


def test_wide_images_are_cropped_in_the_middle():
    pixels = np.zeros((10, 30), dtype=np.uint8)
    pixels[:, 10:20] = 200
    assert (decode.fit(Image.fromarray(pixels), Shape(10, 1)) == 200).all()
    assert (decode.fit(Image.fromarray(pixels.T.copy()), Shape(10, 3)) == 200).all()


def test_cameras_turn_transparency_and_16_bits(tmp_path):
    upright = np.zeros((16, 16), dtype=np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(decode.decode((tmp_path / "turned.png").read_bytes(), Shape(16, 1))[:, :, 0], upright)
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (decode.decode((tmp_path / "clear.png").read_bytes(), Shape(8, 3)) == 255).all()
    Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert (decode.decode((tmp_path / "deep.png").read_bytes(), Shape(8, 1)) == 128).all()


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW", "float1", "float255", "torch"])
def test_arrays_of_every_layout_give_the_same_data(layout):
    X = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    y = np.tile([3, 7], 20)
    given = {
        "NHW": X,
        "NHWC": X[..., None],
        "NCHW": X[:, None],
        "float1": X / 255,
        "float255": X.astype(np.float32),
        "torch": torch.from_numpy(X),
    }[layout]
    plain, dataset = load((X, y)), load((given, y))
    assert dataset.info.modality == "image"
    assert dataset.info.classes == ("3", "7")
    assert torch.equal(plain.inputs[0], dataset.inputs[0])
    assert plain.info.digest == dataset.info.digest
    _, inputs = IMAGE.read_inputs(given, dataset.preprocess)
    assert np.array_equal(IMAGE.encode(inputs, dataset.preprocess)[0], dataset.inputs[0])


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.full((20, 8, 8), np.nan), "not numbers"),
        (np.full((20, 8, 8), -1.0), "values from -1"),
        (np.full((20, 8, 8), 1000), "to 1000"),
        (np.zeros((20, 8, 8, 5)), r"shape \(20, 8, 8, 5\)"),
    ],
)
def test_arrays_that_are_no_images(X, match):
    with pytest.raises(InputError, match=match):
        load((X, np.arange(20) % 2))


@pytest.mark.parametrize("there", [True, False])
def test_digits_are_those_of_sklearn(there, monkeypatch):
    """Whether its file lies where it always has, or its own function must read it."""
    from sklearn.datasets import load_digits

    if not there:
        monkeypatch.setattr(arrays, "find_spec", lambda name: None)
    X, y = arrays.digits()
    assert np.array_equal(X, load_digits().images)
    assert np.array_equal(y, load_digits().target)
    assert y.dtype.kind == "i"


def test_digits_predict_their_own_arrays():
    from sklearn.datasets import load_digits

    dataset = load("digits")
    assert dataset.info.modality == "image"
    assert (dataset.info.resolution, dataset.info.channels, dataset.info.num_outputs) == (8, 1, 10)
    assert dataset.inputs[0].max() == 255
    _, inputs = IMAGE.read_inputs(load_digits().images[:5], dataset.preprocess)
    assert np.array_equal(IMAGE.encode(inputs, dataset.preprocess)[0], dataset.inputs[0][:5])


def test_read_inputs_of_a_file_and_a_folder(image_folder):
    root = image_folder()
    dataset = load(root)
    names, inputs = IMAGE.read_inputs(root, dataset.preprocess)
    assert names == list(dataset.names)
    assert np.array_equal(IMAGE.encode(inputs, dataset.preprocess)[0], dataset.inputs[0])
    names, inputs = IMAGE.read_inputs(str(root / "dog" / "003.png"), dataset.preprocess)
    assert names == ["003.png"]
    assert np.array_equal(IMAGE.encode(inputs, dataset.preprocess)[0][0], dataset.inputs[0][13])


def test_duplicates_and_conflicting_labels(image_folder):
    root = image_folder(count=12)
    for i in range(12):
        shutil.copy(root / "cat" / f"{i:03d}.png", root / "cat" / f"copy{i}.png")
    shutil.copy(root / "cat" / "000.png", root / "dog" / "not_a_dog.png")
    dataset = load(root)
    assert "13 images" in findings(dataset, "duplicates")[0].found
    (conflict,) = findings(dataset, "conflicting_targets")
    assert conflict.warn
    assert "cat/000.png and dog/not_a_dog.png" in conflict.found
    across = findings(dataset, "duplicates_across_splits")
    assert any("in test are also in train" in finding.found for finding in across)
    assert [dataset.names[row] for row in conflict.rows] == ["cat/000.png", "dog/not_a_dog.png"]
    train = set(dataset.splits.train.tolist())
    for finding in (*across, findings(dataset, "duplicates")[0]):
        assert 2 <= len(finding.rows) <= 6
        first, copy = (dataset.inputs[0][row] for row in finding.rows[:2])
        assert torch.equal(first, copy)
    assert all(finding.rows[0] in train and finding.rows[1] not in train for finding in across)
    assert not load(image_folder("clean")).info.findings


def test_preview_draws_16_images(image_folder, tmp_path):
    raw = IMAGE.read(image_folder(), ReadOptions(), lambda sentence, done: None)
    IMAGE.preview(raw, tmp_path / "preview.png")
    image = Image.open(tmp_path / "preview.png")
    assert image.size == (4 * 76 + 4, 4 * 76 + 4)
    assert np.asarray(image).std() > 10


def test_baseline_features_are_flat_and_bounded():
    small = IMAGE.baseline_features((torch.full((5, 1, 8, 8), 255, dtype=torch.uint8),))
    assert small.shape == (5, 64)
    assert small.dtype == np.float32
    assert (small == 1).all()
    assert IMAGE.baseline_features((torch.zeros(5, 3, 96, 96, dtype=torch.uint8),)).shape == (5, 3072)


def test_folders_named_by_numbers_are_classes(image_folder):
    root = image_folder(classes=tuple(map(str, range(25))), count=4)
    info = load(root).info
    assert info.task == "multiclass"
    assert info.classes == tuple(map(str, range(25)))
    assert info.task_reason == "each class is a folder"
