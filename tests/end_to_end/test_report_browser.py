"""The report in a browser: nothing is asked of a network, nothing overflows, all is drawn."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.cli import main
from once import MadeOnce

pytestmark = pytest.mark.slow

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESKTOP, PHONE = (1440, 900), (390, 844)


def find_chromium() -> str | None:
    """Return the browser of this machine, if there is one."""
    given = os.environ.get("GLCM_MAE_CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    path = find_chromium()
    if path is None:
        pytest.skip("no chromium or google-chrome here; GLCM_MAE_CHROMIUM names one")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(reported_runs: tuple[Path, Path], made_once: MadeOnce) -> Path:
    def make(folder: Path) -> None:
        main(["report", *map(str, reported_runs), "--out", str(folder / "report.html")])

    return made_once("page_of_runs", make) / "report.html"


class Visit:
    """A page that is open, and what went wrong on it.

    Args:
        browser: The browser.
        report: The file.
        settings: Of the context, such as the size of the window.
    """

    def __init__(self, browser: Any, report: Path, **settings: Any) -> None:
        self.troubles: list[str] = []
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._request)
        self.address = report.as_uri()
        self.page.goto(self.address)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if request.url != self.address and not request.url.startswith("data:"):
            self.troubles.append(f"request: {request.url}")

    def drawn(self) -> None:
        self.page.wait_for_selector("html[data-drawn='all']", state="attached", timeout=200_000)

    def overflow(self) -> int:
        measure = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(measure))


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(DESKTOP, "light"), (PHONE, "dark")],
    ids=["desktop-light", "phone-dark"],
)
def test_it_opens_whole(
    browser: Any, report: Path, size: tuple[int, int], scheme: str, tmp_path: Path
) -> None:
    window = {"width": size[0], "height": size[1]}
    visit = Visit(browser, report, viewport=window, color_scheme=scheme)
    visit.drawn()
    assert visit.overflow() <= 0
    shown = visit.page.locator(".plot:visible")
    assert shown.count() >= 6
    empty = "places => places.filter(own => !own.querySelector('svg.main-svg')).length"
    assert shown.evaluate_all(empty) == 0
    assert visit.page.locator("img.static:visible").count() == 0
    visit.page.screenshot(path=tmp_path / "page.png", full_page=True)
    visit.page.locator("#unfold").click()
    visit.drawn()
    assert visit.overflow() <= 0
    assert visit.page.locator(".plot:visible").evaluate_all(empty) == 0
    assert visit.troubles == []
    visit.context.close()


def test_contents_theme_legend_and_print(browser: Any, report: Path, tmp_path: Path) -> None:
    visit = Visit(
        browser, report, viewport={"width": 1440, "height": 900}, color_scheme="light"
    )
    page = visit.page
    visit.drawn()
    for link in page.locator("nav a").all():
        link.click()
        target = link.get_attribute("href")
        page.wait_for_function(
            "hash => Math.abs(document.querySelector(hash).getBoundingClientRect().top) < 900",
            arg=target,
        )
        assert page.url.endswith(target)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.evaluate(ground) != light
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    button = page.locator("#figure-scores .legend button").last
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    page.emulate_media(media="print")
    assert page.locator("img.static:visible").count() > 4
    assert page.locator(".plot:visible").count() == 0
    assert page.locator("nav:visible").count() == 0
    page.pdf(path=tmp_path / "page.pdf")
    assert visit.troubles == []
    visit.context.close()


def test_it_is_read_without_script(browser: Any, report: Path) -> None:
    window = {"width": 390, "height": 844}
    visit = Visit(browser, report, viewport=window, java_script_enabled=False)
    page = visit.page
    assert page.locator("img.static:visible").count() > 4
    assert page.locator(".plot:visible").count() == 0
    assert page.locator(".tools:visible").count() == 0
    assert page.locator("table:visible").count() > 4
    assert visit.troubles == []
    visit.context.close()
