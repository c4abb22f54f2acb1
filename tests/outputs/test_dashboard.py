import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from autorecipe.errors import InputError
from autorecipe.outputs import dashboard
from autorecipe.rundir import RunDir
from autorecipe.search.parameters import Parameter
from autorecipe.search.studies import OpenStudy, ask, attach, open_storage, open_study, tell


def begin(run: RunDir, url: str | None = None) -> OpenStudy:
    space = [Parameter("lr_factor", "float", 0.25, 4.0, log=True)]
    handle = open_study(
        open_storage(run, url), run.name, 1, "small", direction="maximize", seed=0, prune=False, parameters=space
    )
    for value in (0.8, 0.9):
        tell(handle, ask(handle).number, "complete", value)
    ask(handle)
    return handle


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "digits-1")


def call(app: Any, path: str, method: str = "GET") -> tuple[str, Any]:
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    parts = app(environ, lambda code, headers, exc_info=None: status.append(code))
    body = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    return status[0], body


def names(app: Any) -> list[str]:
    status, body = call(app, "/api/studies")
    assert status == "200 OK"
    return [study["study_name"] for study in json.loads(body)["study_summaries"]]


def test_it_follows_a_running_search_and_only_reads(run: RunDir, tmp_path: Path) -> None:
    handle = begin(run)
    lock = run.path / "study.journal.lock"
    app = dashboard.application(run, None)
    with open(run.journal, "ab") as file:  # the search is in the middle of writing a line
        file.write(b'{"op_code":')
    lock.symlink_to(run.journal)
    before = run.journal.read_bytes()
    assert names(app) == ["digits-1/1-small"]
    assert names(dashboard.application(run, None)) == ["digits-1/1-small"]
    for method in ("POST", "PUT", "DELETE"):
        status, body = call(app, "/api/studies/0", method)
        assert status.startswith("405")
        assert b"only reads" in body
    assert run.journal.read_bytes() == before
    assert lock.is_symlink()
    lock.unlink()
    os.truncate(run.journal, len(before) - len(b'{"op_code":'))
    file_to_keep = tmp_path / "curve.json"
    file_to_keep.write_text("[1, 2]")
    artifact, figure = (attach(handle, number, run, file_to_keep) for number in (2, None))
    tell(handle, 2, "complete", 0.95)
    trials = json.loads(call(app, "/api/studies/0")[1])["trials"]
    assert [trial["state"] for trial in trials] == ["Complete"] * 3
    assert call(app, f"/artifacts/0/2/{artifact}") == call(app, f"/artifacts/0/{figure}") == ("200 OK", b"[1, 2]")


def test_sqlite(run: RunDir, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    storage = begin(run, url).study._storage
    assert names(dashboard.application(run, url)) == ["digits-1/1-small"]
    storage.remove_session()


def test_nothing_to_show(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has not begun"):
        dashboard.application(run, None)
    with pytest.raises(InputError, match="has not begun"):
        dashboard.application(run, f"sqlite:///{tmp_path}/trials.db")
    with pytest.raises(InputError, match="what --storage was"):
        dashboard.application(run, "nonsense")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_is_left_as_it_is(run: RunDir) -> None:
    begin(run)
    damaged = b"half a line\n" + run.journal.read_bytes()
    run.journal.write_bytes(damaged)
    with pytest.raises(InputError, match="autorecipe resume"):
        dashboard.application(run, None)
    assert run.journal.read_bytes() == damaged


def test_serve(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(run)
    opened: list[str] = []
    monkeypatch.setattr(dashboard.webbrowser, "open", opened.append)
    servers: list[dashboard._Server] = []
    original = dashboard.make_server
    monkeypatch.setattr(dashboard, "make_server", lambda *a, **k: servers.append(original(*a, **k)) or servers[-1])
    ready = threading.Event()
    thread = threading.Thread(
        target=lambda: dashboard.serve(run, None, port=0, open_browser=True, ready=lambda _: ready.set())
    )
    thread.start()
    assert ready.wait(10)
    try:
        port = servers[0].server_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=10) as answer:
            assert json.load(answer)["study_summaries"][0]["study_name"] == "digits-1/1-small"
        with pytest.raises(InputError, match=f"--port {port + 1}"):
            dashboard.serve(run, None, port=port)
    finally:
        servers[0].shutdown()
        thread.join()
    assert opened == [f"http://127.0.0.1:{port}/dashboard"]


@pytest.mark.parametrize("port", [-1, 70000])
def test_ports_that_do_not_exist(run: RunDir, port: int) -> None:
    begin(run)
    with pytest.raises(InputError, match="--port"):
        dashboard.serve(run, None, port=port)


@pytest.mark.slow
def test_optunas_own_command_shows_the_journal(run: RunDir) -> None:
    begin(run)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).parent / "optuna-dashboard"
    process = subprocess.Popen(
        [command, "digits-1/study.journal", "--port", str(port), "--server", "wsgiref"],
        cwd=run.path.parent,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                    studies = json.load(answer)["study_summaries"]
                break
            except urllib.error.URLError:
                assert process.poll() is None
                time.sleep(0.1)
        assert [study["study_name"] for study in studies] == ["digits-1/1-small"]
    finally:
        process.kill()
        process.wait()
