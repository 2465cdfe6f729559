"""What the page says of maps and geometry: no more than the records, a null plainly, what was not tested as that."""

import pytest
from markupsafe import Markup

from crosslens.report.sections import geometry, maps
from crosslens.report.sections.base import Results
from crosslens.report.words import TEXTS
from crosslens.summary.reading import Document
from crosslens.summary.study import study_summary
from crosslens.tables.documents import write_json

SPREAD = {"bits": 5.0, "effective_rank": 32.0, "participation_ratio": 20.0, "rank_95": 50}
BOUNDS = {"bits_corrected": 5.0, "bits_low": 4.9, "bits_high": 5.1}


def records(*, p=0.001, bits=1.0, tested=True, above=3, clustered=0.05) -> dict:
    at = {"site": "4", "condition": "caption"}
    difference = {"bits": bits, "low": bits - 0.1, "high": bits + 0.1, "p": p, "least_p": 0.0}
    if not tested:
        difference = dict.fromkeys(difference)
    told = {
        "gender_bits": 1.0,
        "live": 40,
        "above": above,
        "p": p,
        "least_p": 0.001,
        "strongest": 0.4,
        "sum": 2.0,
    }
    told |= {"null": {"strongest_q95": 0.1}, "tested": True, "because": None}
    if not tested:
        because = "there are 2 female and 9 male units; 5 of each are needed"
        told = dict.fromkeys(told) | {"tested": False, "because": because}
    return {
        "dimensions": [
            at | {"language": name, "d_model": 128, "images": 60, "tokens": 900} | SPREAD | BOUNDS
            for name in ("en", "ar")
        ],
        "dimension_differences": [
            at | {"languages": ["en", "ar"], **difference} | {"q_family": "dimensions" if tested else None}
        ],
        "information": [
            at
            | {"corpus": "joint", "language": "en", "groups": 40, **told}
            | {"q_family": "information" if tested else None}
        ],
        "dictionaries": [
            {
                "site": "4",
                "corpus": "joint",
                "sae": "s",
                "d_model": 128,
                "d_sae": 64,
                "norm": 2.0,
                "positive": 0.9,
            }
            | SPREAD
            | {
                "clustered": 64,
                "clusters": 4,
                "stability": 0.5,
                "clouds": 0.2,
                "clouds_most": 0.3,
                "p": clustered,
                "q": clustered,
            }
        ],
        "maps": [
            at
            | {
                "method": "tsne",
                "trustworthiness": 0.91,
                "images": 60,
                "points": 120,
                "neighbours": 15,
                "kept": 0.9,
            }
        ],
        "neighbours": [
            at
            | {
                "label": label,
                "points": 80,
                "values": 2,
                "share": share,
                "mean": 0.5,
                "q025": 0.4,
                "q975": 0.6,
                "p": p,
                "least_p": 0.001,
            }
            | {"q_family": None if share is None else "neighbours"}
            for label, share in (("gender", 0.7), ("category", None))
        ],
        "decoder_maps": [],
    }


@pytest.fixture
def said(tmp_path):
    """A function to the words of one section, of a study of one layer."""

    def words(module, files=None, **changed) -> str:
        write_json(tmp_path / "layer.json", "layer", {"site": "4", **records(**changed)})
        study_summary(layers={"4": tmp_path / "layer.json"}, level=0.05, out=tmp_path / "summary.json")
        summary = Document(tmp_path / "summary.json", "summary")
        units = TEXTS | {"units": "texts", "Units": "Texts"}
        section = module.section(Results("toy", {}, {}, files or {}, {}, summary, None, units))
        return Markup(" ").join(section.body).striptags()

    return words


def test_what_is_found_is_said_with_its_size(said):
    words = said(geometry)
    assert "Arabic has 2.00 times as many directions as English" in words
    assert "In 1 of 1 cases a feature tells more" in words and "at most 0.40 of 1.00 bits" in words
    assert "of 1 of 1 dictionaries come in clusters" in words


def test_a_null_is_said_plainly(said):
    words = said(geometry, p=0.6, clustered=0.3)
    assert "do not differ in it beyond chance, in none of 1 comparisons" in words
    assert "In none of 1 cases does a feature tell more" in words
    assert "rows of no dictionary come in clusters" in words
    assert "English has 2.00" in said(geometry, bits=-1.0)


def test_what_was_not_tested_is_no_null(said):
    words = said(geometry, tested=False)
    assert "was not tested: there are too few" in words and "beyond chance" not in words
    assert "Not tested, because there are 2 female and 9 male units" in words
    words = said(geometry, clustered=None)
    assert "Whether decoder rows come in clusters was not tested" in words and "no dictionary" not in words


def test_heads_that_are_not_known_are_said_by_family(said, tmp_path):
    matrix = {"effective_rank": 3.0, "positive": -0.5}
    told = {
        "family": "toy",
        "layers": 1,
        "d_head": 8,
        "not_available": [],
        "heads": [{"ov": matrix, "qk": matrix}] * 2,
    }
    write_json(tmp_path / "c.json", "circuits", told)
    files = {"circuits": {"": tmp_path / "c.json"}}
    words = said(geometry, files)
    assert "2 heads moves what it reads through 8 directions at most" in words
    assert "of 0 heads add up to more than 0" in words and "those of 2 to less" in words
    write_json(tmp_path / "c.json", "circuits", told | {"heads": []})
    assert "not available for toy" in said(geometry, files)


def test_maps_show_what_was_measured(said):
    words = said(maps)
    assert "they prove nothing" in words and "0.910" in words and "0.700" in words
    assert "over all 1 of the study" in words
