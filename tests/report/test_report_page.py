"""The page says what the result files say, escaped, self-contained, and the same every time."""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest
from page_reader import Page
from result_files import CAPTIONS, HOSTILE, arguments, change, example, summarised, with_files, write_study
from scipy.stats import false_discovery_control
from stand_in import StandIn
from world import write_promoted

from crosslens import report
from crosslens.errors import InputError
from crosslens.report.build import build_report
from crosslens.report.numbers import plain
from crosslens.report.sections.cross_lingual import section
from crosslens.summary.layer import layer_summary
from crosslens.summary.records.cross_lingual import cross_lingual_records
from crosslens.tables.documents import read_json, write_json


def test_it_is_well_formed_and_its_anchors_exist(told_study):
    page = Page(told_study[2])
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert links and all(link.startswith("#") and link[1:] in page.ids for link in links)
    assert len(page.ids) == len(set(page.ids))
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == 17 and all(len(alt) > 20 for alt in alts)


def test_it_needs_nothing_from_outside_and_runs_its_own_script_alone(told_study):
    html = told_study[2]
    page = Page(html)
    policy = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.S)
    sheet, digest = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    # attributes hold colours and places; the sheet is known by its digest
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; style-src-elem 'sha256-{sheet}'; "
        f"style-src-attr 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ) in policy
    for tag, name, value in page.attributes:
        assert tag not in ("link", "iframe", "object", "base")
        assert tag != "script"  # one with attributes, such as src
        assert not name.startswith("on")
        if name == "src":
            assert value.startswith("data:image/png;base64,")
    assert not re.search(r"https?://|url\(|@import", html)


def test_every_number_of_the_quality_table_is_the_files(told_study):
    files, _, html = told_study
    rows = Page(html).tables["quality"]
    order = [
        "d_sae",
        "tokens",
        "ev",
        "pca",
        "random_dictionary",
        "token_mean",
        "l0",
        "ce_recovered",
        "ce_recovered_mean",
        "kl",
        "live",
        "dead",
        "cosine",
    ]
    expected = []
    for site in ("2", "4"):
        for key, path in files.quality[site].items():
            doc = read_json(path, "quality")
            splice = read_json(files.spliced[site][key], "spliced")
            flat = (
                doc | {name: doc["baselines"][name]["ev"] for name in order[3:6]} | {"l0": doc["l0"]["mean"]}
            )
            flat["ce_recovered"] = splice["ce_recovered"]["zero"]["value"]
            flat["ce_recovered_mean"] = splice["ce_recovered"]["mean"]["value"]
            flat["kl"] = splice["kl"]["spliced"]["value"]
            expected.append([*(flat[name] for name in order), doc["decoder_cosine"]["decoder"]["median"]])
    assert [[values[0] for _, values in row[4:]] for row in rows[1:]] == [
        [repr(value) for value in values] for values in expected
    ]
    assert [row[6][0] for row in rows[1:]] == [plain(values[2]) for values in expected]
    named = {row[1][0]: row[3][0] for row in rows[1:]}
    assert named["joint SAE"] == "topk" and named["gemmascope (pretrained)"] == "jumprelu"


def test_the_tables_of_sweeps_are_the_files(told_study):
    files, _, html = told_study
    page = Page(html)
    rows = page.tables["sweep"]
    for site in ("2", "4"):
        sweep = read_json(files.sweeps[site]["joint"], "sweep")
        assert f"Sweep of settings, joint SAE, block {site}" in page.text
        assert sweep["why"] in page.text
        _, *body = rows[: 1 + len(sweep["settings"])]
        rows = rows[1 + len(body) :]
        for i, (row, setting) in enumerate(zip(body, sweep["settings"], strict=True), 1):
            assert row[0][0] == str(i)
            name = "the study's own settings" if setting["name"] == "study" else setting["name"]
            assert row[1][0].startswith(name)
            assert ("recommended" in row[1][0]) == (setting["name"] == sweep["recommended"])
            assert row[2][0] == setting["architecture"]
            names = ("d_sae", "l0", "fvu", "ce_recovered", "dead")
            assert [values[0] for _, values in row[3:8]] == [repr(setting[name]) for name in names]
            assert row[8][0] == ("yes" if setting["pareto"] else "no")
            assert (row[9][0] == "none") == (not setting["gates_failed"])
            assert all(gate["says"] in row[9][0] for gate in setting["gates_failed"])
    assert not rows


