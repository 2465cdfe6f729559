"""The sections on two languages say what the files say; a study has the sections that it has results for."""

import re

import pytest
from language_files import write_retrieval, write_transfer
from page_reader import Page
from PIL import Image
from result_files import arguments, change, summarised, with_files, write_study

from crosslens.errors import InputError
from crosslens.report.build import build_report
from crosslens.report.sections import retrieval, transfer
from crosslens.report.sections.base import Results, by_languages
from crosslens.report.words import PICTURES
from crosslens.summary.claims import claimed
from crosslens.summary.layer import layer_summary
from crosslens.summary.reading import Document
from crosslens.summary.study import study_summary
from crosslens.tables.documents import read_json, write_json

SITES = ("2", "4")
CONDITIONS = ("caption", "caption_whole")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """(folder, arguments of build_report, page) of a study with gender in two languages."""
    folder = tmp_path_factory.mktemp("languages")
    files = write_study(folder / "in")
    given = arguments(files, folder)
    for site, shared in zip(SITES, (0.1, 0.9), strict=True):
        layer = files.layer(site)
        layer["files"] |= {
            "gender_transfer": {
                "": write_transfer(folder / f"t{site}.json", site=site, shared=shared, conditions=CONDITIONS)
            },
            "retrieval": {
                "": write_retrieval(folder / f"r{site}.json", site=site, shared=2 * shared, alone=shared)
            },
        }
        layer_summary(**layer, out=folder / f"{site}.json")
    summarised(folder, {site: folder / f"{site}.json" for site in SITES}, stereotype=files.stereotype)
    for name in ("transfer", "retrieval"):
        Image.new("RGB", (30, 15), "white").save(folder / f"{name}.png")
        given["figures"][name] = folder / f"{name}.png"
    build_report(**given, out=folder / "index.html")
    return folder, given, Page((folder / "index.html").read_text(encoding="utf-8"))


def summary_of(folder, kind, *paths):
    """The results of a study where each of the paths is a layer with nothing but a document of that kind."""
    layers = {}
    for i, path in enumerate(paths):
        site = read_json(path, kind)["site"]
        layers[site] = folder / f"layer_{i}.json"
        layer_summary(site=site, files={kind: {"": path}}, out=layers[site])
    study_summary(layers=layers, level=0.05, out=folder / "summary.json")
    summary = Document(folder / "summary.json", "summary")
    return Results("toy", {}, {}, {}, {}, summary, summary, PICTURES | {"units": "pictures"})


def transfer_finding(folder, *paths, masked=(7, 7)):
    """What the page says of these transfers; masked: words of the captions of each language that are."""
    results = summary_of(folder, "gender_transfer", *paths)
    records = results.summary("records")
    words = [
        {"language": language, "condition": "caption", "masked": count}
        for language, count in zip(("en", "ar"), masked, strict=True)
    ]
    (of_pair,) = by_languages(records["transfer"], records["directions"])
    return records, transfer.finding(*of_pair, records["transfer"], words, results)


def retrieval_finding(results):
    return retrieval.finding(results.records("retrieval"), results.records("cka"), results)


def sections(page):
    return [
        value
        for tag, name, value in page.attributes
        if (tag, name) == ("section", "id") and value not in ("methods", "provenance")
    ]


def test_every_transfer_number_is_the_files(told):
    folder, _, page = told
    rows = [row for row in page.tables["transfer"] if row[0][0] != "site"]
    heads = [row for row in page.tables["transfer"] if row[0][0] == "site"]
    names = ["English → Arabic", "Arabic → English", "English → English", "Arabic → Arabic"]
    assert [cell[0] for cell in heads[0][2::4]] == names and len(heads) == len(CONDITIONS)
    pairs = [("en", "ar"), ("ar", "en"), ("en", "en"), ("ar", "ar")]
    expected = []
    for condition in CONDITIONS:
        for site in SITES:
            found = read_json(folder / f"t{site}.json", "gender_transfer")["conditions"][condition][
                "transfer"
            ]
            at = {(row["method"], row["source"], row["target"]): row for row in found}
            for method in ("difference_of_means", "logistic"):
                cells = [at[method, *pair] for pair in pairs]
                expected.append([repr(cell["auroc"][k]) for cell in cells for k in ("value", "low", "high")])
    assert [[value for cell in row[2::4] for value in cell[1]] for row in rows] == expected


