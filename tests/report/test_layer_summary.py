"""A layer's summary holds the numbers of its files, and refuses files that contradict each other."""

import re
from itertools import product
from pathlib import Path
from string import ascii_lowercase

import pytest
from result_files import change, write_study

from crosslens.errors import InputError
from crosslens.study.settings import load_yaml
from crosslens.summary.layer import layer_summary
from crosslens.summary.names import LANGUAGE, corpus_name, main_corpora, site_name, site_order
from crosslens.tables.documents import read_json


@pytest.fixture()
def files(tmp_path):
    """Files of one layer, to spoil."""
    return write_study(tmp_path / "in", sites=("2",))


def test_numbers_are_those_of_the_files(files, tmp_path):
    layer_summary(**files.layer("2"), out=tmp_path / "layer.json")
    summary = read_json(tmp_path / "layer.json", "layer")
    quality = read_json(files.quality["2"]["ar/ar"], "quality")
    sae = next(record for record in summary["saes"] if (record["corpus"], record["language"]) == ("ar", "ar"))
    for name in ("ev", "fvu", "live", "dead", "tokens", "sae"):
        assert sae[name] == quality[name]
    assert sae["architecture"] == "topk"
    assert sae["decoder_median"] == quality["decoder_cosine"]["decoder"]["median"]
    assert sae["decoder_random_median"] == quality["decoder_cosine"]["random"]["median"]
    assert [record["corpus"] for record in summary["training"]] == ["joint", "en", "ar"]
    assert sae["l0"] == quality["l0"]["mean"]
    assert sae["pca"] == quality["baselines"]["pca"]["ev"]
    spliced = read_json(files.spliced["2"]["ar/ar"], "spliced")
    assert sae["ce_recovered"] == spliced["ce_recovered"]["zero"]["value"]
    assert sae["kl_ci"] == spliced["kl"]["spliced"]["ci"]
    assert (len(summary["saes"]), len(summary["gender"]), len(summary["probes"])) == (6, 12, 16)
    assert len(summary["cross_lingual"]) == 2 * 2 * 2
    assert {record["language"] for record in summary["saes"]} == {"en", "ar"}
    failed = [
        record for record in summary["saes"] if any(gate["passed"] is False for gate in record["gates"])
    ]
    assert len(summary["gates_failed"]) == len(failed)


def test_two_runs_write_the_same_bytes(files, tmp_path):
    for name in ("first", "second"):
        layer_summary(**files.layer("2"), out=tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize(
    ("argument", "key", "kind", "edit", "says"),
    [
        ("quality", "joint/en", "quality", lambda d: d.update(ev=0.5), "EV 0.5"),
        ("quality", "joint/en", "quality", lambda d: d.update(dead=0), r"live \+ dead"),
        ("quality", "joint/en", "quality", lambda d: d.update(site="6"), "site 6"),
        ("quality", "joint/en", "quality", lambda d: d.update(samples=3), "150 test samples"),
        ("quality", "joint/ar", "quality", lambda d: d.update(sae="other"), "digest"),
        ("gender", "joint/ar", "gender", lambda d: d.update(sae="other"), "digest other"),
        ("spliced", "en/en", "spliced", lambda d: d.update(sae="other"), "digest other"),
        ("quality", "joint/en", "quality", lambda d: d.pop("ev"), "ev.*no such field"),
        ("gender", "joint/en", "gender", lambda d: d["conditions"]["prompt"].update(significant=99), "99"),
        (
            "gender",
            "joint/en",
            "gender",
            lambda d: d["conditions"]["prompt"]["images"]["test"].update(unknown=1),
            "test pictures",
        ),
    ],
)
def test_contradictions_are_refused(files, tmp_path, argument, key, kind, edit, says):
    change(getattr(files, argument)["2"][key], kind, edit)
    with pytest.raises(InputError, match=says):
        layer_summary(**files.layer("2"), out=tmp_path / "layer.json")
    assert not (tmp_path / "layer.json").exists()


def test_what_was_not_measured_is_none(files, tmp_path):
    given = files.layer("2")
    for kind in ("spliced", "probe_codes", "probe_activations", "cross_lingual"):
        del given["files"][kind]
    layer_summary(**given, out=tmp_path / "layer.json")
    summary = read_json(tmp_path / "layer.json", "layer")
    assert all(record["ce_recovered"] is None for record in summary["saes"])
    assert not {"probes", "cross_lingual"} & summary.keys()


def test_names_of_sites():
    assert [site_name(site) for site in ("4", "4.attn_out")] == ["block 4", "block 4 (attention output)"]
    assert sorted(["10", "9.mlp_out", "9"], key=site_order) == ["9", "9.mlp_out", "10"]


def test_names_of_corpora():
    names = [corpus_name(corpus) for corpus in ("joint", "en", "ar", "fra", "gemmascope", "scope_16k")]
    assert names[:4] == ["joint SAE", "English SAE", "Arabic SAE", "fra SAE"]
    assert names[4:] == ["gemmascope (pretrained)", "scope_16k (pretrained)"]


def test_the_schema_tells_languages_and_pretrained_saes_apart():
    settings = load_yaml(Path(__file__).parents[2] / "workflow/schemas/study.schema.yaml")["properties"]
    assert settings["languages"]["items"]["pattern"] == f"^{LANGUAGE.pattern}$"
    allowed = settings["sae"]["properties"]["pretrained"]["propertyNames"]["pattern"]
    codes = ["".join(letters) for n in (2, 3) for letters in product(ascii_lowercase, repeat=n)]
    assert not [name for name in [*codes, "joint"] if re.search(allowed, name)]
    assert all(re.search(allowed, name) for name in ("gemmascope", "scope_16k"))


@pytest.mark.parametrize(
    ("corpora", "expected"),
    [
        (["en", "joint", "scope"], "joint"),
        (["scope", "en"], "en"),
        (["scope", "other"], "scope"),
        (["ar", "scope"], "ar"),
    ],
)
def test_the_corpus_that_stands_for_a_language(corpora, expected):
    assert main_corpora([{"language": "en", "corpus": corpus} for corpus in corpora]) == {"en": expected}
