"""Images over the memory cap stay on disk, and nothing comes out differently."""

import tempfile
import tracemalloc
from dataclasses import replace as replace_record
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of

from autorecipe.data import ReadOptions, cache, hold, inspect, load_dataset, modality
from autorecipe.data.image import decode, images
from autorecipe.errors import InputError
from autorecipe.training.evaluate import DeviceData, on_device, predict
from autorecipe.training.loop import start_session, train

IMAGE = modality("image")


def load(source, **options):
    return load_dataset(source, ReadOptions(**options))


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "0")


def without_streamed(info):
    return replace_record(info, findings=tuple(f for f in info.findings if f.kind != "streamed"))


def broken_among(root):
    (root / "cat" / "00x.png").write_bytes(b"no image")
    (root / "dog" / "zzz.png").write_bytes(b"")
    return root


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("limit", ["1G", "0"])
def test_the_same_data_set_comes_out(image_folder, monkeypatch, own_cache, grey, limit):
    monkeypatch.setenv("AUTORECIPE_CACHE_LIMIT", limit)
    root = broken_among(image_folder(count=30, grey=grey))
    plain = load(root)
    assert not plain.streamed
    cache.clear()
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "1K")
    for _ in range(2):  # decoded, then from the cache if it holds them
        dataset = load(root)
        assert dataset.streamed
        (finding,) = [f for f in dataset.info.findings if f.kind == "streamed"]
        assert "more than may be held in memory (1,024)" in finding.found
        assert without_streamed(dataset.info) == plain.info
        assert dataset.names == plain.names
        assert dataset.preprocess == plain.preprocess
        assert torch.equal(dataset.inputs[0], plain.inputs[0])
        assert torch.equal(dataset.targets, plain.targets)
    assert len(list(own_cache.iterdir())) == (0 if limit == "0" else 3)


def test_the_array_is_the_file_itself(image_folder, no_memory):
    raw = IMAGE.read(image_folder(grey=False), ReadOptions(), lambda sentence, done: None)
    assert isinstance(raw.inputs, np.memmap)
    array = IMAGE.encode(raw.inputs, IMAGE.fit(raw, np.arange(20)))[0]
    assert array.__array_interface__["data"][0] == raw.inputs.__array_interface__["data"][0]
    assert array.flags.c_contiguous


def test_no_copy_of_it_is_made(image_folder, no_memory, monkeypatch):
    root = image_folder(count=150, size=(64, 64), grey=False)
    total = 300 * 64 * 64 * 3
    for module in (decode, inspect, images):
        monkeypatch.setattr(module, "_CHUNK_BYTES", total // 60)
    load(root)  # whatever is imported on the way
    for again in (False, True):  # decoded, then from the cache
        if not again:
            cache.clear()
        tracemalloc.start()
        dataset = load(root)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert dataset.streamed
        files = 0 if again else sum(path.stat().st_size for path in root.rglob("*.png"))
        assert peak - files < 0.4 * total


def test_files_are_decoded_a_few_chunks_ahead(monkeypatch):
    made = []
    monkeypatch.setattr(decode, "decode", lambda blob, shape: made.append(1) or np.zeros((4, 4, 1), np.uint8))
    monkeypatch.setattr(decode, "_workers", lambda blobs: 2)
    chunks = decode.decode_all([b"x"] * 1000, ["x"] * 1000, decode.Shape(4, 1), {}, lambda sentence, done: None)
    assert len(next(chunks)) == 16
    assert len(made) <= 16 * 6
    chunks.close()
    assert len(made) < 200


def trained(data, dataset, **changes):
    recipe = recipe_for(dataset, **changes)
    session = start_session(recipe, data, CPU)
    losses = [look.train_loss for look in train(session, data, rows_of(dataset), looks=range(9))]
    return losses, predict(session.readable, data.inputs, rows_of(dataset, "val"), recipe)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"regularization.crop": 2, "regularization.flip": True, "regularization.erase": 0.5},
        {"regularization.mixup": 0.3, "training.channels_last": True},
    ],
)
def test_training_is_the_same(image_folder, monkeypatch, changes):
    root = image_folder(count=40, grey=False)
    plain = load(root)
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "0")
    dataset = load(root)
    data = on_device(dataset, CPU.device)
    assert data.streamed
    assert data.inputs[0].data_ptr() == dataset.inputs[0].data_ptr()
    losses, outputs = trained(on_cpu(plain), plain, **changes)
    streamed_losses, streamed_outputs = trained(data, dataset, **changes)
    assert losses == streamed_losses
    assert np.array_equal(outputs, streamed_outputs)