def test_direction_and_retrieval_numbers_are_the_files(told):
    folder, _, page = told
    documents = [read_json(folder / f"t{site}.json", "gender_transfer")["conditions"] for site in SITES]
    cosines = [doc[condition]["cosine"][0]["value"] for condition in CONDITIONS for doc in documents]
    rows = [row for row in page.tables["directions"] if row[0][0] != "site"]
    assert [row[1][1] for row in rows] == [[repr(value)] for value in cosines]
    assert [row[8][0] for row in rows] == ["3"] * 4 and [row[13][0] for row in rows] == ["4"] * 4
    rows = page.tables["retrieval"][1:]
    beyond = page.tables["above-prompt"][1:]
    for site in SITES:
        (pair,) = read_json(folder / f"r{site}.json", "retrieval")["pairs"]
        for found in (row for row in pair["retrieval"] if row["centred"]):
            row = rows.pop(0)
            assert row[2][0] == retrieval.READ[found["read"]]
            assert row[4][1] == [repr(found["r1"][k]) for k in ("value", "low", "high")]
            assert row[5][1] == [repr(pair["chance"]["r1"])] and row[6][1] == [repr(found["r1"]["p"])]
            plainly = next(
                r
                for r in pair["retrieval"]
                if r == found | {"centred": False} | {k: r[k] for k in ("r1", "r5", "mrr")}
            )
            assert row[10][1][0] == repr(plainly["r1"]["value"])
            asked = (found["source"], found["target"])
            alike = next(
                r
                for r in pair["cka"]
                if r["read"] == found["read"] and (r["read"] != "prompt" or tuple(r["languages"]) == asked)
            )
            assert row[11][1] == [repr(alike["unbiased"]["value"])]
            assert row[14][1] == [repr(alike["linear"]["value"])]
        for found in pair["above_prompt"]:
            row = beyond.pop(0)
            for place, name in ((3, "r1"), (5, "r5"), (6, "mrr"), (7, "cka")):
                assert row[place][1] == [repr(found[name][k]) for k in ("value", "low", "high")]
    assert not rows and not beyond


def test_findings_read_the_numbers_and_keep_the_lexical_apart(told, tmp_path):
    folder, _, page = told
    records, finding = transfer_finding(tmp_path, *(folder / f"t{site}.json" for site in SITES))
    records = records["transfer"]
    assert finding.kind == "found" and "tells gender in the other in 4 of 8 cases" in finding.title
    # the same four of eight, beside all that the page of a whole study may claim, are too little
    assert re.search("one language (does not tell|tells) gender in the other", page.text)
    masked = [r for r in records if not r["lexical"] and (r["source"], r["target"]) == ("en", "ar")]
    best = max(masked, key=lambda record: record["auroc"])
    assert f"English → Arabic peaks at block {best['site']}" in finding.lines[0]
    assert (
        f"AUROC {best['auroc']:.3f} [{best['auroc_low']:.3f}, {best['auroc_high']:.3f}]" in finding.lines[0]
    )
    assert "lexical" not in finding.lines[0] and "lexical matter" in finding.lines[1]
    assert finding.title.startswith("English and Arabic, label words masked: the gender direction")
    _, bare = transfer_finding(tmp_path, *(folder / f"t{site}.json" for site in SITES), masked=(0, 0))
    assert bare.title.startswith(
        "English and Arabic, no label words found, so nothing is masked: the gender direction"
    )
    assert "(caption read, no label words found, so nothing is masked;" in bare.lines[0]
    assert not any("lexical" in line for line in bare.lines)
    assert "the model has read them" in finding.lines[-2] and "the same pictures" in finding.lines[-1]
    assert not any("has read them" in line for line in bare.lines) and "the same pictures" in bare.lines[-1]
    assert "3 in English (caption)" in page.text and "4 in Arabic (caption)" in page.text
    assert "cannot be told apart: 2 in Arabic." in page.text


