"""The pages of features used in a browser, from the disk, under their own policy."""

import csv
import io
import re
import shutil
from importlib.resources import files

import numpy as np
import pytest
from browser import BROWSER, Browser
from explored_study import DEAD, FEATURES, NURSE, SITE

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here: the pages of features are not tested"
)
# What a reader does, and what is seen of it.
DRIVER = """(async () => {
const told = {};
const main = document.querySelector("#shown");
const wait = async (done) => {
  for (let i = 0; i < 4000 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  if (!done()) throw new Error(`waited in vain for ${done}`);
};
const go = async (hash) => {
  location.hash = hash;
  await wait(() => main.dataset.shown === hash);
};
const all = (selector) => [...main.querySelectorAll(selector)];
const texts = (selector) => all(selector).map((element) => element.textContent);
const rows = () => texts("table.all tbody th");
const status = () => main.querySelector("[role=status]").textContent;
const put = (selector, value, event) => {
  const control = main.querySelector(selector);
  control.value = value;
  control.dispatchEvent(new Event(event));
};
const choose = (words, value) => {
  const label = all("label").find((each) => each.textContent.startsWith(words));
  label.querySelector("select").value = value;
  label.querySelector("select").dispatchEvent(new Event("change"));
};
  await wait(() => main.dataset.shown === "#/");
  told.paper = getComputedStyle(document.body).backgroundColor;
  told.first = { status: status(), drawn: rows().length, count: main.querySelector("table.all").getAttribute("aria-rowcount") };
  put("#find", "ممرضة", "input");
  told.found = { rows: rows(), hash: location.hash };
  put("#find", "edirrevo", "input");
  choose("Find in", "texts");
  await wait(() => location.hash.includes("in=texts") && !status().startsWith("Loading"));
  told.texts = { status: status(), hash: location.hash };
  put("#find", "", "input");
  choose("Find in", "");
  await wait(() => !location.hash.includes("in=texts") && !status().startsWith("Loading"));
  main.querySelector("[data-key='max:en'] button").click();
  const heading = main.querySelector("[data-key='max:en']");
  told.sorted = { rows: rows(), aria: heading.ariaSort, focused: document.activeElement.textContent };
  told.view = main.querySelector(".rows").scrollTop = 1e6;
  await wait(() => rows().at(-1) !== told.sorted.rows.at(-1));
  told.last = rows().at(-1);
  choose("Gender effect", "female");
  choose("Significant", "yes");
  told.gendered = { status: status(), hash: location.hash };
  Explorer.save = (name, text, type) => (told.csv = { name, text, type });
  all("button").find((each) => each.textContent.includes("CSV")).click();
  await go("#/4/joint/0");
  await main.querySelector("img").decode();
  told.shown = [...document.querySelectorAll("[src], [href]")].map((each) => each.src || each.href);
  told.feature = {
    title: document.title,
    lit: [...new Set(texts(".caption .lit"))],
    arabic: [...new Set(all("[lang=ar].caption").map((each) => each.dir + getComputedStyle(each).direction))],
    unlit: all(".example:not(.silent)").filter((each) => !each.querySelector(".lit")).length,
    silent: texts(".silent .source"),
    groups: texts("h4"),
    examples: texts(".example"),
    elements: all("script, main img[onerror], b:not(.languages b), u, i").length,
    wide: document.documentElement.scrollWidth - innerWidth,
    text: main.textContent,
    picture: main.querySelector("img").naturalWidth,
  };
  const [lit] = all(".caption .lit[tabindex='0']");
  lit.focus();
  const tip = document.querySelector("#tip");
  told.tip = { hidden: tip.hidden, text: tip.textContent, value: lit.dataset.value };
  told.tip.described = lit.getAttribute("aria-describedby");
  lit.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
  told.tip.gone = tip.hidden;
  told.hacked = window.hacked ?? null;
  await go("#/4/en/0");
  told.own = {
    text: main.textContent,
    lit: [...new Set(all(".caption .lit").map((each) => each.closest(".caption").lang))],
    translated: all(".caption[lang=ar]").length,
    partner: main.querySelector("a[href*='/ar/']").getAttribute("href"),
  };
  await go("#/4/joint/2");
  told.dead = texts("h1, .missing");
  await go("#/9/x/1");
  told.nowhere = texts("h1, p");
  await go("#/9");
  told.noLayer = texts("h1, p");
  await go("#/layers");
  const cell = (what) => all(".map:first-of-type tr").find((row) => row.cells[0].textContent === what).cells[1];
  told.heat = ["stronger for female in English, caption", "live"].map((what) => cell(what).style.getPropertyValue("--heat"));
  told.layers = {
    headings: texts("h2"),
    sections: all("nav[aria-label='In the report'] a").map((each) => each.getAttribute("href")),
    places: [...new Set(all("nav[aria-label=Layers] a").map((each) => each.getAttribute("href")))],
    untested: texts("[data-name=gender] tbody tr").map((words) => words.includes("not tested")),
  };
  Explorer.save = (name, text) => (told.probes = text);
  all("[data-name=probes] button").find((each) => each.textContent.startsWith("CSV")).click();
  const field = main.querySelector("input[type=search]");
  field.value = "arabic block 10";
  field.dispatchEvent(new Event("input"));
  told.filtered = { status: status(), hash: location.hash, rows: texts("table.compared tbody tr") };
  await go("#/layers/probes");
  told.counts = [];
  for (const what of ["live", "dead", "dense", "fire in Arabic alone", "shared by English and Arabic", "specific to Arabic",
    "stronger for male in Arabic, caption, on select too"]) {
    const link = cell(what).querySelector("a");
    const count = link.textContent;
    await go(link.getAttribute("href"));
    await wait(() => / features$/.test(status()));
    told.counts.push([what, count, status().split(" ")[0]]);
    await go("#/layers");
  }
  await go("#/4");
  const probed = () => texts("[data-name=probes] tbody th");
  told.layer = { headings: texts("h1, h2"), strongest: texts("dd")[0], to: all("dd a")[0].getAttribute("href"), rows: probed() };
  await go("#/10");
  told.deeper = { text: main.textContent, rows: probed() };
  for (const name of ["label", "promoted", "fires"]) {
    await go(`#/?find=she&in=${name}`);
    await wait(() => / features$/.test(status()));
    told[`in_${name}`] = rows();
  }
  return told;
})()
"""

