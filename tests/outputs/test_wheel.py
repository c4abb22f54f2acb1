"""What a plain install has beside the modules."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_holds_the_templates_and_the_search_spaces(tmp_path):
    words = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no wheel can be built here: {done.stderr.strip()[-200:]}")
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    templates = {f"autorecipe/outputs/templates/{path.name}" for path in ROOT.glob("autorecipe/outputs/templates/*.j2")}
    assert len(templates) > 5
    assert templates | {"autorecipe/search_spaces/image.yaml", "autorecipe/search_spaces/table.yaml"} <= names
