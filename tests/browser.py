"""Debian's chromium without a window, driven over a pipe (the DevTools protocol); needs no library.

`tests/outputs/test_browser.py` reads with it what a user sees of the dashboard, `test_report_browser.py` and
`benchmarks/report.py` what one sees of `report.html`.
"""

import base64
import json
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and answers on 4.
SHELL = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null'


class Browser:
    """One page of a running chromium."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.errors: list[str] = []
        """Errors and uncaught exceptions on the console, failed requests; of all pages opened so far."""
        self.requests: list[str] = []
        """Addresses that the pages asked for, themselves included."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ)
        self._read = b""
        self._sent = 0
        self._session: str | None = None
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, *, timeout: float = 60.0, **params: Any) -> Any:
        """Send a command, return its result; events that come meanwhile are noted."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        end = time.monotonic() + timeout
        while True:
            answer = self._receive(end)
            if answer.get("id") != self._sent:
                self._note(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                return answer["result"]

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            if not self._selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError("chromium does not answer")
            assert self.process.stdout is not None
            part = self.process.stdout.read1(1 << 20)
            if not part:
                raise RuntimeError("chromium ended")
            self._read += part
        line, _, self._read = self._read.partition(b"\0")
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(params["exceptionDetails"])[:2000])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"])[:2000])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.responseReceived" if params["response"]["status"] >= 400:
                self.errors.append(f"{params['response']['status']} {params['response']['url']}")

    def close(self) -> None:
        """End chromium, so that it writes no more."""
        self._session = None
        with suppress(OSError, RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self.command("Browser.close", timeout=20.0)
            self.process.wait(20.0)

    def open(self, address: str) -> None:
        """Go to an address; what it shows may come later."""
        self.command("Page.navigate", url=address)

    def emulate(self, width: int, height: int, *, dark: bool = False, phone: bool = False, media: str = "") -> None:
        """Show the page in a window of this size, in light or dark, or as `media` ("print") has it."""
        scale = 2 if phone else 1
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))

    def js(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def text(self) -> str:
        """What a reader sees of the page, in any place of it."""
        return str(self.js("document.body ? document.body.innerText : ''"))

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
        """Wait until something holds and return it."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"not shown: {what}; the page says:\n{self.text()}\nerrors: {self.errors}")
            time.sleep(0.1)
        return value

    def wait_for(self, *words: str) -> str:
        """Wait until the page shows all the words; returns its text."""

        def shown() -> str | None:
            text = self.text()
            return text if all(word in text for word in words) else None

        return str(self.wait(shown, repr(words)))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A chromium that keeps its own data in an empty folder and ends with the block."""
    assert CHROMIUM is not None
    words = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        ["/bin/sh", "-c", SHELL, "sh", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            page = Browser(process)
            yield page
            page.close()
        finally:
            process.kill()
