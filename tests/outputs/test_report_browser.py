"""`report.html` in Debian's chromium: nothing is run or fetched, and it fits a desktop, a phone and paper."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from conftest import HOSTILE

from autorecipe.outputs.report import write_report
from autorecipe.rundir import RunDir

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
]
CONTRAST = """(() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = e => { while (e) { const c = getComputedStyle(e).backgroundColor
    if (c != 'rgba(0, 0, 0, 0)') return c; e = e.parentElement } return 'rgb(255, 255, 255)' }
  const KINDS = "p, dt, dd, h1, h2, h3, h4, small, a, th, td, li, summary, code, .verdict, text", low = []
  for (const e of document.querySelectorAll(KINDS)) {
    const style = getComputedStyle(e), front = e.tagName == 'text' ? style.fill : style.color
    if (e.classList.contains('value')) continue  // numbers on coloured cells
    const [a, b] = [light(front), light(behind(e))].sort((x, y) => y - x)
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${e.tagName} ${e.className.baseVal ?? e.className} ${front}`)
  }
  return [...new Set(low)]
})()"""
"""What is written with less contrast than WCAG AA wants of small text."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as found:
        yield found


@pytest.mark.parametrize("kind", ["image", "regression", "multilabel"])
def test_a_page_in_the_browser(kind: str, enriched: Callable[..., RunDir], page: Browser) -> None:
    path = write_report(enriched(kind, HOSTILE))
    page.open(path.as_uri())
    page.wait_for("The receipt", "What it does on test", "The worst mistakes")
    for width, dark in ((1280, False), (1280, True), (390, False), (390, True)):
        page.emulate(width, 844, dark=dark, phone=width == 390)
        assert page.js("document.documentElement.scrollWidth") <= width
        assert page.js(CONTRAST) == []
        assert page.js("getComputedStyle(document.body).backgroundColor") == (
            "rgb(20, 23, 27)" if dark else "rgb(247, 246, 242)"
        )
    assert page.js("document.scripts.length") == 0
    assert page.js("[...document.images].every(image => image.naturalWidth > 0)")
    assert HOSTILE in page.text()
    assert page.errors == []
    assert [address for address in page.requests if not address.startswith(("file:", "data:"))] == []


def test_paper_is_light_and_shows_what_is_folded(enriched: Callable[..., RunDir], page: Browser) -> None:
    page.open(write_report(enriched("table")).as_uri())
    page.wait_for("The receipt")
    folded = "document.querySelector('details table').checkVisibility()"
    assert page.js(folded) is False
    page.emulate(794, 1123, dark=True, media="print")
    assert page.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.js(folded) is True
    assert page.js("document.documentElement.scrollWidth") <= 794
