"""Everyone can read and use the pages: axe-core, narrow and zoomed windows, paper, the keyboard, Arabic, and hostile texts.

Here on pages of few rows, each once; `pytest -m long tests/report/test_accessibility.py` looks at whole pages of a built study in
every window and colour scheme, the running model among them.
"""

import base64
import re
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
from browser import BROWSER, Browser
from explored_study import NURSE, SITE
from shown_pages import LONG, ZALGO, write_pages

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here: THAT PEOPLE CAN READ AND USE THE PAGES IS NOT TESTED"
)
AXE = find_spec("axe_core_python")
needs_axe = pytest.mark.skipif(
    AXE is None,
    reason="no axe-core-python here: THE PAGES' ACCESSIBILITY IS NOT TESTED (pip install -e .[test])",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
EXCEPTIONS: dict[str, str] = {}
"""Rule to the reason why the pages break it."""
AUDIT = """axe.run(document, {runOnly: RULES, resultTypes: ["violations"], preload: false}).then(({violations}) =>
  violations.flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.html.slice(0, 200)}`)))"""
OPENED = """document.querySelectorAll("details").forEach((each) => (each.open = true))"""
# What is like what stands before it, whose colours would take axe minutes.
FEWER = """const keep = (all, most) => [...all].slice(most).forEach((more) => more.remove());
for (const each of document.querySelectorAll("section")) keep(each.querySelectorAll("details"), 1);
for (const [all, most] of [["tbody", 2], [".features", 3], ["dl", 4], ["ol", 4], [".findings", 8]])
  for (const each of document.querySelectorAll(all)) keep(each.children, most);"""
SHOWN = """(async () => {
  const main = document.querySelector("main#shown");
  const wait = () => new Promise((done) => setTimeout(done, 10));
  for (let i = 0; main && i < 3000 && main.dataset.shown !== (location.hash || "#/"); i++) await wait();
})()"""
# What is wider than its window, but for boxes that scroll by themselves; in print they do not.
TOO_WIDE = """(() => {
  const { scrollWidth } = document.scrollingElement;
  const boxes = [...document.querySelectorAll("div.wide, .rows, .wide-table")];
  const cut = PRINT ? boxes.filter((box) => box.scrollWidth > innerWidth + 1) : [];
  const unnamed = boxes.filter((box) => !box.ariaLabel || box.tabIndex !== 0);
  return [scrollWidth > innerWidth ? scrollWidth : 0, cut.map((box) => box.ariaLabel), unnamed.map((box) => box.outerHTML)];
})()"""
FITS = [0, [], []]
HARM = r"""(() => {
  const own = (each) => [...each.childNodes].filter((node) => node.nodeType === 3).map(({ data }) => data).join("");
  const turning = [...document.querySelectorAll("body *")].filter((each) => /[\u202a-\u202e\u2066-\u2069]/.test(own(each)));
  const alone = ({ unicodeBidi, display }) => /isolate|plaintext/.test(unicodeBidi) || display !== "inline";
  return {
    hacked: window.hacked ?? null,
    made: document.querySelectorAll("main script, img[onerror], main b b, main u, main i:not([class], [role])").length,
    controls: (document.body.textContent.match(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g) ?? []).length,
    turned: turning.filter((each) => !alone(getComputedStyle(each))).length,
  };
})()"""
ATTACK = """(async () => {
  const put = (tag, properties) => document.head.appendChild(Object.assign(document.createElement(tag), properties));
  put("script", { textContent: "window.attacked = 1" });
  put("style", { textContent: "h1 { letter-spacing: 7px }" });
  put("base", { href: "https://example.org/" });
  put("form", { action: "https://example.org/", method: "get" }).submit();
  new Image().src = "https://example.org/x.png";
  await new Promise((done) => setTimeout(done, 200));
  return {
    script: window.attacked ?? null,
    base: document.baseURI.startsWith("file:") ? "none" : document.baseURI,
    style: getComputedStyle(document.querySelector("h1")).letterSpacing === "7px" ? "done" : "none",
  };
})()"""
FOCUSED = """(() => {
  const own = document.activeElement;
  const { width, height } = own.getBoundingClientRect();
  return {
    name: own.closest("label")?.firstChild.textContent ?? own.ariaLabel ?? own.textContent.trim(),
    at: [...document.querySelectorAll("*")].indexOf(own),
    seen: width > 0 && height > 0,
    ring: getComputedStyle(own).outlineStyle !== "none",
  };
})()"""
SORTED = """(() => {
  const table = document.querySelector("[data-name=probes] table");
  const cells = [...table.tBodies[0].rows].map((row) => row.cells[4].textContent);
  return [table.querySelector("th:nth-child(5)").ariaSort, [cells[0], cells.at(-1)]];
})()"""
# One caption by itself, nothing behind its letters.
UNLIT = """(() => {
  const own = [...document.querySelectorAll(".caption[lang=ar]")].find((each) => each.querySelector(".lit"));
  const copy = own.cloneNode(true);
  copy.id = "probe";
  document.querySelector("main").replaceChildren(copy);
  for (const each of copy.querySelectorAll(".lit")) each.style.setProperty("background", "none");
  globalThis.probe = copy;
  return copy.children.length;
})()"""
PAGES = {
    "report": "index.html",
    "table": "features/index.html#/",
    "feature": f"features/index.html#/{SITE}/joint/{NURSE}",
    "layers": "features/index.html#/layers",
    "layer": f"features/index.html#/{SITE}",
    "live": "live/index.html",
}
NARROW = (320, 390, 640, 768, 1280)
"""Widths in CSS pixels: 640 is a window of 1,280 at 200 %, 320 at 400 %."""
PAPER = 1031
"""CSS pixels of A4, long side, within its margins."""


@pytest.fixture(scope="module")
def folder(explored, tmp_path_factory) -> Path:
    """The pages, hostile texts in all of them."""
    return write_pages(tmp_path_factory.mktemp("shown") / "report", explored.pages)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def visit(browser: Browser, address: str) -> None:
    """The page anew, when it has shown what its address asks for."""
    browser.visit("about:blank")
    browser.visit(address)
    browser.evaluate(SHOWN)


def audited(browser: Browser) -> list[str]:
    """What axe-core finds against the page as it stands."""
    script = Path(AXE.submodule_search_locations[0]) / "axe.min.js"
    browser.evaluate(f"{script.read_text(encoding='utf-8')};0")
    found = browser.evaluate(AUDIT.replace("RULES", str(RULES)))
    return [line for line in found if line.split(":")[0] not in EXCEPTIONS]


@needs_browser
@needs_axe
@pytest.mark.parametrize(
    ("page", "width", "scheme"),
    [
        ("report", 1280, "dark"),
        ("table", 768, "light"),
        ("feature", 390, "dark"),
        ("layers", 1280, "light"),
        ("layer", 390, "light"),
        ("live", 768, "dark"),
    ],
)
def test_nothing_stands_in_the_way_of_anyone(browser, folder, page, width, scheme):
    browser.look(width, scheme)
    visit(browser, f"{folder.as_uri()}/{PAGES[page]}")
    browser.evaluate(f"{OPENED}; {FEWER}")
    assert audited(browser) == []


@needs_browser
@pytest.mark.parametrize("page", PAGES)
def test_no_window_is_too_narrow_and_paper_holds_all(browser, folder, page):
    """Hostile texts too: nothing scrolls sideways but boxes that have a name and can be focused, and paper has no such boxes."""
    browser.look(1280, "dark")
    visit(browser, f"{folder.as_uri()}/{PAGES[page]}")
    browser.evaluate(OPENED)
    for width in NARROW:
        browser.look(width, "dark")
        assert browser.evaluate(TOO_WIDE.replace("PRINT", "false")) == FITS, width
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    browser.look(PAPER, "dark", media="print")
    assert browser.evaluate(TOO_WIDE.replace("PRINT", "true")) == FITS
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 30, 33)"


