"""Plots as files."""

import numpy as np
import pytest
from PIL import Image

from autorecipe.errors import InputError
from autorecipe.outputs.plots import SUFFIXES, check_plot_path, plot_lr_range
from autorecipe.results import LRRange

LRS = tuple(float(lr) for lr in np.geomspace(1e-5, 1, 40))
LOSSES = tuple(2.0 - 1.5 / (1 + (1e-2 / lr) ** 2) for lr in LRS)
SWEPT = LRRange(
    0.01,
    "steepest",
    LRS,
    LOSSES,
    lowest=tuple(loss - 0.2 for loss in LOSSES),
    highest=tuple(loss + 0.2 for loss in LOSSES),
    rules={"steepest": 0.01, "valley": 0.002},
)
RACED = LRRange(
    **{
        **SWEPT.__dict__,
        "interval": (5e-3, 2e-2),
        "race_lrs": (5e-3, 1e-2, 2e-2),
        "race_losses": (0.9, 0.5, float("inf")),
    }
)
FLAT = LRRange(0.005, "the curve is flat, no suggestion: the prior", flat=True)


def drawn(found, path):
    plot_lr_range(found, "mlp 64-64-64", path)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def near(image, color):
    """How many pixels have nearly this color."""
    wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
    return int((np.abs(image - wanted).max(2) < 12).sum())


def test_curve_band_and_suggestion_are_there(tmp_path):
    plain = drawn(LRRange(0.01, "steepest", LRS, LOSSES, lowest=LOSSES, highest=LOSSES), tmp_path / "plain.png")
    image = drawn(SWEPT, tmp_path / "lr.png")
    assert near(image, "#1f5f99") > 500
    assert near(image, "#d1661b") > 500
    band = "#d7e2ed"  # the blue at 18 % on white
    assert near(image, band) > 10 * max(1, near(plain, band))


def test_a_race_is_drawn_without_the_rate_that_diverged(tmp_path):
    assert near(drawn(RACED, tmp_path / "raced.png"), "#d1661b") > near(drawn(SWEPT, tmp_path / "lr.png"), "#d1661b")


def test_a_flat_curve_has_a_plot_too(tmp_path):
    assert near(drawn(FLAT, tmp_path / "flat.png"), "#d1661b") > 500


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_picture(tmp_path, suffix):
    path = tmp_path / f"lr{suffix}"
    check_plot_path(path)
    plot_lr_range(RACED, "resnet 16", path)
    start = path.read_bytes()[:5]
    assert start == {".png": b"\x89PNG\r", ".svg": b"<?xml", ".pdf": b"%PDF-"}[suffix]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"did you mean '\.png'"):
        check_plot_path(tmp_path / "lr.pgn")
    with pytest.raises(InputError, match="is a folder"):
        check_plot_path(tmp_path / "folder.png")
    with pytest.raises(InputError, match="nothing can be written"):
        check_plot_path(tmp_path / "file" / "lr.png")
    check_plot_path(tmp_path / "new" / "lr.png")
