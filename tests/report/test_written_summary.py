"""The written summary says what the page says, and its tables hold the numbers of the files."""

import csv
import re

import pytest
from page_reader import Page
from result_files import HOSTILE, arguments, change, write_study

from crosslens.artifacts.table import STAGES
from crosslens.questions import ALL, OTHER, of_figure, of_section
from crosslens.registry import member, names
from crosslens.report.build import SECTIONS
from crosslens.report.table import Column, bounded, table, text, value
from crosslens.report.writing.contents import NOT_WRITTEN
from crosslens.report.writing.markdown import ROWS, literal, piece_lines
from crosslens.report.writing.summary import write_summary
from crosslens.report.writing.tables import write_csv, write_tables
from crosslens.tables.documents import read_json

SHAPE = {"channels (d_model)": 8, "blocks": 2}
UNASKED = {"steering": "Whether what the model says of gender can be steered"}


def of_page(given):
    """The arguments that page, summary and tables have in common."""
    kept = {name: given[name] for name in ("study", "settings", "source", "sections", "files")}
    return kept | {"absent": given.get("absent") or {}, "shape": SHAPE}


def written(given, out):
    """(Markdown, HTML) as `write_summary` leaves them in `out`."""
    shown = {kind: {key: f"results/small/{kind}/{key}" for key in of} for kind, of in given["files"].items()}
    write_summary(**of_page(given), unasked=UNASKED, shown=shown, out=out)
    return [(out / f"summary.{form}").read_text(encoding="utf-8") for form in ("md", "html")]


@pytest.fixture(scope="module")
def summary(told_study, tmp_path_factory):
    """Markdown, HTML, and the folder of tables."""
    folder = tmp_path_factory.mktemp("written")
    write_tables(**of_page(told_study[1]), out=folder / "tables")
    return *written(told_study[1], folder), folder / "tables"


def tables_of(markdown):
    """Caption → rows of cells, the heading first; AssertionError for a table whose rows differ in length."""
    found = {}
    for caption, body in re.findall(r"^\*([^*\n]+)\*\n\n((?:\|.*\n)+)", markdown, re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body.splitlines()]
        assert {len(row) for row in rows} == {len(rows[0])}, caption
        assert all(re.fullmatch(r"-+:?", cell) for cell in rows[1])
        found[caption] = [rows[0], *rows[2:]]
    return found


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_sentences_are_those_of_the_page(told_study, summary):
    """Every answer and finding, in both forms; no other wording of what they say."""
    markdown, html, _ = summary
    said = re.findall(r'<li class="(?:found|null|warning|description)"><b>(.*?)</b>', told_study[2])
    verdicts = re.findall(r"<p><b>(.*?)</b>", told_study[2])
    assert len(said) > 8 and len(verdicts) == 4
    assert all(f"<b>{sentence}</b>" in html for sentence in [*said, *verdicts])
    for sentence in [*said, *verdicts]:
        assert f"**{literal(Page(f'<p>{sentence}</p>').text)}**" in markdown


def test_numbers_of_the_tables_are_those_of_the_files(told_study, summary):
    """Exact in the CSV, rounded in Markdown, of the shares that the model writes and of the quality of an SAE."""
    files, _, _ = told_study
    markdown, _, folder = summary
    stereotype = read_json(files.stereotype, "stereotype")
    shares = {(row["category"], row["language"]): row for row in rows_of(folder / "biased/shares.csv")}
    names_of = {"en": "English", "ar": "Arabic (العربية)"}
    told = {
        (row[0], row[1]): row
        for row in tables_of(markdown)["Share of women per category, with CI over pictures"][1:]
    }
    seen = 0
    for code, of in stereotype["languages"].items():
        for category, found in of["categories"].items():
            row = shares[category, names_of[code]]
            assert [float(row[f"measured{end}"]) for end in ("", " low", " high")] == [
                found[name] for name in ("share", "low", "high")
            ]
            assert told[category, names_of[code]][3].startswith(f"{found['share']:.3f} [")
            seen += 1
    assert seen == len(shares) > 3
    document = read_json(files.quality["2"]["joint/en"], "quality")
    where = {"site": "block 2", "SAE": "joint SAE", "language": "English"}
    (row,) = (row for row in rows_of(folder / "quality/quality.csv") if where.items() <= row.items())
    assert (float(row["EV"]), float(row["L0"])) == (document["ev"], document["l0"]["mean"])
    assert (int(row["live"]), int(row["dead"])) == (document["live"], document["dead"])
    (row,) = (
        r
        for r in rows_of(folder / "studied/activations.csv")
        if (r["site"], r["language"]) == ("block 2", "English")
    )
    told_of = read_json(files.rankings["2"]["joint/en"], "rankings")
    assert int(row["tokens"]) == told_of["tokens"]["all"]
    assert float(row["MB of bfloat16"]) == (told_of["tokens"]["all"] + told_of["sinks"]) * 8 * 2 / 1e6


