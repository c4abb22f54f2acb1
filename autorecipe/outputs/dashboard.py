"""Optuna's dashboard for one run, also while its search is running: it only reads."""

import json
import webbrowser
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from autorecipe.errors import InputError
from autorecipe.rundir import RunDir
from autorecipe.search.studies import shown

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from optuna.storages import BaseStorage


def serve(
    run: RunDir,
    storage_url: str | None,
    port: int = 8080,
    host: str = "127.0.0.1",
    open_browser: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the dashboard of a run until Ctrl-C.

    Args:
        run: the run.
        storage_url: what `--storage` was, None for the journal in the run's folder.
        port: where to listen.
        host: address to listen at; the default is reached from this machine alone.
        open_browser: whether to open the page.
        ready: called with the page's address once it is served.

    Raises:
        InputError: there is nothing to show yet, the storage cannot be read, or the port is taken.
    """
    app = application(run, storage_url)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Handler)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen at {host}:{port} ({error}); another program may use it: --port {port % 60000 + 1}"
        ) from error
    address = f"http://{host}:{server.server_port}/dashboard"
    with server:
        if ready:
            ready(address)
        if open_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def application(run: RunDir, storage_url: str | None) -> "WSGIApplication":
    """The dashboard as a WSGI application that refuses every request to change something.

    Raises:
        InputError: there is nothing to show yet, or the storage cannot be read.
    """
    import optuna_dashboard
    from optuna.artifacts import FileSystemArtifactStore

    app = optuna_dashboard.wsgi(_storage(run, storage_url), artifact_store=FileSystemArtifactStore(run.artifacts))
    return _read_only(app)


def _storage(run: RunDir, url: str | None) -> "BaseStorage":
    """The storage, for reading: locks stay, the journal is not repaired, no table is made."""
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    path = run.journal.absolute() if url is None else Path(url.removeprefix("sqlite:///"))
    if (url is None or url.startswith("sqlite:///")) and not path.is_file():  # opening would make an empty one
        raise InputError(f"{path} is not there: the search has not begun its first trial; try again in a moment")
    try:
        if url is None:
            return JournalStorage(JournalFileBackend(str(path)))
        storage = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
        storage.get_all_studies()
    except Exception as error:  # one of many kinds: damaged file, URL, driver, network, no tables
        reason = str(error).strip().split("\n")[0]
        if url is None:
            advice = f"'autorecipe resume {run.path}' repairs it"
        else:
            advice = "is it what --storage was when the run began?"
        raise InputError(f"{shown(url) if url else path} cannot be read: {reason}; {advice}") from error
    return storage


def _read_only(app: "WSGIApplication") -> "WSGIApplication":
    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        body = json.dumps({"reason": "this dashboard only reads: a search may be writing"}).encode()
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [body]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing of each request."""
