"""The report in a real browser, opened as by a double click: looks, keys, phone, and nothing that leaves the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_miner.config.sites import load_sites
from data_miner.ledger import projects, successors
from data_miner.ledger.connection import Ledger
from data_miner.report.project import write_report
from data_miner.store.artifacts import Store
from tests.support import mined
from tests.support.browser import Page, browser
from tests.support.postgres import Server
from tests.support.scores import score_frames

HOSTILE = (
    """</title></script><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>' " onfocus='hacked=3'"""
)
TOO_LONG = "Glasstürenfabrikbesichtigung" * 40
_WORST_CONTRAST = """(() => {
    const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = (colour) => {
        const [r, g, b] = colour.match(/\\d+/g).map((v) => linear(v / 255));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const ground = (found) => {
        const colour = getComputedStyle(found).backgroundColor;
        return colour.endsWith(', 0)') ? ground(found.parentElement) : colour;
    };
    const written = [...document.querySelectorAll('p, h1, h2, h3, h4, span, td, th, dt, dd, code, nav a, summary')]
        .filter((found) => found.textContent.trim() && found.offsetHeight);
    return Math.min(...written.map((found) => {
        const [a, b] = [light(getComputedStyle(found).color), light(ground(found))].sort((x, y) => y - x);
        return (a + .05) / (b + .05);
    }));
})()"""
_TAB, _ENTER, _RIGHT = ("Tab", 9), ("Enter", 13), ("ArrowRight", 39)


@dataclass(frozen=True)
class Opened:
    """A report and the browser that shows it."""

    path: Path
    page: Page


