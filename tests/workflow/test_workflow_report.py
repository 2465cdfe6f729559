"""`snakemake --report` shows every figure, table and page of a study, by question, and its pages lead to each other."""

import json
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from crosslens.artifacts.table import STAGES
from crosslens.questions import ALL, OTHER, STUDY
from crosslens.registry import member, names

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from browser import BROWSER, Browser

LABELS = ["result", "layer", "SAE", "languages", "shows"]

SHOWN = """new Promise(done => {
  const look = () => (document.body.innerText.includes(%s) ? done(true) : setTimeout(look, 50));
  look();
})"""
"""Waits until the page says so."""


@pytest.fixture(scope="module")
def report(built_once, tmp_path_factory):
    """The checkout, and the unzipped report of its studies: toy and mini."""
    folder = tmp_path_factory.mktemp("reported")
    built = built_once.copy(folder / "checkout")
    built.snakemake("--report", "report.zip")
    with zipfile.ZipFile(built.folder / "report.zip") as packed:
        packed.extractall(folder)
    return built.folder, folder / "report"


def told(report, name):
    """A variable of its page."""
    html = (report[1] / "report.html").read_text(encoding="utf-8")
    return json.JSONDecoder().raw_decode(html.split(f'<script id="{name}">\n    var {name} = ')[1])[0]


def test_it_holds_every_figure_table_and_its_words(report):
    captions = {
        file: words.format(units="samples")
        for stage in names(STAGES)
        for kind in member(STAGES, stage).KINDS
        for file, words in kind.files.items()
        if words
    }
    results = told(report, "results")
    toy = report[0] / "results/toy"
    drawn = {path.relative_to(report[0]).as_posix() for path in (toy / "figures").rglob("*.png")}
    tables = {path.relative_to(report[0]).as_posix() for path in (toy / "report/tables").rglob("*.csv")}
    assert len(drawn) > 5 and len(tables) > 5 and drawn | tables <= results.keys()
    for path in drawn:
        assert results[path]["labels"]["shows"] == captions[Path(path).name]
    assert all(list(of["labels"]) == LABELS and of["caption"] for of in results.values())
    layers = {path: of["labels"]["layer"] for path, of in results.items()}
    assert layers["results/toy/figures/layer_1/density.png"] == "1"
    assert layers["results/toy/figures/quality.png"] == "all"
    assert results["results/toy/figures/quality.png"]["labels"]["languages"] == "en, ar"
    for path, of in results.items():
        assert (report[1] / of["data_uri"]).read_bytes() == (report[0] / path).read_bytes()


def test_its_categories_are_questions(report):
    """No figure or table of it is of no question; below each question is the study."""
    categories = told(report, "categories")
    assert {STUDY, "How good are the dictionaries?", "Do the languages share it?"} <= categories.keys()
    assert categories.keys() <= {question.asks for question in ALL if question is not OTHER} | {STUDY}
    assert categories[STUDY] == {"toy": ["results/toy/explorer/index.html"]}
    quality = categories["How good are the dictionaries?"]["toy"]
    assert {Path(path).name for path in quality} >= {"quality.png", "quality.csv", "training.png"}


@pytest.mark.skipif(
    BROWSER is None,
    reason="NO BROWSER: chromium or google-chrome; the links of pages in the report are not tested",
)
def test_the_pages_in_it_lead_to_each_other(report, tmp_path):
    """From file://, after unzipping: page, summary, features and the model live, without a complaint or a request elsewhere."""
    index = report[1] / told(report, "results")["results/toy/explorer/index.html"]["data_uri"]
    browser = Browser(tmp_path / "profile")
    try:
        links = {}
        for page in ("index.html", "summary.html", "features/index.html", "live/index.html"):
            browser.visit((index.parent / page).as_uri())
            links[page] = browser.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
        for link in (link for of in links.values() for link in of):
            parts = urlsplit(link)
            assert parts.scheme != "file" or Path(unquote(parts.path)).is_file(), link
        outside = {urlsplit(link).scheme for of in links.values() for link in of} - {"file"}
        assert outside <= {"https"}
        for target in ("summary.html", "features/index.html", "live/index.html"):
            assert (index.parent / target).as_uri() in {link.split("#")[0] for link in links["index.html"]}
        ranked = json.loads((report[0] / "results/toy/features/joint/en/layer_1/rankings.json").read_text())
        number = ranked["rankings"]["strongest"]["features"][0]["feature"]
        browser.visit(f"{(index.parent / 'features/index.html').as_uri()}#/1/joint/{number}")
        assert browser.evaluate(SHOWN % json.dumps(f"#{number}"))
        assert not browser.complaints
        assert all(address.startswith(("file:", "data:", "blob:")) for address in browser.requests)
    finally:
        browser.close()