@needs_browser
def test_hostile_texts_are_literal_and_nothing_is_asked_of_anyone(browser, folder):
    """On every kind of page: no markup, no script, no control character, no text that turns others round."""
    before = len(browser.complaints), len(browser.requests)
    for page in PAGES.values():
        visit(browser, f"{folder.as_uri()}/{page}")
        told = browser.evaluate(HARM)
        assert told == {"hacked": None, "made": 0, "controls": 0, "turned": 0}, page
    # only the pages of features leave texts of examples out, and show them on demand
    visit(browser, f"{folder.as_uri()}/index.html")
    text = browser.evaluate("document.body.textContent")
    for hostile in ("<script>window.hacked=1</script>", LONG, ZALGO, "turns ␀ and ␛ round"):
        assert hostile in text
    visit(browser, f"{folder.as_uri()}/live/index.html")
    live = browser.evaluate(
        "[...document.querySelectorAll('#pictures button')].map((each) => each.title).join(' ')"
    )
    for hostile in ("<script>window.hacked=1</script>", LONG, ZALGO, "turns ␀ and ␛ round"):
        assert hostile in live
    assert browser.complaints[before[0] :] == []
    asked = browser.requests[before[1] :]
    assert len(asked) > 40 and all(name.startswith(("file:///", "data:", "about:")) for name in asked)


@needs_browser
@pytest.mark.parametrize("page", ["index.html", "features/index.html", "live/index.html"])
def test_the_policy_of_each_page_forbids_what_it_does_not_need(browser, folder, page):
    """A script, a style sheet, a picture, a form and a base that are put in do nothing, and the browser says so."""
    visit(browser, f"{folder.as_uri()}/{page}")
    before = len(browser.complaints)
    assert browser.evaluate(ATTACK) == {"script": None, "base": "none", "style": "none"}
    refused = browser.complaints[before:]
    for directive in ("script-src", "style-src", "img-src", "base-uri", "form-action"):
        assert any(directive in line for line in refused), (directive, refused)