def test_without_a_sweep_the_page_has_no_such_section(told_study, tmp_path):
    _, given, _ = told_study
    build_report(**with_files(given, sweep=None), out=tmp_path / "index.html")
    assert "Sweep of settings" not in (tmp_path / "index.html").read_text(encoding="utf-8")
    path = given["files"]["sweep"]["joint/2"]
    with pytest.raises(InputError, match="the sweep of joint/2"):
        build_report(**with_files(given, sweep={"joint/4": path}), out=tmp_path / "other.html")


def test_every_number_of_the_gender_table_is_the_files(told_study):
    files, given, html = told_study
    summary = read_json(given["files"]["summary"][""], "summary")
    least = next(claim["q"] for claim in summary["claims"] if claim["records"] == "gender")
    rows = iter(Page(html).tables["gender"][1:])
    results = [
        found
        for site in ("2", "4")
        for path in files.gender[site].values()
        for found in read_json(path, "gender")["conditions"].values()
    ]
    q = iter(false_discovery_control([found["null"]["p"] for found in results]))
    for site in ("2", "4"):
        for path in files.gender[site].values():
            for condition, result in read_json(path, "gender")["conditions"].items():
                row, null, test = next(rows), result["null"], result["images"]["test"]
                assert row[3][0] == condition
                found = [value for _, values in row[4:] for value in values]
                expected = [
                    test["female"],
                    test["male"],
                    result["live"],
                    result["testable"],
                    result["significant"],
                ]
                expected += [null["mean"], null["q95"], null["p"], result["confirmed"]]
                corrected = found.pop(8)
                assert found == [repr(value) for value in expected]
                assert float(corrected) == pytest.approx(max(next(q), least))
                assert row[-1][0] == "more than chance"
    assert next(rows, None) is None


def test_stereotype_and_cross_lingual_tables_are_the_files(told_study):
    files, _, html = told_study
    page = Page(html)
    document = read_json(files.stereotype, "stereotype")
    rows = {(row[0][0], row[1][0].split(" ")[0]): row for row in page.tables["shares"][1:]}
    assert len(rows) == 20
    for language, name in (("en", "English"), ("ar", "Arabic")):
        planted = document["languages"][language]["planted"]
        for category, numbers in document["languages"][language]["categories"].items():
            row = rows[category, name]
            assert row[2][1] == [repr(planted["shares"][category])]
            assert row[3][1] == [repr(numbers[key]) for key in ("share", "low", "high")]
            assert row[6][1] == [repr(numbers["q"])]
            apart = numbers["difference"]
            assert row[7][1] == [repr(apart[key]) for key in ("value", "low", "high")]
            assert row[8][1] == [repr(apart["q"])]
        fit = next(row for row in page.tables["fits"][1:] if row[0][0].startswith(name))
        assert fit[1][1][0] == repr(planted["r"]) and fit[2][1] == [repr(planted["mae"])]
    first = read_json(files.cross_lingual["2"]["joint"], "cross_lingual")["results"][0]
    assert page.tables["cross"][1][8][1][0] == repr(first["live"]["pearson"]["r"])
    assert len(page.tables["cross"]) == 1 + 2 * 8


