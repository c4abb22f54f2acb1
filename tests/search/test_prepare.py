"""What a search writes of its data before the first question."""

import numpy as np
import pytest
from PIL import Image

from autorecipe.rundir import read_json, read_lines


@pytest.fixture
def images():
    """Two classes of 40 images each; three of the first class have copies, one of them of the other class."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (80, 8, 8), dtype=np.uint8)
    labels = np.repeat(["a", "b"], 40)
    pixels[40], pixels[1], pixels[2] = pixels[0], pixels[3], pixels[4]
    return pixels, labels


def test_findings_are_kept_with_pictures_of_their_examples(searched, resumed, images):
    found = searched(data=images, budget="20epochs", max_depth=2)
    run = found.run
    entries = read_json(run.findings)
    assert {"duplicates", "conflicting_targets"} <= {entry["kind"] for entry in entries}
    told = {row["found"] for row in read_lines(run.log) if row["event"] == "finding"}
    splits = read_json(run.splits)
    for entry in entries:
        assert entry["found"] in told
        for example in entry["examples"]:
            assert example["name"] in splits[example["split"]]
            with Image.open(run.artifacts / example["image"]) as shown:
                assert np.array_equal(np.asarray(shown), images[0][example["row"]])
            assert example["target"] == images[1][example["row"]]
    (conflict,) = (entry for entry in entries if entry["kind"] == "conflicting_targets")
    assert [example["row"] for example in conflict["examples"]] == [0, 40]
    kept = run.findings.read_bytes()
    resumed(found.path, "5epochs", data=images)
    assert run.findings.read_bytes() == kept


@pytest.mark.parametrize("source", ["iris", "clean"])
def test_nothing_is_kept_of_tables_and_of_clean_images(searched, images, source):
    pixels = images[0].copy()
    pixels[40], pixels[1], pixels[2] = 1, 2, 3
    data = None if source == "iris" else (pixels, images[1])
    run = searched(data=data, budget="5epochs").run
    assert not run.findings.exists()
    assert not run.finding_pictures.exists()