@needs_browser
def test_tables_and_features_are_used_by_the_keyboard_alone(browser, folder):
    """Tab goes through what can be used, in the order of reading; Enter follows, the space bar presses, Escape closes."""
    browser.look(1280, "light")
    visit(browser, f"{folder.as_uri()}/{PAGES['table']}")
    stops = [browser.press("Tab") or browser.evaluate(FOCUSED) for _ in range(8)]
    assert [stop["name"] for stop in stops[:4]] == [
        "The study's report",
        "All features",
        "Layers side by side",
        "Find",
    ]
    assert all(stop["seen"] and stop["ring"] for stop in stops), stops
    assert [stop["at"] for stop in stops] == sorted(stop["at"] for stop in stops), "in the order of the page"
    browser.evaluate("document.querySelector(\"[data-key='max:en'] button\").focus()")
    browser.press(" ")
    assert browser.evaluate("document.querySelector(\"[data-key='max:en']\").ariaSort") == "descending"
    browser.evaluate("document.querySelector('table.all tbody a').focus()")
    address = browser.evaluate("document.activeElement.getAttribute('href')")
    browser.press("Enter")
    browser.evaluate(SHOWN)
    assert browser.evaluate("[location.hash, document.activeElement.id]") == [address, "shown"]
    browser.evaluate("document.querySelector('.caption .lit[tabindex=\"0\"]').focus()")
    assert browser.evaluate("document.querySelector('#tip').hidden") is False
    browser.press("Escape")
    assert browser.evaluate("document.querySelector('#tip').hidden") is True
    visit(browser, f"{folder.as_uri()}/{PAGES['layers']}")
    browser.evaluate("document.querySelector('[data-name=probes] th:nth-child(5) button').focus()")
    browser.press("Enter")
    assert browser.evaluate(SORTED) == ["ascending", ["0.75 [0.65, 0.85]", "0.9 [0.8, 1]"]]
    browser.press(" ")
    assert browser.evaluate(SORTED) == ["descending", ["0.9 [0.8, 1]", "0.75 [0.65, 0.85]"]]


@needs_browser
def test_arabic_is_drawn_joined_and_from_the_right(browser, folder):
    """A caption whose pieces light up is drawn as in one piece, pixel by pixel, and as in no other order."""
    browser.look(1280, "light")
    visit(browser, f"{folder.as_uri()}/{PAGES['feature']}")
    assert browser.evaluate(UNLIT) > 0, "there are pieces"
    pieces = browser.picture("#probe")
    browser.evaluate("probe.textContent = probe.textContent")
    assert browser.picture("#probe") == pieces
    browser.evaluate("probe.textContent = [...probe.textContent].reverse().join('')")
    assert browser.picture("#probe") != pieces
    # what a page that draws letters one by one, from the left, would show
    browser.evaluate("probe.style.setProperty('unicode-bidi', 'bidi-override'); probe.dir = 'ltr'")
    assert browser.picture("#probe") != pieces


STARTED = """(async () => {
  document.querySelector("#start").click();
  const status = document.querySelector("#status [role=status]");
  for (let i = 0; i < 60000 && !/^Written in/.test(status.textContent); i++) await new Promise((done) => setTimeout(done, 10));
  document.querySelector("#features tbody button").click();
  await new Promise((done) => setTimeout(done, 500));
  for (let i = 0; i < 60000 && !/^Written in/.test(status.textContent); i++) await new Promise((done) => setTimeout(done, 10));
  return status.textContent;
})()"""
LONGEST = 60
"""Sheets of paper of a report of one layer."""


@pytest.mark.long
@needs_browser
@needs_axe
@pytest.mark.parametrize(("width", "scheme"), list(product((390, 768, 1280), ("light", "dark"))))
def test_whole_pages_of_a_built_study(browser, built_once, width, scheme):
    """All of the report, the table, a feature, the layers, and the model while it runs, in every window and colours."""
    report = (built_once.folder / "results/toy/report").resolve()
    before = len(browser.complaints)
    for page in ("index.html", "features/index.html#/", "features/index.html#/layers", "live/index.html"):
        browser.look(width, scheme)
        visit(browser, f"{report.as_uri()}/{page}")
        if page.startswith("live"):
            assert browser.evaluate(STARTED).startswith("Written in")
        browser.evaluate(OPENED)
        assert browser.evaluate(TOO_WIDE.replace("PRINT", "false")) == FITS, page
        assert audited(browser) == [], page
    browser.evaluate("location.href = '../features/index.html#/layers'")
    assert browser.complaints[before:] == []


@pytest.mark.long
@needs_browser
def test_a_report_on_paper(browser, built_once):
    """So many sheets, in light colours whatever the reader likes."""
    report = (built_once.folder / "results/toy/report/index.html").resolve()
    browser.look(1280, "dark")
    visit(browser, report.as_uri())
    pdf = base64.b64decode(
        browser.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
    )
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 2 <= sheets <= LONGEST
