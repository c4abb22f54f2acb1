import json
import os
import shutil

import numpy as np
import pytest
import torch

from autorecipe.data import ReadOptions, cache, load_dataset
from autorecipe.data.image import decode, files
from autorecipe.errors import InputError


def load(source):
    return load_dataset(source, ReadOptions())


@pytest.fixture
def decodes(monkeypatch):
    """Counts the images that are decoded, and the files that are read."""
    counts = {"decoded": 0, "read": 0}
    plain_decode, plain_read = decode.decode, decode.read

    def counted_decode(*args):
        counts["decoded"] += 1
        return plain_decode(*args)

    def counted_read(path):
        counts["read"] += 1
        return plain_read(path)

    monkeypatch.setattr(decode, "decode", counted_decode)
    monkeypatch.setattr(decode, "read", counted_read)
    return counts


def test_a_second_run_reads_no_file(image_folder, decodes):
    root = image_folder()
    first = load(root)
    assert decodes == {"decoded": 20, "read": 20}
    second = load(root)
    assert decodes == {"decoded": 20, "read": 20}
    assert torch.equal(first.inputs[0], second.inputs[0])
    assert first.info == second.info


def test_a_copied_folder_is_known_by_its_content(image_folder, decodes, tmp_path):
    root = image_folder()
    load(root)
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    load(tmp_path / "copy")
    assert decodes == {"decoded": 20, "read": 40}
    assert cache.usage()[0] == 1
    load(tmp_path / "copy")
    assert decodes["read"] == 40


def test_a_changed_file_is_seen(image_folder, decodes):
    root = image_folder()
    before = load(root)
    shutil.copyfile(root / "cat" / "001.png", root / "cat" / "000.png")
    after = load(root)
    assert decodes["decoded"] == 40
    assert not torch.equal(before.inputs[0][0], after.inputs[0][0])
    assert before.info.digest != after.info.digest


@pytest.mark.parametrize("damage", ["values", "cut", "no_array", "facts", "index"])
def test_a_damaged_entry_is_rebuilt(image_folder, decodes, own_cache, damage):
    root = image_folder()
    before = load(root)
    (array,) = own_cache.glob("*.npy")
    if damage == "values":
        data = bytearray(array.read_bytes())
        data[-5] ^= 255
        array.write_bytes(data)
    elif damage == "cut":
        array.write_bytes(array.read_bytes()[:100])
    elif damage == "no_array":
        array.unlink()
    elif damage == "facts":
        array.with_suffix(".json").write_text('{"sha256"')
    else:
        next(own_cache.glob("index-*")).write_text("[]")
    after = load(root)
    assert torch.equal(before.inputs[0], after.inputs[0])
    assert decodes["decoded"] == (20 if damage == "index" else 40)
    load(root)
    assert decodes["decoded"] == (20 if damage == "index" else 40)


def test_an_entry_that_is_no_array_of_images_is_rebuilt(image_folder, decodes, own_cache):
    root = image_folder()
    before = load(root)
    (array,) = own_cache.glob("*.npy")
    facts = json.loads(array.with_suffix(".json").read_text())
    for wrong in (np.zeros((20, 3)), np.zeros((20, 1, 12, 12))):
        np.save(array, wrong)
        array.with_suffix(".json").write_text(json.dumps({**facts, "sha256": cache.array_digest(wrong)}))
        assert torch.equal(before.inputs[0], load(root).inputs[0])
    with open(array, "wb") as file:
        np.savez(file, wrong)
    assert torch.equal(before.inputs[0], load(root).inputs[0])
    assert decodes["decoded"] == 80
    load(root)
    assert decodes["decoded"] == 80


