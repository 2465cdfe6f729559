"""Figures to look into: what their pages show is the rows of the CSV, and they answer to mouse and keyboard."""

import csv
import json
import re
from base64 import b64encode
from hashlib import sha256

import pytest
from browser import BROWSER, Browser
from result_files import HOSTILE

from crosslens.artifacts.stages.report import PLOTTED
from crosslens.artifacts.table import STAGES
from crosslens.registry import member, names
from crosslens.report.plots.specs import PLOTS
from crosslens.report.plots.write import write_plots

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="NO BROWSER: chromium or google-chrome; pages of figures are not tested"
)
STATUS = ("both", HOSTILE, "neither")
POINTS = [
    {
        "feature": i,
        "d_first": i / 4 - 2,
        "d_second": (i * 7 % 11) / 5 - 1,
        "status": STATUS[i % 3],
        "first": "en",
        "second": "ar",
    }
    | {"condition": "prompt" if i < 12 else "caption", "table": "features", "r": ""}
    for i in range(20)
]
BESIDE = {"first": "en", "second": "ar", "condition": "prompt", "table": "correlations", "r": 0.5}
CELLS = [
    {"corpus": "joint", "language": language, "site": site, "category": category, "score": score}
    for language, sign in (("en", 1), ("ar", -1))
    for (site, category), score in {
        (2, "nurse"): 3 * sign,
        (10, "nurse"): 7 * sign,
        (2, "<i>cook</i>"): 0,
    }.items()
]


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    """The folder `plots` in that of a report."""
    folder = tmp_path_factory.mktemp("plots")
    figures = {
        "4/effect_sizes": write(folder / "effects.csv", [*POINTS, dict.fromkeys(POINTS[0], "") | BESIDE]),
        "specialists": write(folder / "specialists.csv", CELLS),
        "quality": write(folder / "quality.csv", CELLS),
    }
    write_plots(study=HOSTILE, figures=figures, languages=["en", "ar"], out=folder / "report/plots")
    return folder / "report/plots"


def data_of(page):
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S
    )
    return json.loads(text)


def test_a_page_holds_the_rows_of_its_csv_and_nothing_from_elsewhere(plots):
    """Rows that belong to another table of the figure are left out; a figure that is no cloud or map has no page."""
    assert {path.relative_to(plots).as_posix() for path in plots.rglob("*.html")} == {
        "4/effect_sizes.html",
        "specialists.html",
    }
    data = data_of(plots / "4/effect_sizes.html")
    told = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert told == [{name: row[name] for name in data["columns"]} for row in POINTS]
    assert {*data["columns"]} == {*POINTS[0]} - {"table", "r"}
    for path in plots.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert "<script>alert" not in html and not re.search(r"https?://|@import|src=", html)
        (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
        assert b64encode(sha256(script.encode()).digest()).decode() in html


def test_every_figure_that_can_be_looked_into_is_of_a_kind_that_is_asked():
    """And no kind is named whose figures all have no page."""
    kinds = [kind for stage in names(STAGES) for kind in member(STAGES, stage).KINDS]
    drawn = {kind.name: {file[:-4] for file, words in kind.files.items() if words} for kind in kinds}
    assert {name for name, stems in drawn.items() if stems & PLOTS.keys()} == {*PLOTTED}
    assert set().union(*drawn.values()) >= PLOTS.keys()


@needs_browser
def test_points_and_cells_answer(plots, tmp_path):
    browser = Browser(tmp_path / "profile")
    try:
        browser.look(900, "light")
        browser.visit((plots / "4/effect_sizes.html").as_uri())
        press = "for (const key of %s) document.querySelector('canvas').dispatchEvent(new KeyboardEvent('keydown', { key }))"
        browser.evaluate(press % '["ArrowRight", "ArrowRight"]')
        told = "document.getElementById('told').textContent"
        # by place across, of the first panel: the second point is feature 1
        assert browser.evaluate(told).startswith("feature 1 · d_first -1.75 · ")
        assert (
            f"status {STATUS[1]}" in browser.evaluate(told)
            and browser.evaluate("document.querySelectorAll('b, script[src]').length") == 0
        )
        link = browser.evaluate("document.querySelector('#told a').href")
        assert link == f"{(plots.parent / 'features/index.html').as_uri()}#/4/joint/1"
        count = "document.getElementById('help').textContent.split(' points')[0]"
        assert browser.evaluate(count) == "12 of 12"
        browser.evaluate("document.querySelector('#names button').click()")
        assert (
            browser.evaluate(count) == "8 of 12"
            and browser.evaluate("document.querySelector('#names button').ariaPressed") == "false"
        )
        chosen = "const of = document.querySelector('select'); of.value = %d; of.dispatchEvent(new Event('change'))"
        browser.evaluate(f"(() => {{ {chosen % 1} }})()")
        assert browser.evaluate(count).endswith("of 8") and browser.evaluate(told) == ""
        lit = "document.querySelector('canvas').getContext('2d').getImageData(0, 0, 900, 400).data.some((x) => x)"
        assert browser.evaluate(lit)
        assert browser.evaluate("document.querySelector('a').href") == (plots.parent / "index.html").as_uri()

        browser.visit((plots / "specialists.html").as_uri())
        rows = "[...document.querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
        heads = ["site \\ category", "<i>cook</i>", "nurse"]
        # blocks by number: 2 before 10
        assert browser.evaluate(rows) == [heads, ["2", "0", "3"], ["10", "", "7"]]
        colours = "[...document.querySelectorAll('td')].map((cell) => cell.style.background)"
        before = browser.evaluate(colours)
        browser.evaluate(f"(() => {{ {chosen % 1} }})()")
        assert browser.evaluate(rows)[1:] == [["2", "0", "-3"], ["10", "", "-7"]]
        after = browser.evaluate(colours)
        assert after[0] == before[0] and all(
            x != y for x, y in zip(before[1::2], after[1::2], strict=True) if x
        )
        for width in (390, 900):
            browser.look(width, "dark")
            assert browser.evaluate("document.scrollingElement.scrollWidth") <= width
        assert not browser.complaints
        assert all(address.startswith("file:") for address in browser.requests)
    finally:
        browser.close()
