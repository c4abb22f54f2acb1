import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from study_helpers import INCUMBENT, go, question

from autorecipe.errors import InputError
from autorecipe.rundir import RunDir
from autorecipe.search.journal import repair_journal
from autorecipe.search.studies import ask, finished, open_storage, report, tell


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "digits-1")


def test_stale_locks_are_removed(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    go(question(open_storage(run, None)), 1)
    monkeypatch.chdir(run.path.parent)
    relative = RunDir(Path(run.name))
    lock = run.path / "study.journal.lock"
    lock.symlink_to("nowhere")
    (run.path / "study.journal.lock1234.rename").symlink_to("nowhere")
    go(question(open_storage(relative, None)), 1)
    assert sorted(p.name for p in run.path.iterdir()) == ["study.journal"]


def test_half_a_last_line_is_cut_off(run: RunDir) -> None:
    handle = question(open_storage(run, None))
    go(handle, 5)
    before = finished(handle)
    with open(run.journal, "ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","study')
    damaged = run.journal.read_bytes()
    handle = question(open_storage(run, None))
    assert finished(handle) == before
    assert (run.path / "study.journal.damaged-1").read_bytes() == damaged
    assert "damaged after" in run.log.read_text()
    go(handle, 2)
    assert len(finished(question(open_storage(run, None)))) == 7
    assert not (run.path / "study.journal.damaged-2").exists()


@pytest.mark.parametrize("junk", [b"\0" * 40, b"\xff\xfe\n", b"[1]\n", b'{"op_code":4}\n', b"[" * 100_000 + b"\n"])
def test_damage_in_the_middle(run: RunDir, junk: bytes) -> None:
    go(question(open_storage(run, None)), 5)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    run.journal.write_bytes(b"".join(lines[:half]) + junk + b"".join(lines[half:]))
    (run.path / "study.journal.damaged-1").write_text("of an earlier time")
    said = repair_journal(run.journal)
    assert said is not None
    assert f"after {half} records" in said
    assert "damaged-2" in said
    assert run.journal.read_bytes() == b"".join(lines[:half])
    assert repair_journal(run.journal) is None
    go(question(open_storage(run, None)), 2)


def test_no_journal_needs_no_repair(tmp_path: Path) -> None:
    assert repair_journal(tmp_path / "study.journal") is None


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    run = RunDir(tmp_path_factory.mktemp("whole") / "digits-1")
    handle = question(open_storage(run, None), known=[INCUMBENT], prune=True)
    for _ in range(6):
        asked = ask(handle)
        report(handle, {asked.number: random.Random(asked.number).random()}, 0)
        tell(handle, asked.number, "complete", 0.5)
    return run.journal.read_bytes()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_journal_cut_anywhere_opens_with_whole_records(journal: bytes, tmp_path: Path, share: float) -> None:
    cut = round(share * len(journal))
    path = tmp_path / "study.journal"
    for old in tmp_path.glob("study.journal*"):
        old.unlink()
    path.write_bytes(journal[:cut])
    said = repair_journal(path)
    whole = journal[: journal.rfind(b"\n", 0, cut) + 1]
    assert path.read_bytes() == whole
    assert (said is None) == (len(whole) == cut)
    assert (tmp_path / "study.journal.damaged-1").exists() == (said is not None)
    storage = JournalStorage(JournalFileBackend(os.fspath(path)))
    go(question(storage, known=[INCUMBENT], prune=True), 1)


@pytest.mark.parametrize("content", [b"hello\nworld\n", b"\0\n" * 9, b"[1]\n"])
def test_what_is_no_journal_at_all_is_refused_and_left(run: RunDir, content: bytes) -> None:
    run.path.mkdir()
    run.journal.write_bytes(content)
    with pytest.raises(InputError, match="no journal"):
        open_storage(run, None)
    assert run.journal.read_bytes() == content
    assert not list(run.path.glob("*.damaged-*"))


def test_a_folder_is_no_journal(run: RunDir) -> None:
    run.journal.mkdir(parents=True)
    with pytest.raises(InputError, match="is no file"):
        open_storage(run, None)


JUNK = st.binary(max_size=40) | st.builds(
    lambda **record: json.dumps(record).encode() + b"\n",
    op_code=st.integers(-1, 12),
    worker_id=st.sampled_from(["a", "b"]),
    study_id=st.integers(0, 2),
    trial_id=st.integers(0, 9),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), junk=st.lists(JUNK, max_size=3), rest=st.booleans())
def test_any_journal_opens_or_is_refused(
    journal: bytes, tmp_path: Path, share: float, junk: list[bytes], rest: bool
) -> None:
    cut = round(share * len(journal))
    run = RunDir(tmp_path)
    for old in tmp_path.glob("study.journal*"):
        old.unlink()
    run.journal.write_bytes(journal[:cut] + b"".join(junk) + (journal[cut:] if rest else b""))
    try:
        storage = open_storage(run, None)
    except InputError:
        return
    assert isinstance(studies_of(storage), list)


def studies_of(storage: Any) -> Any:
    return storage.get_all_studies()
