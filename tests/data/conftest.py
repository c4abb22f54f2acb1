from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("AUTORECIPE_CACHE", str(place))
    monkeypatch.delenv("AUTORECIPE_CACHE_LIMIT", raising=False)
    return place


@pytest.fixture
def image_folder(tmp_path):
    """Write `folder/CLASS/N.png` images; returns the folder."""

    def write(folder="set", classes=("cat", "dog"), count=10, size=(12, 12), grey=True, suffix="png", seed=0) -> Path:
        random = np.random.default_rng(seed)
        root = tmp_path / folder
        for name in classes:
            (root / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                width, height = size
                shape = (height, width) if grey else (height, width, 3)
                pixels = random.integers(0, 256, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{i:03d}.{suffix}")
        return root

    return write
