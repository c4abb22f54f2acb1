"""Images of every mode, size and format, and files that are none."""

import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from autorecipe.data import ReadOptions, load_dataset, modality
from autorecipe.data.image import decode
from autorecipe.data.image.decode import Shape
from autorecipe.data.image.measure import Sample, choose_range, measure
from autorecipe.errors import InputError

IMAGE = modality("image")
RAMP = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))


def load(source, **options):
    return load_dataset(source, ReadOptions(**options))


def findings(dataset, kind):
    return [finding for finding in dataset.info.findings if finding.kind == kind]


def decoded(path, channels=1, side=16, deep=None):
    pixels = decode.decode(path.read_bytes(), Shape(side, channels, deep))
    assert pixels.shape == (side, side, channels)
    assert pixels.dtype == np.uint8
    return pixels[:, :, 0] if channels == 1 else pixels


def ramp(mode):
    """The ramp as an image of a mode."""
    grey = Image.fromarray(RAMP)
    if mode == "P":
        return grey.convert("P")
    if mode.startswith("I;16"):
        return Image.fromarray(RAMP.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(RAMP.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray((RAMP / 255).astype(np.float32))
    if mode == "1":
        return Image.fromarray(RAMP > 127)
    if mode in ("RGBA", "CMYK", "YCbCr", "RGB"):
        return grey.convert("RGB").convert(mode)
    return grey.convert(mode)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *((mode, "tiff") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F")),
        *((mode, "jpg") for mode in ("L", "RGB", "CMYK")),
        *((mode, "webp") for mode in ("L", "RGB", "RGBA")),
        *((mode, "gif") for mode in ("1", "L", "P", "RGB", "RGBA")),
        *((mode, "bmp") for mode in ("1", "L", "P", "RGB", "RGBA")),
        *((mode, "ppm") for mode in ("1", "L", "RGB", "I", "RGBA")),
    ],
)
def test_every_mode_shows_the_same_picture(tmp_path, mode, suffix, channels):
    path = tmp_path / f"x.{suffix}"
    if mode == "LAB":
        Image.merge("LAB", [ramp("L"), Image.new("L", (16, 16), 128), Image.new("L", (16, 16), 128)]).save(path)
    else:
        ramp(mode).save(path, **({"lossless": True} if suffix == "webp" else {}))
    expected = np.where(RAMP > 127, 255, 0) if mode == "1" else RAMP
    pixels = decoded(path, channels).astype(int)
    for channel in np.atleast_3d(pixels).transpose(2, 0, 1):
        assert np.abs(channel - expected).max() <= (16 if mode in ("LAB",) or suffix == "jpg" else 4)


def test_transparent_pixels_are_white(tmp_path):
    hole = np.zeros((16, 16), dtype=bool)
    hole[4:8, 4:8] = True
    expected = np.where(hole, 255, RAMP // 2)
    for mode in ("LA", "RGBA"):
        image = Image.fromarray(RAMP // 2).convert(mode)
        image.putalpha(Image.fromarray(np.where(hole, 0, 255).astype(np.uint8)))
        image.save(tmp_path / "x.png")
        assert np.array_equal(decoded(tmp_path / "x.png"), expected)
    indices = Image.fromarray(np.where(hole, 255, RAMP // 2).astype(np.uint8)).convert("P")
    indices.save(tmp_path / "p.png", transparency=255)
    assert np.array_equal(decoded(tmp_path / "p.png"), expected)
    Image.fromarray(np.where(hole, 1, RAMP // 2).astype(np.uint8)).save(tmp_path / "key.png", transparency=1)
    assert np.array_equal(decoded(tmp_path / "key.png"), expected)
    large = Image.fromarray(
        np.dstack([np.full((64, 64, 3), 40), np.kron(~hole, np.full((4, 4), 255))]).astype(np.uint8)
    )
    large.save(tmp_path / "large.png")
    assert np.abs(decoded(tmp_path / "large.png").astype(int) - np.where(hole, 255, 40))[6, 6] == 0
    on_white = Image.alpha_composite(Image.new("RGBA", (64, 64), "white"), large).convert("L")
    same = decode.fit(on_white, Shape(16, 1))[:, :, 0]
    assert np.abs(decoded(tmp_path / "large.png").astype(int) - same).max() <= 2
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    half.save(tmp_path / "half.png")
    assert abs(int(decoded(tmp_path / "half.png", 3, 8)[0, 0, 0]) - 127) <= 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
def test_pictures_are_turned_as_the_camera_says(tmp_path, turn, suffix):
    quarters = np.array([[0, 80], [160, 240]], dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.ascontiguousarray(undo(quarters))).save(tmp_path / f"x.{suffix}", exif=exif)
    pixels = decoded(tmp_path / f"x.{suffix}", side=32)
    assert np.abs(pixels.astype(int) - quarters).max() <= 12


def test_a_note_in_a_comment_or_in_xmp_turns_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    note = exif.tobytes()
    comment = PngInfo()
    comment.add_text("Raw profile type exif", f"\nexif\n{len(note):8d}\n{note.hex()}\n")
    Image.fromarray(RAMP).save(tmp_path / "x.png", pnginfo=comment)
    assert np.array_equal(decoded(tmp_path / "x.png"), np.rot90(RAMP, 2))
    xmp = PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="3"/>')
    Image.fromarray(RAMP).save(tmp_path / "y.png", pnginfo=xmp)
    assert np.array_equal(decoded(tmp_path / "y.png"), np.rot90(RAMP, 2))


def test_a_damaged_note_of_the_camera_does_not_spoil_the_picture(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(decoded(tmp_path / "x.png"), RAMP)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_a_moving_picture_is_its_first_frame(tmp_path, suffix):
    frames = [Image.new("L", (8, 8), level) for level in (200, 0, 90)]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    assert (np.abs(decoded(tmp_path / f"x.{suffix}", side=8).astype(int) - 200) <= 2).all()


@settings(deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"]),
    st.sampled_from([1, 3]),
    st.sampled_from([4, 8, 33]),
)
def test_any_size_and_mode_fits(width, height, mode, channels, side):
    image = Image.new(mode, (width, height))
    pixels = decode.fit(image, Shape(side, channels))
    assert pixels.shape == (side, side, channels)


@pytest.mark.parametrize(
    ("values", "deep"),
    [
        ([0, 4000], (0, 4095)),
        ([300, 65535], (0, 65535)),
        ([0, 1], (0, 1)),
        ([0, 200], (0, 255)),
        ([-1000, 3000], (-1000, 3000)),
        ([7, 7], (0, 7)),
        ([0.0, 0.5], (0, 1)),
        ([0.0, 200.5], (0, 255)),
        ([-2.5, 900.0], (-2.5, 900)),
        ([-3.5, -3.5], (-3.5, -2.5)),
    ],
)
def test_the_range_of_deep_images(values, deep):
    whole = all(isinstance(value, int) for value in values)
    assert choose_range(Sample(((8, 8),), (True,), ((min(values), max(values)),), whole)) == deep


def test_deep_images_have_one_range_for_the_whole_data_set(tmp_path):
    random = np.random.default_rng(0)
    values = random.integers(0, 3000, (20, 8, 8)).astype(np.uint16)
    values[7, 0, :2] = 0, 3961
    for i, pixels in enumerate(values):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    dataset = load(tmp_path)
    expected = np.rint(values * (255 / 4095))
    for name, pixels in zip(dataset.names, dataset.inputs[0], strict=True):
        assert np.abs(pixels[0].numpy() - expected[int(name[2:4])]).max() <= 1
    (finding,) = findings(dataset, "deep_images")
    assert "0 to 3961" in finding.found
    assert "0 to 4095 became 0 to 255" in finding.done
    assert dataset.preprocess["deep_range"] == [0, 4095]
    names, inputs = IMAGE.read_inputs(tmp_path / "a" / "00.png", dataset.preprocess)
    assert np.array_equal(inputs[0, :, :, 0], dataset.inputs[0][list(dataset.names).index("a/" + names[0])][0])
    again = load(tmp_path)
    assert again.info == dataset.info


def test_numbers_that_are_none_become_black(tmp_path):
    values = np.array([[np.nan, np.inf], [-np.inf, 0.5]], dtype=np.float32).repeat(4, 0).repeat(4, 1)
    Image.fromarray(values).save(tmp_path / "x.tiff")
    sample = measure([(tmp_path / "x.tiff").read_bytes()])
    assert sample.ranges == ((0.5, 0.5),)
    pixels = decoded(tmp_path / "x.tiff", side=8, deep=(0.0, 1.0))
    assert pixels[::4, ::4].tolist() == [[0, 255], [0, 128]]


def huge_png(width, height):
    """A PNG of a few bytes that declares so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 9_000), (60_000, 60_000)])
def test_a_bomb_is_refused_before_it_is_decoded(image_folder, size, monkeypatch):
    from PIL import ImageFile

    root = image_folder()
    (root / "dog" / "zz bomb.png").write_bytes(huge_png(*size))
    plain, largest = ImageFile.ImageFile.load, []

    def watched(image):
        largest.append(image.width * image.height)
        return plain(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    dataset = load(root)
    assert len(dataset.targets) == 20
    (finding,) = findings(dataset, "unreadable_files")
    assert "dog/zz bomb.png: declares more than 89,478,485 pixels" in finding.found
    assert max(largest) < 1000


def test_a_bomb_is_named_among_many_broken_files(image_folder):
    root = image_folder()
    for i in range(9):
        (root / "cat" / f"broken{i}.png").write_bytes(b"no image")
    (root / "dog" / "zz.png").write_bytes(huge_png(60_000, 60_000))
    found = findings(load(root), "unreadable_files")[0].found
    assert "10 of 30" in found
    assert "dog/zz.png: declares more" in found
    assert "cat/broken0.png, cat/broken1.png, cat/broken2.png and 6 more: not an image" in found


def test_every_kind_of_broken_file_is_left_out(image_folder, tmp_path):
    root = image_folder(count=12)
    good = (root / "cat" / "000.png").read_bytes()
    Image.new("RGB", (64, 64), (9, 99, 200)).save(tmp_path / "x.jpg")
    broken = {
        "empty.png": b"",
        "text.jpg": b"<html>not found</html>",
        "cut.png": good[: len(good) // 2],
        "cut.jpg": (tmp_path / "x.jpg").read_bytes()[:300],
        "head.gif": b"GIF89a",
        "zeros.bmp": b"\0" * 500,
        "x.webp": b"RIFF\0\0\0\0WEBPVP8 ",
        "x.ppm": b"P6\n99999999999999999999 1\n255\n",
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "pdf.tif": b"%PDF-1.4",
    }
    for name, data in broken.items():
        (root / "cat" / name).write_bytes(data)
    (root / "cat" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "dog" / "pipe.png")
    (root / "dog" / "pipe link.png").symlink_to(root / "dog" / "pipe.png")
    (root / "dog" / "folder.png").mkdir()
    (root / "cat" / "wrong suffix.jpg").write_bytes(good)
    dataset = load(root)
    assert len(dataset.targets) == 25
    assert "cat/wrong suffix.jpg" in dataset.names
    (finding,) = findings(dataset, "unreadable_files")
    assert f"{len(broken) + 2} of 37 files" in finding.found
    assert "dog/pipe link.png: no plain file" in finding.found
    assert "dog/pipe.png" in findings(dataset, "other_files")[0].found


@settings(deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"P5\n", b"II*\0", b"\xff\xd8"]),
)
def test_any_bytes_are_an_image_or_a_reason(data, start):
    broken = {}
    shape = Shape(8, 3)
    chunks = list(decode.decode_all([start + data], ["x"], shape, broken, lambda sentence, done: None))
    assert sum(map(len, chunks)) + len(broken) == 1
    assert all(broken.values())


def test_a_file_that_is_too_large_is_not_read(image_folder, monkeypatch):
    root = image_folder()
    with open(root / "cat" / "large.png", "wb") as file:
        file.truncate(5000)
    monkeypatch.setattr(decode, "MOST_BYTES", 4000)
    for _ in range(2):  # decoded, then from the cache
        assert "cat/large.png: larger than 4,000 bytes" in findings(load(root), "unreadable_files")[0].found


def test_mixed_sizes_and_modes_in_one_folder(tmp_path):
    random = np.random.default_rng(0)
    sizes = [(8, 8), (9, 300), (700, 500), (64, 48), (33, 33), (1, 1), (500, 20)] * 2
    modes = ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA"]
    for i, (width, height) in enumerate(sizes):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mode = modes[i % 7]
        image = (
            Image.fromarray(pixels).convert(mode)
            if mode != "LA"
            else Image.fromarray(pixels).convert("L").convert("LA")
        )
        image.save(folder / f"{i}.{'tif' if mode == 'CMYK' else 'BMP' if mode == 'RGB' else 'PNG'}")
    dataset = load(tmp_path)
    assert len(dataset.targets) == 14
    assert dataset.info.channels == 3
    assert "median short side" in dataset.info.resolution_reason


def test_what_else_lies_in_the_folder_is_said(image_folder):
    root = image_folder()
    good = (root / "cat" / "000.png").read_bytes()
    for name in ("__MACOSX/cat/._000.png", "cat/.hidden.png", "cat/Thumbs.db", "cat/@eaDir/thumb.jpg", ".DS_Store"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(good)
    (root / "notes.txt").write_text("x")
    (root / "loose.png").write_bytes(good)
    (root / "cow").mkdir()
    (root / "cat" / "sub" / "deep").mkdir(parents=True)
    Image.new("L", (12, 12), 9).save(root / "cat" / "sub" / "deep" / "a.png")
    dataset = load(root)
    assert len(dataset.targets) == 21
    assert dataset.info.classes == ("cat", "dog")
    told = {finding.kind: finding.found for finding in dataset.info.findings}
    assert "the system's: 5 (.DS_Store, __MACOSX, cat/.hidden.png, ...)" in told["hidden_files"]
    assert "1 (notes.txt)" in told["other_files"]
    assert "(loose.png)" in told["loose_images"]
    assert "(cow)" in told["empty_class_folder"]
    assert "(cat/sub/deep/a.png)" in told["nested_images"]


def test_links_to_class_folders_are_followed_and_loops_are_not(image_folder, tmp_path):
    root = image_folder("set", classes=("cat",))
    image_folder("away", classes=("dog",), seed=1)
    (root / "dog").symlink_to(tmp_path / "away" / "dog")
    (root / "cat" / "loop").symlink_to(root)
    dataset = load(root)
    assert dataset.info.classes == ("cat", "dog")
    assert len(dataset.targets) == 20
    assert "cat/loop" in findings(dataset, "other_files")[0].found


def test_links_to_images_elsewhere_are_named(image_folder, tmp_path):
    root = image_folder("set")
    away = image_folder("away", classes=("cow",), seed=1)
    (root / "cat" / "away.png").symlink_to(next((away / "cow").iterdir()))
    (root / "cat" / "near.png").symlink_to(next((root / "dog").iterdir()))
    (root / "cat" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    (finding,) = findings(load(root), "linked_images")
    assert "1 (cat/away.png)" in finding.found
    assert "remove a link" in finding.done


def test_hundreds_of_classes_and_strong_imbalance(tmp_path):
    random = np.random.default_rng(0)
    for i in range(150):
        folder = tmp_path / f"class {i:03d}"
        folder.mkdir()
        for j in range(200 if i == 7 else 2 if i % 50 == 0 else 12):
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{j}.png")
    dataset = load(tmp_path)
    assert len(dataset.info.classes) == 150
    assert set(dataset.targets[dataset.splits.train].tolist()) == set(range(150))
    (rare,) = findings(dataset, "rare_classes")
    assert rare.warn
    assert "3 of 150" in rare.found
    assert "'class 050' 2" in rare.found
    classes = [dataset.info.classes[dataset.targets[row]] for row in rare.rows]
    assert sorted(classes[:3]) == ["class 000", "class 050", "class 100"]  # one of each before a second of any
    assert len(rare.rows) == 6
    (imbalance,) = findings(dataset, "class_imbalance")
    assert {dataset.info.classes[dataset.targets[row]] for row in imbalance.rows} == {"class 000"}


def test_a_folder_that_cannot_be_opened(image_folder, monkeypatch):
    root = image_folder()
    plain = os.scandir

    def scandir(place):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return plain(place)

    (root / "cat" / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    (finding,) = findings(load(root), "closed_folder")
    assert finding.warn
    assert "cat/closed" in finding.found


def test_only_broken_files_name_a_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("L", (300, 300), 99).save(tmp_path / name / f"{i}.png")
            data = (tmp_path / name / f"{i}.png").read_bytes()
            (tmp_path / name / f"{i}.png").write_bytes(data[: len(data) - 30])  # whole up to its header
    with pytest.raises(InputError, match=r"none of the 6 files.*a/0.png"):
        load(tmp_path)
