"""The tables of the page sort by their headings, in a browser, from a file, under the page's own policy."""

import json
from base64 import b64encode
from hashlib import sha256

import pytest
from browser import BROWSER, shown_in
from markupsafe import Markup

from crosslens.report.html import term
from crosslens.report.page import render
from crosslens.report.sections.base import Section
from crosslens.report.table import table, text, value

ROWS = [
    {"name": "block 10", "word": "ياسمين", "r": -0.25},
    {"name": "block 2", "word": "أمل", "r": 12345.0},
    {"name": "block 9", "word": "بدر", "r": None},
    {"name": "block 1", "word": "عمر", "r": 2e-9},
]
# Clicks, and after each the first column and the headings' aria-sort.
DRIVER = """
const headings = [...document.querySelectorAll("#numbers thead th")];
const state = () => ({
  rows: [...document.querySelectorAll("#numbers tbody tr")].map((row) => row.cells[0].textContent),
  sorted: headings.map((heading) => heading.getAttribute("aria-sort")),
});
const told = [state()];
for (const [column, target] of CLICKS) {
  const clicked = target ? headings[column].querySelector(target) : headings[column];
  clicked.focus();
  clicked.click();
  told.push({ ...state(), focused: document.activeElement === clicked });
}
const said = document.createElement("pre");
said.id = "told";
said.textContent = JSON.stringify(told);
document.body.append(said);
"""


def page(body: Markup) -> str:
    """A page of one section."""
    frame = {"study": "s", "subject": "x", "lead": "", "explorer": None}
    frame |= {"warnings": [], "answers": [], "findings": []}
    return render(frame | {"sections": [Section("numbers", "Numbers", "Numbers", [body])]})


def clicked(html: str, clicks: list[tuple[int, str]], folder) -> list[dict]:
    """What the browser shows at first and after each click: (column, selector within its heading)."""
    driver = DRIVER.replace("CLICKS", json.dumps(clicks))
    digest = b64encode(sha256(driver.encode()).digest()).decode()
    html = html.replace("script-src ", f"script-src 'sha256-{digest}' ")
    (folder / "page.html").write_text(
        html.replace("</body>", f"<script>{driver}</script></body>"), encoding="utf-8"
    )
    return json.loads(shown_in(folder / "page.html", folder / "profile"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: that tables sort is not tested")
def test_tables_sort_by_their_headings(tmp_path):
    columns = [text("site", "name", "row"), text("word", "word"), value(term("r", "r"), "r")]
    html = page(table("t", columns, ROWS, label="r of words"))
    button = "button"
    clicks = [(2, button), (2, button), (2, button), (0, ""), (1, button), (1, button), (2, "a")]
    first, *told = clicked(html, clicks, tmp_path)
    written = [row["name"] for row in ROWS]
    assert first == {"rows": written, "sorted": [None, None, None]}

    names = [[name.split()[1] for name in state["rows"]] for state in told]
    # exact values and not what is shown of them; what was not measured is last either way
    assert names[0] == ["10", "1", "2", "9"] and told[0]["sorted"] == [None, None, "ascending"]
    assert names[1] == ["2", "1", "10", "9"] and told[1]["sorted"] == [None, None, "descending"]
    assert told[2]["rows"] == written and told[2]["sorted"] == [None, None, None]
    assert names[3] == ["1", "2", "9", "10"] and told[3]["sorted"] == ["ascending", None, None]
    # أمل, بدر, عمر, ياسمين: by the Arabic alphabet, whatever carries the hamza
    assert names[4] == ["2", "9", "1", "10"] and told[4]["sorted"] == [None, "ascending", None]
    assert names[5] == ["10", "1", "9", "2"]
    assert told[6]["rows"] == told[5]["rows"], "a link of the glossary is not a click on its heading"
    assert all(state["focused"] for state, (_, what) in zip(told, clicks, strict=True) if what == button)
