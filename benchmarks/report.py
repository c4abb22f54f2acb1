"""`report.html` in a real browser: its size, what it asks of any host, what the console says, how it fits a phone.

    python benchmarks/report.py                          searches digits for 60 s
    python benchmarks/report.py --run runs/digits-1      a run that is there
    python benchmarks/report.py --pictures docs/         also report.png, report-dark.png and report-phone.png

Must: under 3 MB, no request beside the page itself, no error on the console, no wider than a phone of 390 pixels.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import (
    HERE,
    add_dataset,
    command,
    dataset_words,
    empty_run,
    finish,
    open_store,
    options,
    run_facts,
    say,
    tail,
    timed,
    timed_search,
)
from PIL import Image

sys.path.insert(0, str(HERE.parent / "tests"))
from browser import CHROMIUM, Browser, browser

NAME = "report"
MOST_BYTES = 3_000_000
MUST = "under 3 MB, 0 requests, 0 console errors, no wider than 390 pixels"
WINDOWS: dict[str, dict[str, Any]] = {
    "report.png": {"width": 1280, "height": 900},
    "report-dark.png": {"width": 1280, "height": 900, "dark": True},
    "report-phone.png": {"width": 390, "height": 844, "phone": True},
}
"""Picture -> window."""


def measure(run: Path, pictures: Path | None) -> dict[str, Any]:
    """Make the page of a run and look at it."""
    log = run.parent / f"{run.name}.report.out"
    log.unlink(missing_ok=True)
    code, seconds = timed(command("report", str(run)), log)
    if code != 0:
        return {"run": str(run), "code": code, "output": tail(log)}
    path = (run / "report.html").resolve()
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile, browser(Path(profile)) as page:
        begin = time.monotonic()
        page.open(path.as_uri())
        page.wait_for("The receipt")
        shown = time.monotonic() - begin
        wider = _look(page, pictures)
        requests = [address for address in page.requests if not address.startswith(("data:", path.as_uri()))]
    return {
        "run": str(run),
        "code": code,
        "seconds": round(seconds, 2),
        "seconds_to_show": round(shown, 2),
        "bytes": path.stat().st_size,
        "requests": requests,
        "errors": page.errors,
        "wider": wider,
        "status": run_facts(run)["status"],
    }


def _look(page: Browser, pictures: Path | None) -> list[str]:
    """Show the page in every window; names those that it is wider than."""
    wider = []
    for name, window in WINDOWS.items():
        page.emulate(**window)
        if page.js("document.documentElement.scrollWidth > innerWidth"):
            wider.append(name)
        if pictures is not None:
            page.screenshot(pictures / name)
            with Image.open(pictures / name) as whole:
                small = whole.convert("RGB").quantize(128)
            small.save(pictures / name, optimize=True)
    return wider


def main() -> None:
    parser = options(__doc__, seeds=None)
    add_dataset(parser)
    parser.add_argument("--run", type=Path, help="a run that is there, instead of a search")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to write pictures of the page")
    args = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("there is no chromium, and this benchmark looks at a page with it (apt-get install chromium)")
    if args.run is not None:
        row = measure(args.run, args.pictures)
    else:
        words = dataset_words(args.dataset, args.target)

        def searched() -> dict[str, Any]:
            run = empty_run(args.out, NAME, Path(args.dataset).name)
            found = timed_search(words, args.budget, 0, run)
            return measure(run, args.pictures) if found["code"] == 0 else found

        row = open_store(args, NAME).row(f"{' '.join(words)} {args.budget} {args.pictures or ''}".strip(), searched)
    say(f"{row.get('bytes')} bytes, {row.get('requests')} requested, {row.get('errors')} on the console")
    reached = (
        row["code"] == 0
        and row["bytes"] < MOST_BYTES
        and not row["requests"]
        and not row["errors"]
        and not row["wider"]
    )
    finish(NAME, MUST, reached, **row)


if __name__ == "__main__":
    main()