def test_a_whole_search_runs_and_says_the_same(image_folder, searched, monkeypatch):
    root = image_folder(count=40, size=(8, 8))
    plain = searched("plain", source=str(root), budget="6epochs")
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "0")
    streamed = searched("streamed", source=str(root), budget="6epochs")
    assert [f["name"] for f in streamed.heard.of("finding")] == ["streamed"]
    (first,), (second,) = plain.heard.of("result"), streamed.heard.of("result")
    assert first["scores"] == second["scores"]
    weights = [run.path / "model.safetensors" for run in (plain, streamed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_baselines_get_the_same_features_a_few_rows_at_a_time(image_folder, monkeypatch):
    from autorecipe.search import baselines

    dataset = load(image_folder(count=30))
    monkeypatch.setattr(baselines, "CHUNK", 7)
    rows = dataset.splits.train
    assert np.array_equal(baselines._features(dataset, rows), IMAGE.baseline_features(dataset.inputs)[rows])


def test_predictions_stream_too(image_folder, monkeypatch, own_cache):
    root = image_folder(count=12)
    dataset = load(root)
    names, plain = IMAGE.read_inputs(root, dataset.preprocess)
    cache.clear()
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "100")
    again, inputs = IMAGE.read_inputs(root, dataset.preprocess)
    assert isinstance(inputs, np.memmap)
    assert again == names
    assert np.array_equal(plain, inputs)
    assert not list(own_cache.iterdir())


def test_a_stop_leaves_no_file(image_folder, no_memory, own_cache):
    def stop(sentence, done):
        if sentence == "decoding images":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset(image_folder(), ReadOptions(), stop)
    assert not list(own_cache.iterdir())


def test_only_broken_files_leave_no_file(tmp_path, no_memory, own_cache, monkeypatch):
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    from autorecipe.data.image import files
    from autorecipe.data.image.measure import Sample

    monkeypatch.setattr(files, "measure", lambda blobs: Sample(((8, 8),), (True,)))
    with pytest.raises(InputError, match="none of the 4 files"):
        load(tmp_path)
    assert not list(own_cache.iterdir())


def test_a_cache_that_cannot_be_written_is_replaced_by_temporary_files(image_folder, no_memory, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTORECIPE_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    root = image_folder()
    dataset = load(root)
    assert dataset.streamed
    assert any("cannot be written" in f.found for f in dataset.info.findings)
    assert not list((tmp_path / "temporary").iterdir())
    assert dataset.inputs[0].float().std() > 10
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"no room for them on the disk .*AUTORECIPE_CACHE to a folder with room"):
        load(root)


def test_a_full_disk_is_told_before_anything_is_decoded(image_folder, no_memory, monkeypatch):
    usage = hold.shutil.disk_usage("/")
    monkeypatch.setattr(hold.shutil, "disk_usage", lambda path: usage._replace(free=5000))
    monkeypatch.setattr(decode, "decode", None)
    with pytest.raises(InputError, match=r"has 5,000 bytes free.*--resolution"):
        load(image_folder())


def test_a_disk_that_runs_full_is_told(no_memory, own_cache):
    def chunks():
        yield np.zeros((2, 3), np.uint8)
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left on device"):
        hold.hold(chunks(), 5, (3,))
    assert not list(own_cache.iterdir())


@pytest.mark.parametrize("cap", ["0", "1G"])
def test_chunks_come_in_their_order(monkeypatch, cap):
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", cap)
    rows = np.random.default_rng(0).integers(0, 256, (12_345, 3), dtype=np.uint8)
    array, file = hold.hold(np.array_split(rows, 17), 1_000_000, (3,))
    assert np.array_equal(array, rows)
    assert (file is None) == (cap == "1G")
    empty, other = hold.hold([], 5, (3,))
    assert empty.shape == (0, 3)
    for path in (file, other):
        if path is not None:
            assert len(np.load(path)) in (0, 12_345)
            path.unlink()


def test_a_batch_is_read_in_the_order_of_the_file():
    from autorecipe.data.batches import fetch

    asked = []

    class Seen(torch.Tensor):
        def __getitem__(self, rows):
            asked.append(rows.tolist())
            return super().__getitem__(rows)

    x = torch.arange(20).reshape(10, 2)
    rows = torch.tensor([7, 2, 9, 2, 0])
    (found,) = fetch((x.as_subclass(Seen),), rows, torch.device("cpu"))
    assert torch.equal(torch.Tensor(found), torch.Tensor(x[rows]))
    assert asked[0] == [0, 2, 2, 7, 9]


def test_the_cap(monkeypatch):
    import psutil

    monkeypatch.delenv("AUTORECIPE_MEMORY_CAP", raising=False)
    assert 0 < cache.memory_cap() <= psutil.virtual_memory().total // 4
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "1.5G")
    assert cache.memory_cap() == 3 * 2**29
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "much")
    with pytest.raises(InputError, match=r"AUTORECIPE_MEMORY_CAP is 'much'; give bytes"):
        cache.memory_cap()


def test_a_wrong_cap_does_not_empty_the_cache(image_folder, monkeypatch):
    root = image_folder()
    load(root)
    monkeypatch.setenv("AUTORECIPE_MEMORY_CAP", "much")
    with pytest.raises(InputError, match="much"):
        load(root)
    assert cache.usage()[0] == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_inputs_that_the_gpu_does_not_hold_come_in_batches(digits, monkeypatch):
    device = torch.device("cuda")
    assert not on_device(digits, device).streamed
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 1000))
    data = on_device(digits, device)
    assert isinstance(data, DeviceData)
    assert data.streamed
    assert data.inputs[0].device.type == "cpu"
    recipe = recipe_for(digits)
    session = start_session(recipe, data, replace_record(CPU, device=device))
    losses = [look.train_loss for look in train(session, data, rows_of(digits), looks=range(9))]
    assert np.isfinite(losses).all()
    assert len(predict(session.model, data.inputs, rows_of(digits, "val"), recipe)) == len(digits.splits.val)


def test_the_cache_page_names_the_variable():
    text = Path(__file__).parents[2].joinpath("docs", "run-folder.md").read_text(encoding="utf-8")
    assert "AUTORECIPE_MEMORY_CAP" in text