@pytest.fixture(scope="module")
def report(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The report of a mined project whose titles and addresses come from a hostile site."""
    place = mined.prepare(tmp_path_factory.mktemp("page"))
    ledger = postgres_server.create_migrated()
    mined.mine(ledger, place)
    score_frames(ledger)
    _decide(ledger, place)
    with ledger.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        videos = [row.id for row in cursor.execute("SELECT id FROM video ORDER BY id")]
        for number, (title, url) in enumerate(
            ((HOSTILE, "javascript:hacked=4"), (TOO_LONG, 'https://x.test/"onclick=hacked=5'))
        ):
            cursor.execute("UPDATE video SET title = %s, url = %s WHERE id = %s", (title, url, videos[number]))
        cursor.execute("UPDATE project SET config = jsonb_set(config, '{description}', to_jsonb(%s::text))", (HOSTILE,))
    path = place.folder / "report.html"
    write_report(ledger, project, Store(place.settings.store), path)
    yield path
    postgres_server.drop(ledger)


@pytest.fixture(scope="module")
def tab(report: Path) -> Iterator[Page]:
    """One browser for all tests."""
    with browser() as page:
        yield page


@pytest.fixture
def page(tab: Page, report: Path) -> Page:
    """The report, freshly opened on a desk."""
    tab.window(1280, 900)
    tab.colours("light")
    tab.requests.clear()
    tab.complaints.clear()
    tab.open(report)
    return tab


def _decide(ledger: Ledger, place: mined.Place) -> None:
    """Let dedup and detect follow the new scores."""
    with ledger.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        for row in cursor.execute("SELECT video_id FROM project_video ORDER BY 1").fetchall():
            successors.derive_after(cursor, project.id, row.video_id)
    mined.work_off(ledger, place.settings, load_sites(place.settings))


def test_nothing_leaves_the_file_and_nothing_complains(page: Page, report: Path) -> None:
    page.ask("document.querySelectorAll('details').forEach((found) => { found.open = true; })")
    page.ask("document.querySelectorAll('.every-bin').forEach((button) => button.click())")
    page.ask("window.scrollTo(0, document.body.scrollHeight)")
    page.ask("dispatchEvent(new Event('beforeprint'))")
    page.wait_for("[...document.images].every((image) => image.complete && image.naturalWidth > 100)")
    assert page.ask("document.images.length") > 60
    assert page.requests == [report.as_uri()] and page.complaints == []


def test_titles_from_the_web_are_only_text(page: Page) -> None:
    assert page.ask("typeof window.hacked") == "undefined"
    assert page.ask("[...document.querySelectorAll('bdi')].some((found) => found.textContent.includes('onerror='))")
    assert page.ask("document.querySelectorAll('script').length") == 2
    hrefs = "[...document.querySelectorAll('a[href]')].map((link) => link.protocol)"
    assert set(page.ask(hrefs)) == {"file:", "https:"}, "sections of the page itself, and videos on the web"
    assert page.ask("[...document.querySelectorAll('figure a')].every((link) => !link.hasAttribute('onclick'))")


def test_a_phone_never_scrolls_sideways(page: Page) -> None:
    page.window(390, 844)
    page.ask("document.querySelectorAll('details').forEach((found) => { found.open = true; })")
    page.ask("document.querySelectorAll('.every-bin').forEach((button) => button.click())")
    assert page.ask("[document.documentElement.scrollWidth, document.documentElement.clientWidth]") == [390, 390]
    wide = """[...document.querySelectorAll('.card, figure, p, h1, h2, h3, h4, .binrow, .group, summary, li')]
        .filter((found) => found.getBoundingClientRect().right > 390 && !found.closest('nav')).length"""
    assert page.ask(wide) == 0 and page.ask("getComputedStyle(document.body).overflowX") == "visible"


def test_keys_alone_reach_sections_charts_and_pictures(page: Page) -> None:
    page.press(*_TAB)
    assert page.ask("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(60):
        page.press(*_TAB)
        seen.add(page.ask("document.activeElement.tagName + '.' + document.activeElement.classList[0]"))
    assert {"BUTTON.undefined", "A.undefined", "g.bin", "A.pic", "BUTTON.every-bin", "SUMMARY.undefined"} <= seen
    page.ask("document.querySelector('#t-positive').closest('article').querySelector('.bin').focus()")
    before = page.ask("document.activeElement.closest('article').querySelector('.readout').textContent")
    page.press(*_RIGHT)
    page.press(*_RIGHT)
    chosen = "document.querySelector('#t-positive').closest('article').querySelector('.bin[aria-checked=true]')"
    assert page.ask(f"{chosen} === document.activeElement && {chosen}.dataset.bin") == "3"
    after = page.ask("document.activeElement.closest('article').querySelector('.readout').textContent")
    assert after != before and "frame" in after
    outline = page.ask(f"getComputedStyle({chosen}.querySelector('.hit')).strokeWidth")
    assert outline == "2px", "what has the focus shows it"


def test_a_choice_in_a_chart_shows_pictures_of_that_bin(page: Page) -> None:
    article = "document.querySelector('#t-positive').closest('article')"
    page.ask(f"{article}.querySelector('.plot').scrollIntoView()")
    last = f"[...{article}.querySelectorAll('.binrow')].pop()"
    number = page.ask(f"{last}.dataset.bin")
    page.ask(f"{article}.querySelector('.bin[data-bin=\"{number}\"]').dispatchEvent(new MouseEvent('click'))")
    shown = f"[...{article}.querySelectorAll('.binrow')].filter((row) => row.offsetHeight > 0)"
    assert page.ask(f"{shown}.map((row) => row.dataset.bin)") == [number]
    page.wait_for(f"[...{last}.querySelectorAll('img')].every((image) => image.naturalWidth > 100)")


def test_light_and_dark_follow_the_system_until_somebody_says_otherwise(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.ask(ground)
    page.colours("dark")
    dark = page.ask(ground)
    assert light == "rgb(247, 246, 243)" and dark == "rgb(19, 20, 22)"
    page.ask("document.getElementById('theme').focus()")
    page.press(*_ENTER)
    assert page.ask(ground) == light and page.ask("document.documentElement.dataset.theme") == "light"
    page.ask("document.getElementById('theme').click()")
    assert page.ask(ground) == dark
    page.ask("localStorage.clear()")


def test_text_can_be_read_in_both_colours(page: Page) -> None:
    """Contrast of 4.5 and more, as https://www.w3.org/TR/WCAG22/#contrast-minimum asks."""
    for scheme in ("light", "dark"):
        page.colours(scheme)
        assert page.ask(_WORST_CONTRAST) >= 4.5, scheme