def test_null_results_are_said(tmp_path):
    path = write_transfer(tmp_path / "t.json", site="2", shared=0.0, size=0.0)
    _, finding = transfer_finding(tmp_path, path)
    assert finding.kind == "null"
    assert finding.title.endswith("does not tell gender in the other beyond chance.")
    path = write_retrieval(tmp_path / "r.json", site="2", shared=0.0)
    finding = retrieval_finding(summary_of(tmp_path, "retrieval", path))
    assert (
        finding.kind == "null" and "do not find their translation more often than by chance" in finding.title
    )


def test_the_picture_is_not_what_the_captions_say(tmp_path):
    """The captions share the picture, as the prompt does, and no words: nothing is found of them."""
    paths = [write_retrieval(tmp_path / f"r{site}", site=site, shared=3.0, alone=0.0) for site in SITES]
    results = summary_of(tmp_path, "retrieval", *paths)
    assert min(row["r1"] for row in results.records("retrieval") if row["read"] == "caption") > 0.7
    finding = retrieval_finding(results)
    assert finding.kind == "null" and finding.title.startswith(
        "English and Arabic: captions read without pictures do not"
    )
    finding = retrieval.above_finding(results.records("above_prompt"), results)
    assert finding.kind == "null" and "than the constant prompt does in none" in finding.title
    told = write_retrieval(tmp_path / "w.json", site="2", shared=3.0, alone=3.0)
    finding = retrieval_finding(summary_of(tmp_path, "retrieval", told))
    assert finding.kind == "found" and "in 2 of 2 cases" in finding.title


def test_of_eight_pictures_what_no_sign_could_show_is_no_null(tmp_path):
    path = write_retrieval(tmp_path / "r.json", site="2", shared=3.0, alone=0.0, images=8)
    results = summary_of(tmp_path, "retrieval", path)
    above = results.records("above_prompt")
    assert {row["least_p"] for row in above} == {2.0**-7}
    above = [row | {"reachable": False} for row in above]
    finding = retrieval.above_finding(above, results)
    assert finding.kind == "warning" and "was not tested, because with so few test pictures" in finding.title


def test_pictures_of_one_person_are_told_as_what_they_are(tmp_path):
    """Of 60 pictures of 20 people 20 are independent: headline, directions and table say so."""
    path = write_transfer(tmp_path / "t.json", site="2", shared=0.9, tested=60, per_person=3)
    results = summary_of(tmp_path, "gender_transfer", path)
    assert {(row["n"], row["groups"]) for row in results.records("transfer")} == {(60, 20)}
    assert [row["train_groups"] for row in results.records("directions")] == [[40, 40]]
    section = transfer.section(results)
    lines = " ".join(section.findings[0].lines)
    assert "n = 60 test pictures in 20 groups," in lines and "n = 120 train pictures in 40 groups," in lines
    tables = Page("".join(map(str, section.body))).tables
    assert "60 in 20 groups" in [text for text, _ in tables["transfer"][1]]
    assert "120 in 40 groups" in [text for text, _ in tables["directions"][1]]


JUDGED = {
    "gender": ("p", "q over all rows and claims"),
    **dict.fromkeys(("probes", "cross", "above-prompt"), ("q",)),
    **dict.fromkeys(("transfer", "directions"), ("p",)),
    "tilt": ("q against .5", "q of differences between categories"),
}
"""Table -> columns of what the findings read."""