def test_a_file_that_could_not_be_read_again_is_there_the_next_time(image_folder, monkeypatch):
    root = image_folder()
    gone = str(root / "cat" / "003.png")
    plain = decode.read
    reads = []

    def read(path):
        if path == gone:
            reads.append(path)
            if len(reads) > 1:
                raise OSError(5, "Input/output error")
        return plain(path)

    monkeypatch.setattr(files, "_MOST_IN_MEMORY", 0)  # so that each file is read twice: its digest, its pixels
    monkeypatch.setattr(files, "SAMPLE", 2)
    with monkeypatch.context() as patch:
        patch.setattr(decode, "read", read)
        first = load(root)
    assert len(first.targets) == 19
    assert len(reads) > 1
    assert len(load(root).targets) == 20


def test_names_that_are_no_utf_8_are_kept_too(image_folder, decodes):
    root = image_folder()
    broken = os.fsencode(root / "cat") + b"/caf\xe9.png"
    try:
        with open(broken, "wb") as file:
            file.write(b"no image")
    except OSError:
        pytest.skip("this file system has no such names")
    first = load(root)
    assert load(root).info == first.info
    assert decodes["decoded"] == 21


def test_a_cache_that_may_not_be_looked_at_costs_only_time(image_folder, own_cache, monkeypatch):
    from pathlib import Path

    root = image_folder()
    before = load(root)
    plain = os.stat

    def stat(path, *args, **options):
        if str(path).startswith(str(own_cache)) and str(path).endswith(".json"):
            raise PermissionError(13, "Permission denied")
        return plain(path, *args, **options)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(Path, "read_bytes", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert torch.equal(load(root).inputs[0], before.inputs[0])


def test_an_unwritable_cache_costs_only_time(image_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTORECIPE_CACHE", str(tmp_path / "file" / "cache"))
    dataset = load(image_folder())
    (finding,) = [f for f in dataset.info.findings if f.kind == "cache_not_written"]
    assert "cannot be written" in finding.found
    assert not finding.warn
    assert cache.usage() == (0, 0)


def test_the_oldest_used_entries_go_first(monkeypatch):
    array = np.zeros(10_000, dtype=np.uint8)
    monkeypatch.setenv("AUTORECIPE_CACHE_LIMIT", "33K")
    names = [str(i) * 64 for i in range(4)]
    for age, name in enumerate(names[:3]):
        assert cache.store(name, array, {}) == ""
        facts = cache.cache_dir() / f"{name}.json"
        os.utime(facts, (1000 + age, 1000 + age))
    assert cache.load(names[0]) is not None  # it is used now, so the second is the oldest
    assert cache.store(names[3], array, {}) == ""
    assert [cache.load(name) is not None for name in names] == [True, False, True, True]
    assert cache.usage()[1] <= 33 * 1024
    assert "more than the cache may hold" in cache.store("5" * 64, np.zeros(40_000, dtype=np.uint8), {})


def test_clear_counts_and_leaves_other_files(image_folder, own_cache):
    load(image_folder())
    (own_cache / "mine.npy").write_text("x")
    entries, size = cache.usage()
    assert entries == 1
    assert size > 20 * 144
    assert cache.clear() == (entries, size)
    assert cache.usage() == (0, 0)
    assert [path.name for path in own_cache.iterdir()] == ["mine.npy"]


@pytest.mark.parametrize(("text", "size"), [("1000", 1000), ("2G", 2 * 1024**3), ("1.5kb", 1536), ("", 4 * 1024**3)])
def test_limits(monkeypatch, text, size):
    monkeypatch.setenv("AUTORECIPE_CACHE_LIMIT", text)
    assert cache.size_limit() == size


def test_a_limit_that_is_no_size(monkeypatch):
    monkeypatch.setenv("AUTORECIPE_CACHE_LIMIT", "lots")
    with pytest.raises(InputError, match=r"'lots'.*2G"):
        cache.size_limit()


def test_the_cache_is_the_users_unless_named(monkeypatch):
    monkeypatch.delenv("AUTORECIPE_CACHE")
    assert cache.cache_dir().name == "autorecipe"