def test_arabic_examples_are_right_to_left_and_whole(told_study):
    html = told_study[2]
    divs = re.findall(r'<div class="example" dir="(\w+)" lang="(\w+)">(.*?)</div>', html)
    assert {(found[0], found[1]) for found in divs} == {("rtl", "ar"), ("ltr", "en")}
    for _, language, inside in divs:
        assert re.sub(r"<[^>]+>", "", inside) == CAPTIONS[language]
        assert 'title="' in inside and "background:rgba(var(--mark),1.0)" in html


def test_hostile_captions_and_settings_are_text(tmp_path):
    files = write_study(tmp_path / "in", sites=("2",))

    def poison(document):
        for entry in document["examples"]["features"]:
            entry["examples"] = [example("en", entry["feature"], 0, HOSTILE)]
            entry["examples"][0]["category"] = HOSTILE

    change(files.rankings["2"]["joint/en"], "rankings", poison)
    change(
        files.dataset,
        "dataset_summary",
        lambda d: (
            d["quarantine"].append({"image_id": HOSTILE, "reason": HOSTILE}),
            d["warnings"].append({"code": "no_hits", "message": HOSTILE, "languages": []}),
        ),
    )
    given = arguments(files, tmp_path, study=HOSTILE, source={"name": HOSTILE})
    build_report(**given, out=tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(html)
    assert html.count("<script") == 1 and "<script>alert" not in html and "<b>bold" not in html
    assert page.text.count(HOSTILE) > 5
    assert "<b>bold</b>" in page.text


def test_two_runs_write_the_same_bytes(told_study, tmp_path):
    _, given, html = told_study
    build_report(**given, out=tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_gendered_examples_come_before_those_of_the_rankings(told_study, tmp_path):
    files, given, _ = told_study
    top = read_json(files.gender["2"]["joint/en"], "gender")["conditions"]["prompt"]["top_female"][0][
        "feature"
    ]
    document = {
        "sae": "digest-joint-2",
        "examples": {
            "columns": ["role", "char_start", "char_end", "position", "activation"],
            "features": [
                {"feature": top, "examples": [example("en", top, 0, "only in the gendered examples")]}
            ],
        },
    }
    write_json(tmp_path / "examples.json", "gendered_examples", document)
    given = with_files(given, gendered_examples={"joint/en/2": tmp_path / "examples.json"})
    tokens = {top: {"promoted": [" she", "she", HOSTILE, "\n", "هي"], "suppressed": [" he"]}}
    folder = write_promoted(tmp_path / "promoted", tokens, sae="digest-joint-2")
    given = with_files(given, promoted={"joint/2": folder})
    build_report(**given, out=tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    text = Page(html).text
    assert "only in the gendered examples" in text
    assert (
        text.count(f"Promotes she, {HOSTILE}, '\\n', هي; suppresses he.") == html.count("<bdi>هي</bdi>") >= 1
    )
    other = write_promoted(tmp_path / "others", tokens, sae="another")
    with pytest.raises(InputError, match="tokens of the SAE another"):
        build_report(**with_files(given, promoted={"joint/2": other}), out=tmp_path / "other.html")
    write_json(tmp_path / "examples.json", "gendered_examples", document | {"sae": "another"})
    with pytest.raises(InputError, match="examples of the SAE another"):
        build_report(**given, out=tmp_path / "other.html")


def test_null_results_and_what_is_missing_are_said_plainly(tmp_path):
    files = write_study(tmp_path / "in", sites=("2",), null=True)
    for path in files.spliced["2"].values():
        change(path, "spliced", lambda d: d["ce_recovered"]["zero"].update(value=None, ci=None))
    given = arguments(files, tmp_path, figures={})
    build_report(**given, out=tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "From the picture alone: no more gendered features than chance gives." in page.text
    assert "No linear probe reads gender better than chance." in page.text
    assert "The gender effects of English and Arabic do not agree beyond chance." in page.text
    assert "Over all pictures that hide the gender, the model writes neither one more often" in page.text
    assert "hides the gender, the one that the model writes does not hang on the category" in page.text
    assert "No feature was significant on select." in page.text
    assert {row[11][0] for row in page.tables["quality"][1:]} == {"undefined"}


def test_what_so_few_pictures_could_not_show_is_no_null(tmp_path):
    """Four women and four men: 70 arrangements of their labels, and 35 of a count: p of 1/70 is not enough."""
    files = write_study(tmp_path / "in", sites=("2",), null=True)
    for path in files.gender["2"].values():
        change(path, "gender", lambda d: [c["null"].update(least_p=1 / 35) for c in d["conditions"].values()])
    for path in files.probes["2"].values():
        change(path, "probe", lambda d: [c.update(least_p=1 / 70) for c in d["conditions"].values()])
    build_report(**arguments(files, tmp_path, figures={}), out=tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    text = page.text
    assert "no more gendered features than chance gives." not in text and "No linear probe" not in text
    said = "not tested, because with so few test pictures no result could be claimed beside the study's other claims"
    assert f"From the picture alone: gendered features were {said}" in text
    assert f"Probes were {said}" in text
    for name in ("gender", "probes"):
        assert {row[-1][0] for row in page.tables[name][1:]} == {said}, "cells say what the finding says"


def test_a_finding_says_how_many_people_its_pictures_are_of(tmp_path):
    files = write_study(tmp_path / "in", sites=("2",))
    for path in files.gender["2"].values():
        change(
            path, "gender", lambda d: [c["units"]["test"].update(female=8) for c in d["conditions"].values()]
        )
    build_report(**arguments(files, tmp_path, figures={}), out=tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    (units,) = {value[0].split(" in ")[1] for value in [row[4] for row in page.tables["gender"][1:]]}
    assert units == f"{8 + 62} groups" and f"pictures in {units}); shuffled labels give" in page.text


def test_a_picture_whose_captions_name_no_gender_is_not_said_to_hide_it(told_study, tmp_path):
    told = "The table says no gender: here a picture hides it where the words of its captions name none"
    assert told not in Page(told_study[2]).text
    given = told_study[1]
    document = read_json(given["files"]["dataset_summary"][""], "dataset_summary") | {
        "gender_source": "caption"
    }
    fields = {name: value for name, value in document.items() if name not in ("schema", "kind")}
    write_json(tmp_path / "dataset.json", "dataset_summary", fields)
    build_report(
        **with_files(given, dataset_summary={"": tmp_path / "dataset.json"}), out=tmp_path / "index.html"
    )
    text = Page((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert text.count(told) == 3, "beside the table, and under either finding"


def test_a_study_without_captions_of_its_own_says_so(told_study, tmp_path):
    build_report(**with_files(told_study[1], stereotype=None), out=tmp_path / "index.html")
    assert "Not measured: this study generates no captions." in (tmp_path / "index.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"files": {"dataset_summary": {"": "absent.json"}}}, "absent.json.*no such file"),
        ({"files": {"summary": {"": "absent.json"}}}, "absent.json.*no such file"),
        ({"figures": {"quality": "absent.png"}}, "absent.png.*no such file"),
        ({"figures": {"unheard": "absent.png"}}, "found unheard"),
        ({"files": {"features": {"joint/en/2": Path("absent")}}}, "absent/rankings.json.*no such file"),
    ],
)
def test_missing_input_is_named(told_study, tmp_path, changed, says):
    with pytest.raises(InputError, match=says):
        files = told_study[1]["files"] | changed.pop("files", {})
        build_report(**told_study[1] | {"files": files} | changed, out=tmp_path / "index.html")


def test_a_summary_of_another_layer_is_refused(told_study, tmp_path):
    layer_summary(**told_study[0].layer("4"), out=tmp_path / "4.json")
    with pytest.raises(InputError, match="the summary of 4"):
        summarised(tmp_path, {"2": tmp_path / "4.json"})
    with pytest.raises(InputError, match="absent.json.*no such file"):
        summarised(tmp_path, {"2": tmp_path / "absent.json"})
    with pytest.raises(InputError, match="layers: found none"):
        summarised(tmp_path, {})


def test_the_page_computes_no_statistics():
    for file in Path(report.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (crosslens\.stats|scipy|sklearn)", file.read_text(), re.M), (
            file
        )


def test_what_is_significant_follows_the_level_of_the_study(told_study, tmp_path):
    layers = {}
    for site in ("2", "4"):
        layer_summary(**told_study[0].layer(site), out=layers.setdefault(site, tmp_path / f"{site}.json"))

    def page_at(level: float) -> Page:
        summary = summarised(tmp_path, layers, level, told_study[0].stereotype)
        build_report(**with_files(told_study[1], summary=summary), out=tmp_path / "index.html")
        return Page((tmp_path / "index.html").read_text(encoding="utf-8"))

    assert {row[-1][0] for row in page_at(0.006).tables["gender"][1:]} == {"no more than chance"}
    page = page_at(0.001)
    (said,) = {row[-1][0] for row in page.tables["gender"][1:]}
    assert said.startswith("not tested, because with so few"), "1,000 shuffles have no such p"
    assert "categories stands apart by itself" in page.text


def test_numbers_in_words():
    assert plain(None) == "not measured"
    assert [plain(v) for v in (0.98765, 12345, -0.5, 0.0, 1e-7)] == [
        "0.988",
        "12,345",
        "−0.500",
        "0.000",
        "1e−07",
    ]


def test_what_to_know_of_the_data_is_a_note_above_all_findings(told_study, tmp_path):
    files, given, html = told_study
    assert 'role="note"' not in html
    document = read_json(files.dataset, "dataset_summary")
    messages = ["All 5 pictures of known gender are male.", "The lexicon has no <hit>."]
    document["warnings"] = [{"code": "c", "message": message, "languages": []} for message in messages]
    fields = {name: value for name, value in document.items() if name not in ("schema", "kind")}
    write_json(tmp_path / "dataset.json", "dataset_summary", fields)
    given = with_files(given, dataset_summary={"": tmp_path / "dataset.json"})
    build_report(**given, out=tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    note = re.search(r'<aside role="note".*?</aside>', html, re.DOTALL)
    assert note and note.start() < html.index('id="findings"')
    assert [unescape(line) for line in re.findall(r"<li[^>]*>(.*?)</li>", note[0])] == messages


def test_three_languages_are_named_pair_by_pair(told_study):
    files, _, _ = told_study
    (record, *_) = cross_lingual_records(files.cross_lingual["2"])
    null = {"mean": 0.0, "q025": -0.1, "q975": 0.1}
    records = [
        {
            **record,
            "site": "2",
            "languages": list(pair),
            "method": "pearson",
            "family": "live",
            "r": 0.6,
            "q": p,
            "reachable": True,
        }
        | {"null": {name: null | {"p": p} for name in ("pairing", "labels")}}
        for pair, p in ((("en", "ar"), 0.001), (("en", "fr"), 0.9), (("ar", "fr"), 0.001))
    ]
    results = StandIn(
        {"cross_lingual": records},
        words={"units": "pictures", "shared": "Both see the same pictures."},
        level=0.05,
        sites=["2"],
        shown=lambda *names: "",
        corrected=lambda *of: "",
    )
    made = section(results)
    assert [finding.title for finding in made.findings] == [
        "The gender effects of English and Arabic agree beyond both nulls in 1 of 1 cases.",
        "The gender effects of English and fr do not agree beyond chance.",
        "The gender effects of Arabic and fr agree beyond both nulls in 1 of 1 cases.",
    ]
    assert ["Both see the same pictures." in finding.lines for finding in made.findings] == [
        True,
        False,
        True,
    ]
    table = Page("".join(map(str, made.body))).tables["cross"]
    assert [row[2][0] for row in table[1:]] == ["English and Arabic", "English and fr", "Arabic and fr"]