def test_what_could_not_be_claimed_is_untested_in_tables_as_in_findings(told, tmp_path):
    """No table tells a null where the finding of the same records says that nothing was tested."""
    _, given, _ = told
    document = read_json(given["files"]["summary"][""], "summary")
    for records in document["records"].values():
        for record in records:
            if record.get("q_family"):
                record |= {"q": 0.6, "reachable": False}
    fields = {name: value for name, value in document.items() if name not in ("schema", "kind")}
    write_json(tmp_path / "summary.json", "summary", fields)
    build_report(**with_files(given, summary={"": tmp_path / "summary.json"}), out=tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    for name, titles in JUDGED.items():
        shown: list[str] = []
        for row in page.tables[name]:
            if row[0][0] in ("site", "language"):
                at = [i for i, (title, _) in enumerate(row) if title in titles]
            else:
                shown += [row[i][0] for i in at]
        # across no two languages, and of what is shown beside the claims, p is itself and there is no q
        assert "not tested" in shown and not [cell for cell in shown if cell.startswith("0.6")], name
    verdicts = [row[-1][0] for name in ("gender", "probes") for row in page.tables[name][1:]]
    assert all(verdict.startswith("not tested, because") for verdict in verdicts)


def test_each_pair_of_three_languages_has_its_finding(tmp_path):
    """What English shares with Arabic says nothing of French."""
    path = write_transfer(tmp_path / "t.json", site="2", shared=0.9, french=0.0)
    results = summary_of(tmp_path, "gender_transfer", path)
    pairs = {(row["source"], row["target"]) for row in results.records("transfer")}
    assert ("fr", "fr") in pairs and not pairs & {("ar", "fr"), ("fr", "ar")}
    arabic, french = transfer.section(results).findings
    assert arabic.kind == "found" and arabic.title.startswith("English and Arabic: the gender direction")
    assert re.search("in [1-4] of 4 cases", arabic.title)
    assert french.kind == "null" and french.title.startswith("English and fr: the gender direction")
    assert "fr → English peaks" in french.lines[0] and "Arabic" not in " ".join(french.lines)

    path = write_retrieval(tmp_path / "r.json", site="2", shared=2.0, french=0.0)
    results = summary_of(tmp_path, "retrieval", path)
    found = by_languages(results.records("retrieval"), results.records("cka"))
    arabic, french = (retrieval.finding(*of_pair, results) for of_pair in found)
    assert arabic.kind == "found" and arabic.title.startswith("English and Arabic: captions find")
    assert french.kind == "null" and french.title.startswith("English and fr: captions do not find")
    assert "above shuffled pairs in 1 of 1 cases" in arabic.lines[2]
    assert "above shuffled pairs in 0 of 1 cases" in french.lines[2]


def test_a_lexical_effect_alone_is_no_transfer(tmp_path):
    path = write_transfer(tmp_path / "t.json", site="2", shared=0.9, conditions=("caption_whole",))
    other = write_transfer(tmp_path / "o.json", site="4", shared=0.9, size=0.0)
    _, finding = transfer_finding(tmp_path, path, other)
    assert finding.kind == "null" and "it does so in 4 of 4 cases" in finding.lines[1]


def test_what_no_score_could_show_is_not_tested(tmp_path):
    """One woman and one man: any direction tells them apart, and the band is all there is."""
    path = write_transfer(tmp_path / "t.json", site="2", shared=0.9, images=120, tested=2)
    records, finding = transfer_finding(tmp_path, path)
    assert all(
        row["auroc"] is not None and row["p"] is row["q_family"] is None for row in records["transfer"]
    )
    assert {(row["null_low"], row["null_high"]) for row in records["transfer"]} == {(0.0, 1.0)}
    assert (
        finding.kind == "warning"
        and "not tested, because random directions tell the 1 female and 1 male" in finding.title
    )


def test_what_cannot_be_scored_is_said_not_dropped(tmp_path):
    path = write_transfer(tmp_path / "t.json", site="2", shared=0.9, images=6)
    _, finding = transfer_finding(tmp_path, path)
    assert finding.kind == "warning" and "not tested, because there are too few pictures" in finding.title


def test_transfer_of_another_layer_is_refused(tmp_path):
    path = write_transfer(tmp_path / "t.json", site="4", shared=0.9)
    with pytest.raises(InputError, match="transfer from en to en at 2"):
        layer_summary(site="2", files={"gender_transfer": {"": path}}, out=tmp_path / "layer.json")


def test_a_study_with_gender_has_all_sections(told):
    page = told[2]
    assert sections(page) == [
        *(
            "answers",
            "findings",
            "data",
            "quality",
            "sweep",
            "gender",
            "robustness",
            "stereotype",
            "transfer",
        ),
        *("retrieval", "cross-lingual", "features", "rankings", "live"),
    ]
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert all(link[1:] in page.ids for link in links)


@pytest.fixture()
def generation(tmp_path):
    """Arguments of build_report for texts in one language: SAEs, no gender, no second language."""
    files = write_study(tmp_path / "in")
    given = arguments(files, tmp_path)
    for site in SITES:
        alone = {
            kind: {key: path for key, path in some.items() if key.endswith("en")}
            for kind, some in files.layer(site)["files"].items()
            if kind in ("quality", "spliced", "features", "sae")
        }
        layer_summary(site=site, files=alone, out=tmp_path / f"{site}.json")
    summarised(tmp_path, {site: tmp_path / f"{site}.json" for site in SITES})
    for folder in given["files"]["features"].values():
        change(folder / "rankings.json", "rankings", generated)
    counts = [
        {"split": split, "gender": gender, "category": "", "images": n, "rows": n}
        for split, some in (("train", 5), ("select", 1), ("test", 1))
        for gender, n in (("female", 0), ("male", 0), ("unknown", some))
    ]
    document = {"languages": ["en"], "rows": 7, "images": 7, "gender_source": "none", "counts": counts}
    empty = {"warnings": [], "quarantine": [], "agreement": {"languages": [], "column": []}}
    empty["sources"] = {"captions": None, "images": None, "lexicons": {}}
    write_json(tmp_path / "texts.json", "dataset_summary", document | empty)
    figures = {
        name: path
        for name, path in given["figures"].items()
        if name == "quality" or name.endswith(("training", "density", "decoder"))
    }
    ranked = {key: path for key, path in given["files"]["features"].items() if "/en/" in key}
    kinds = {"dataset_summary": {"": tmp_path / "texts.json"}, "features": ranked}
    return with_files(given | {"figures": figures}, **kinds, stereotype=None, sweep=None)


def generated(document):
    """The examples' tokens are those that the model wrote."""
    for entry in document["examples"]["features"]:
        for example in entry["examples"]:
            example["gender"], example["category"] = "unknown", ""
            for token in example["tokens"]:
                token[0] = "generated"


def test_a_study_without_gender_has_no_section_on_it(generation, tmp_path):
    build_report(**generation, out=tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(html)
    assert sections(page) == ["findings", "data", "quality", "features", "rankings", "live"]
    assert not re.search(r"female|gender|stereotyp|translation|arabic|unknown", page.text, re.IGNORECASE)
    assert "icture" not in page.text
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert all(link[1:] in page.ids for link in links)
    contents = html[html.index("<nav") : html.index("</nav>")]
    assert re.findall(r'href="#([\w-]+)"', contents) == [*sections(page), "methods", "provenance"]
    for rows in page.tables.values():
        assert len(rows) > 1 or rows[0][0][0] == "study"
    assert "7 prompts, 7 texts that the model wrote" in page.text
    assert "Not measured" not in page.text


def test_its_features_are_shown_with_the_texts_that_the_model_wrote(generation, tmp_path):
    build_report(**generation, out=tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    (heading, *_) = re.findall(r"<h3>(#.*?)</h3>", html)
    assert heading == "#1 · first by ranking: strongest, frequent"
    first = html[html.index("<article") :]
    assert "background:rgba" in first[: first.index("</article>")]


def without_images(document):
    """The captions are the units: no picture was shown."""
    document["sources"]["images"] = None
    document["rows"] = 2 * document["images"]
    document["quarantine"] = []


def page_of(folder, given, edit):
    """The page of `given` with `edit` applied to its dataset summary."""
    document = read_json(given["files"]["dataset_summary"][""], "dataset_summary")
    edit(document)
    fields = {key: value for key, value in document.items() if key not in ("schema", "kind")}
    write_json(folder / "texts.json", "dataset_summary", fields)
    given = with_files(given, dataset_summary={"": folder / "texts.json"})
    build_report(**given, out=folder / "index.html")
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_a_page_of_texts_counts_texts_and_speaks_of_no_picture(told, tmp_path):
    given = with_files(told[1], stereotype=None)
    given["figures"] = {name: path for name, path in given["figures"].items() if name != "stereotype"}
    summary = read_json(given["files"]["summary"][""], "summary")
    alone = [write_retrieval(tmp_path / f"r{site}.json", site=site, shared=2.0) for site in SITES]
    records = summary["records"] | summary_of(tmp_path, "retrieval", *alone).summary("records")
    fields = {"sites": summary["sites"], "level": summary["level"], "records": records}
    fields["claims"] = claimed(records, summary["level"])
    write_json(tmp_path / "all.json", "summary", fields)
    given = with_files(given, summary={"": tmp_path / "all.json"})
    page = page_of(tmp_path, given, without_images)
    shown = page.text + " ".join(value or "" for _, name, value in page.attributes if name != "src")
    assert not re.search("picture|prompts are divided", shown, re.IGNORECASE)
    for says in (
        "192 texts, 384 variants in each of English, Arabic (العربية); a variant is called a caption below; 2 categories",
        "192 texts, 384 variants a language",
        "Texts (variants) per split and gender; splits are by text",
        "every text was used",
        "prompt = the constant prompt alone",
        "From the constant prompt alone: more gendered features than chance",
        "female + male texts",
        "the same answer for 180 of 192 texts",
        "English and Arabic: captions find their translation among all texts",
        "resampling texts; tokens or variants of one",
    ):
        assert says in page.text, says


def test_a_page_with_pictures_keeps_their_words(told):
    text = told[2].text
    for says in (
        "192 pictures with 192 captions in each of English, Arabic (العربية); 2 categories; the gender is given by the "
        "source; there is no lexicon, and no word is masked. A picture whose gender is not known is counted as unknown and "
        "never as one of the others.",
        "Pictures (captions) per split and gender; splits are by picture",
        "192 pictures, 192 captions a language;",
        "1 picture could not be used and was dropped",
        "prompt = the picture alone; caption = the caption is read",
        "From the picture alone: more gendered features",
        "60 female + 62 male pictures",
        "Probes on test pictures;",
        "Gender written for pictures that hide it",
        "Pictures whose caption another one has word for word",
        "English and Arabic: captions read without pictures find their translation among all pictures",
        "Pictures or prompts are divided once",
        "prompt = the picture and a constant prompt;",
        "resampling pictures or prompts; tokens or texts of one never count twice",
    ):
        assert says in text, says


@pytest.mark.parametrize(
    ("images", "says"), [(None, "192 texts, 192 variants"), ("images", "192 pictures with 192 captions")]
)
def test_given_texts_without_gender_are_counted_and_told_without_its_words(told, tmp_path, images, says):
    summary_of(tmp_path, "retrieval", *(told[0] / f"r{site}.json" for site in SITES))
    kinds = {"summary": {"": tmp_path / "summary.json"}}
    given = with_files(told[1], **kinds, stereotype=None, features=None, sweep=None)
    given["figures"] = {"retrieval": given["figures"]["retrieval"]}

    def edit(document):
        document["gender_source"] = "none"
        document["agreement"] = {"languages": [], "column": []}
        document["sources"]["images"] = images
        for cell in document["counts"]:
            cell["gender"] = "unknown"

    page = page_of(tmp_path, given, edit)
    assert sections(page) == ["findings", "data", "retrieval", "live"]
    assert says in page.text and "2 categories." in page.text
    assert not re.search(r"female|gender|stereotyp|unknown|model wrote", page.text, re.IGNORECASE)
    assert page.tables["dataset"][0][1:] == [("all", [])]


def test_sites_without_a_dictionary_are_named_apart(told, tmp_path):
    folder, given, _ = told
    path = write_transfer(tmp_path / "t.json", site="6", shared=0.5)
    layer_summary(site="6", files={"gender_transfer": {"": path}}, out=tmp_path / "6.json")
    layers = {site: folder / f"{site}.json" for site in SITES} | {"6": tmp_path / "6.json"}
    build_report(**with_files(given, summary=summarised(tmp_path, layers)), out=tmp_path / "p.html")
    text = Page((tmp_path / "p.html").read_text(encoding="utf-8")).text
    assert "sparse autoencoders at block 2, block 4; activations at block 2, block 4, block 6." in text