NARROW = """(async () => {
  location.hash = "#/4/joint/0";
  while (document.querySelector("#shown").dataset.shown !== "#/4/joint/0") await new Promise((done) => setTimeout(done, 10));
  return { wide: document.documentElement.scrollWidth - innerWidth, paper: getComputedStyle(document.body).backgroundColor };
})()"""


@pytest.fixture(scope="module")
def seen(explored, tmp_path_factory):
    """What the driver saw, in dark colours, of a copy of the folder elsewhere; with what the browser says of it."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(explored.pages, folder / "features")
    browser = Browser(folder / "profile")
    try:
        browser.look(1280, "dark")
        browser.visit((folder / "features/index.html").as_uri())
        told = browser.evaluate(DRIVER)
        told |= {"complaints": browser.complaints, "requests": browser.requests}
        browser.look(390, "light")
        told["narrow"] = browser.evaluate(NARROW)
        # what is not to happen would be seen
        browser.evaluate(
            "new Promise((done) => { const i = new Image(); i.onerror = done; i.src = 'https://example.org/x.png'; })"
        )
        told["refused"] = browser.complaints[len(told["complaints"]) :]
    finally:
        browser.close()
    return told


@needs_browser
def test_nothing_is_loaded_from_elsewhere_and_nothing_fails(seen, explored):
    assert seen["complaints"] == []
    assert len(seen["requests"]) > 12 and all(name.startswith("file:///") for name in seen["requests"])
    assert len(seen["shown"]) > 20 and all(name.startswith("file:///") for name in seen["shown"])
    (refused,) = seen["refused"]
    assert "https://example.org/x.png" in refused and "Content Security Policy" in refused
    assert (seen["paper"], seen["narrow"]["paper"]) == ("rgb(21, 24, 28)", "rgb(255, 255, 255)")
    shown = sum(file.stat().st_size for file in explored.pages.iterdir() if file.is_file())
    assert shown < 100_000, "the page without its data"


@needs_browser
def test_the_table_is_searched_sorted_filtered_and_saved(seen, explored):
    live = FEATURES - 1
    assert seen["first"]["status"] == f"{live} of {FEATURES} features" and seen["first"]["count"] == str(
        live + 1
    )
    assert seen["first"]["drawn"] < 80, "only the rows in sight are there"
    # as it is written in the captions it has a tanwin
    assert seen["found"]["rows"][0] == f"#{NURSE}"
    assert seen["found"]["hash"].startswith("#/?find=")
    # the features that show one caption, in whichever language they found it
    read = {
        sample["id"]: i
        for i, sample in enumerate(explored.data("samples/0"))
        if "edirrevo" in sample["texts"]["en"]
    }
    pages = {**explored.data("features/0/0"), **explored.data("features/0/1")}
    shows = [
        any(sample in read.values() for rows in of["examples"].values() for _, sample, _ in rows)
        for of in pages.values()
    ]
    assert seen["texts"]["status"] == f"{sum(shows)} of {FEATURES} features" and 0 < sum(shows) < live
    largest = explored.codes["en"].max(axis=0)
    largest[DEAD] = -1
    order = np.argsort(-largest, kind="stable")
    assert (
        seen["sorted"]["rows"][:10] == [f"#{i}" for i in order[:10]]
        and seen["sorted"]["aria"] == "descending"
    )
    assert seen["sorted"]["focused"].startswith("max, English")
    assert seen["last"] == f"#{order[live - 1]}"
    gendered = [i for i in range(FEATURES) if i % 6 == 0 and i != DEAD]
    assert seen["gendered"]["status"] == f"{len(gendered)} of {FEATURES} features"
    assert "gender=female" in seen["gendered"]["hash"] and "sort=-max" in seen["gendered"]["hash"]
    rows = list(csv.DictReader(io.StringIO(seen["csv"]["text"].removeprefix("\ufeff"))))
    assert [int(row["feature"]) for row in rows] == [i for i in order if i in gendered]
    assert {(row["site"], row["corpus"]) for row in rows} == {(SITE, "joint")}
    for row in rows[:5]:
        assert float(row["max:en"]) == pytest.approx(largest[int(row["feature"])], rel=1e-6)


@needs_browser
def test_a_feature_has_a_page_by_its_address(seen):
    feature = seen["feature"]
    assert feature["title"] == "#0, block 4, joint SAE · s"
    assert {text.strip() for text in feature["lit"]} == {"nurse", "ممرضةٌ"}
    assert feature["arabic"] == ["rtlrtl"]
    assert len(feature["silent"]) == 6 and all("does not fire" in text for text in feature["silent"])
    assert "At random, of those in which it does not fire" in feature["groups"]
    assert feature["unlit"] == 0 and len(feature["examples"]) > 10 and feature["picture"] == 128
    assert "the specialist of <i>nurse</i> in English: 8 of 9 test images" in feature["text"]
    assert "significant on test and on select, in the same direction" in feature["text"]
    assert not seen["tip"]["hidden"] and seen["tip"]["described"] == "tip" and seen["tip"]["gone"]
    assert float(seen["tip"]["text"].split(" ")[0]) == pytest.approx(float(seen["tip"]["value"]), abs=0.01)
    assert seen["dead"][1].startswith("Dead:")
    assert seen["nowhere"][0] == "Not there" and "“x”" in seen["nowhere"][1]


@needs_browser
def test_a_page_says_what_the_rest_of_the_study_says_of_its_feature(seen):
    text = seen["feature"]["text"]
    for words in (
        "at strength 2, move P(female) in English by 0.123 [0.05, 0.2], against random sets p = 0.0025",
        "cost in nats a token: English 0.31 [0.1, 0.5], Arabic 0.01.",
        "patched alone (gender, English, words, chosen attributed): recovery 0.42 [0.3, 0.5], attributed 0.77",
        "In 1 of 2 other seeds its partner is alike",
        "English, caption, female: gendered in the same direction in 1 of 2 other views (max).",
        "“nurse <u>” n-grams, tried on English: balanced accuracy 0.9 [0.8, 0.95] over 20 pairs",
    ):
        assert words in text
    own = seen["own"]
    # the SAE of one language lights up its own texts alone; the others stand beside them
    assert own["lit"] == ["en"] and own["translated"] > 5
    assert "This SAE reads English: the Arabic text says the same and was not read by it." in own["text"]
    assert own["partner"] == "#/4/ar/1" and "counted as the same feature" in own["text"]


@needs_browser
def test_layers_stand_side_by_side_and_each_has_a_page(seen):
    layers = seen["layers"]
    assert layers["headings"][:2] == [
        "How many features are what, joint SAE",
        "How many features are what, Arabic SAE",
    ]
    assert "Gender by linear probes" in layers["headings"] and layers["places"] == ["#/4", "#/10"]
    assert layers["sections"] == ["../index.html#attention", "../index.html#patching", "../live/index.html"]
    assert layers["untested"] == [False, True], "what could not be claimed is no null"
    assert seen["heat"] == ["1.000", "1.000"], "of a row the most is full colour"
    assert all(count == shown for _, count, shown in seen["counts"]), seen["counts"]
    assert [int(count) > 0 for _, count, _ in seen["counts"]].count(True) >= 6
    rows = list(csv.DictReader(io.StringIO(seen["probes"].removeprefix("\ufeff"))))
    assert [(row["site"], row["language"], row["auroc"], row["auroc_low"]) for row in rows] == [
        ("4", "English", "0.9", "0.8"),
        ("10", "English", "0.75", "0.65"),
        ("4", "Arabic", "0.9", "0.8"),
        ("10", "Arabic", "0.75", "0.65"),
    ]
    assert seen["filtered"]["status"].startswith("1 of ") and len(seen["filtered"]["rows"]) == 1
    assert seen["filtered"]["hash"] == "#/layers?find=arabic+block+10"
    assert seen["layer"]["headings"][0] == "block 4 of s" and seen["layer"]["rows"] == ["block 4", "block 4"]
    assert seen["layer"]["strongest"] == "#0 1.25 [1, 1.5] ✓✓" and seen["layer"]["to"] == "#/4/joint/0"
    assert "No SAE was trained here" in seen["deeper"]["text"] and seen["deeper"]["rows"] == ["block 10"] * 2
    assert seen["noLayer"][0] == "Not there" and "no layer “9”" in seen["noLayer"][1]


@needs_browser
def test_words_are_looked_for_where_the_reader_says(seen):
    """NURSE promotes "she", no label has it, and it fires on other words."""
    assert (seen["in_promoted"], seen["in_label"], seen["in_fires"]) == ([f"#{NURSE}"], [], [])


@needs_browser
def test_hostile_texts_are_shown_as_they_are_and_do_nothing(seen):
    feature = seen["feature"]
    assert seen["hacked"] is None and feature["elements"] == 0
    assert "nurse <u>" in feature["text"], "a label"
    assert "<b>" in feature["text"], "a token"
    assert feature["wide"] <= 0 and seen["narrow"]["wide"] <= 0, "long words are broken"
    shown = "\n".join(feature["examples"])
    for words in (
        "<script>window.hacked=1</script> & <img src=x",
        "turns ␀ and ␛ round",
        "longlonglong",
        "👩‍⚕️",
    ):
        assert words in shown
    assert "\x00" not in feature["text"] and "\x1b" not in feature["text"]


@pytest.mark.parametrize(
    ("sheet", "words", "marks"),
    [
        ("explorer/page/explorer.css", ("ink", "soft", "accent"), {"mark": 1.0}),
        ("report/page.css", ("ink", "soft", "accent", "good", "bad"), {"mark": 1.0}),
        ("report/live/live.css", ("ink", "soft", "accent", "new"), {"mark": 0.8, "other": 0.6}),
    ],
)
def test_texts_can_be_read_in_light_and_dark(sheet, words, marks):
    """Contrast of WCAG 2 (4.5 : 1) of every colour of text on every ground, and on so much of the colours that light up most."""
    css = files("crosslens").joinpath(sheet).read_text(encoding="utf-8")
    roots = re.findall(r":root \{(.*?)\}", css, re.S)[:2]
    light, dark = (dict(re.findall(r"--([\w]+): ([^;]+);", block)) for block in roots)
    assert "--mark" in roots[1] and "screen and (prefers-color-scheme: dark)" in css
    for colours in (light, light | dark):
        for ground in ("paper", "card"):
            behind = _rgb(colours[ground])
            for name in words:
                assert contrast(_rgb(colours[name]), behind) >= 4.5, (name, ground)
            for mark, share in marks.items():
                full = [int(value) for value in colours[mark].split(",")]
                lit = tuple(share * of + (1 - share) * under for of, under in zip(full, behind, strict=True))
                assert contrast(_rgb(colours["ink"]), lit) >= 4.5, (mark, ground)


def _rgb(colour: str) -> tuple[int, ...]:
    colour = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """(L₁ + .05) / (L₂ + .05) of relative luminances."""

    def luminance(rgb: tuple[float, ...]) -> float:
        parts = [v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)