def test_every_table_of_the_page_has_its_csv(told_study, summary):
    """Folded ones too: of each class as many rows as the page has, headings left out."""
    _, html, folder = summary
    files = {path: rows_of(path) for path in folder.rglob("*.csv")}
    seen = set()
    for name, rows in Page(told_study[2]).tables.items():
        own = [path for path in files if path.stem == name or path.stem.startswith(f"{name}_")]
        heads = 0 if name == "provenance" else len(own)
        assert sum(len(files[path]) for path in own) == len(rows) - heads, name
        seen |= {*own}
    assert {path.stem for path in files.keys() - seen} == {"activations", "strongest"}
    assert any("specialist_block_2" in path.stem for path in seen)
    ranks = [int(tag[1]) for tag in re.findall(r"<(h[1-6])", html)]
    assert all(lower <= higher + 1 for higher, lower in zip(ranks, ranks[1:], strict=False))


def test_every_link_leads_somewhere(told_study, summary):
    markdown, html, folder = summary
    anchors = {"index.html": Page(told_study[2]).ids, "": (own_page := Page(html)).ids}
    tables = {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*.csv")}
    own = [value for tag, name, value in own_page.attributes if (tag, name) == ("a", "href")]
    links = set(re.findall(r"\]\(([^)]*)\)", markdown))
    assert tables and tables <= links and tables <= set(own)
    for link in [*links, *own]:
        address, _, anchor = link.partition("#")
        assert link in tables or (address in anchors and (not anchor or anchor in anchors[address])), link


def test_what_was_not_asked_and_not_tested_is_no_null(told_study, summary):
    """A claim without records was not asked; `unasked` has its words."""
    markdown, _, _ = summary
    claims = {
        row[0]: row
        for row in tables_of(markdown)[next(c for c in tables_of(markdown) if c.startswith("q: Benj"))][1:]
    }
    made = {
        claim["claim"]: claim
        for claim in read_json(told_study[1]["files"]["summary"][""], "summary")["claims"]
    }
    assert claims["gender can be steered"][1] == "not asked" and "gender can be steered" not in made
    for name, claim in made.items():
        said = str(claim["holds"]) if claim["holds"] or claim["reachable"] else "not tested: too few data"
        assert claims[name][1:3] == [said, str(claim["tests"])]
    assert UNASKED["steering"] in markdown


def test_evidence_names_what_was_read(summary):
    """Artifacts by their paths, of the summary the records; the page's own section beside."""
    markdown, _, _ = summary
    (line,) = (
        line for line in markdown.splitlines() if line.startswith("Evidence: [the page](index.html#quality)")
    )
    assert "`results/small/summary/ (saes" in line and "tables/quality/quality.csv" in line
    (line,) = (line for line in markdown.splitlines() if "(index.html#stereotype); [" in line)
    assert "`results/small/stereotype/`" in line


def test_hostile_words_stay_words(tmp_path):
    """In Markdown no sign of a setting, name or picture is markup, and none turns the direction of a line."""
    files = write_study(tmp_path / "in")
    hostile = HOSTILE + "| `a` [b](javascript:c) \u202e \x00 <img src=x>"
    change(
        files.dataset,
        "dataset_summary",
        lambda d: d["quarantine"].append({"image_id": hostile, "reason": hostile}),
    )
    given = arguments(files, tmp_path, study=hostile, source={"name": hostile})
    markdown, html = written(given, tmp_path / "out")
    assert not re.search(r"(?<!\\)<(script|img)|(?<!\\)\]\(javascript|\x00|\u202e", markdown)
    assert html.count("<script") == 1 and markdown.count("javascript") > 4
    tables_of(markdown)


def test_two_runs_write_the_same_bytes(told_study, summary, tmp_path):
    assert written(told_study[1], tmp_path) == list(summary[:2])


def test_a_csv_has_every_number_exactly_and_its_bounds_apart(tmp_path):
    rows = [
        {"a": "x, y", "n": 0.1234567890123, "n_low": 0.1, "n_high": 0.2, "m": None},
        {"a": '"', "n": 2.0, "n_low": None, "n_high": None, "m": 3},
    ]
    columns = [text("name", "a"), bounded("n", "n"), value("n", "m"), Column("pair", lambda row: "1 / 2")]
    write_csv(table("t", columns, rows, label="t"), tmp_path / "t.csv")
    assert rows_of(tmp_path / "t.csv") == [
        {
            "name": "x, y",
            "n": "0.1234567890123",
            "n low": "0.1",
            "n high": "0.2",
            "n (2)": "not measured",
            "pair": "1 / 2",
        },
        {"name": '"', "n": "2.0", "n low": "", "n high": "", "n (2)": "3", "pair": "1 / 2"},
    ]


def test_a_long_table_says_where_the_rest_is():
    rows = [{"a": str(i)} for i in range(ROWS + 2)]
    lines = piece_lines(table("t", [text("a", "a")], rows, label="t"), "tables/x/t.csv")
    assert sum(line.startswith("| ") for line in lines) == ROWS + 1
    assert f"The first {ROWS} of {ROWS + 2} rows; all are in [tables/x/t.csv](tables/x/t.csv)." in lines


def test_every_section_and_figure_is_under_one_question():
    """None is under OTHER, and none that a question names is gone."""
    sections = set(names(SECTIONS)) - NOT_WRITTEN
    named = [name for question in ALL for name in question.sections]
    assert sorted(named) == sorted(sections)
    kinds = [kind for stage in names(STAGES) for kind in member(STAGES, stage).KINDS]
    drawn = {file[:-4] for kind in kinds for file, words in kind.files.items() if words}
    figures = [stem for question in ALL for stem in question.figures]
    assert sorted(figures) == sorted(drawn)
    assert of_section("not there") is of_figure("not there") is OTHER
