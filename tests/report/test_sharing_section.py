"""What the page says of shared features: no more than the counts, and a null as plainly as a finding."""

import pytest
from stand_in import StandIn

from crosslens.report.sections import sharing
from crosslens.report.words import PICTURES, TEXTS
from crosslens.summary.claims import claimed
from crosslens.summary.records.sharing import records
from crosslens.tables.documents import write_json


def told(folder, found, p, because=None, words=PICTURES):
    """The section of two layers in which so many features are shared, and as many specific to a language."""
    made = {"sharing": [], "specific": []}
    for site in ("2", "10"):
        count = {"tested": because is None, "because": because, "features": 100, "found": found}
        count |= {
            "mean": None if because else 0.4,
            "q95": 2.0,
            "p": None if because else p,
            "least_p": None if because else 0.0005,
        }
        classes = [
            {"shared": s, "specific": name, "features": found // 2, "exclusive": 1, "median_selectivity": 0.5}
            for s in (True, False)
            for name in (None, "en", "ar")
        ]
        pair = {"languages": ["en", "ar"], "images": 90, "units": 80, "groups": 70, "classes": classes}
        pair |= {
            "live": {"both": 100, "first": 7, "second": 5, "neither": 3},
            "shared": count,
            "specific": count,
        }
        pair |= {"r": {"median": 0.2}, "scaling": {"unmasked": 3, "median_ratio": 0.125}}
        document = {"site": site, "sae": "d", "tokens_per_caption": {"en": 9.5, "ar": 7.25}, "pairs": [pair]}
        (folder / site).mkdir(exist_ok=True)
        write_json(folder / site / "sharing.json", "sharing", document)
        for name, rows in records({"sharing": {"joint": folder / site}}).items():
            made[name] += rows
    claimed(made, 0.05)
    return sharing.section(StandIn(made, words={"units": "pictures"} | words))


def test_counts_stand_beside_those_by_chance(tmp_path):
    section = told(tmp_path, 24, 0.0005)
    shared, specific = section.findings
    assert shared.kind == specific.kind == "found" and "2 of 2 cases" in shared.title
    assert "block 2, joint SAE: 24 of 100 live in both (by chance 0.4), 24 of them firing" in shared.lines[0]
    assert (
        "English 24 (2 nearly exclusively, 12 not shared)" in specific.lines[0]
        and "n = 70" in shared.lines[0]
    )
    assert [finding.lines[-1] for finding in section.findings] == [
        f"Corrected {name} features." for name in ("sharing", "specific")
    ]
    # what is shared may be the picture's; what is specific is not
    assert (PICTURES["shared"] in shared.lines, PICTURES["shared"] in specific.lines) == (True, False)
    assert len(told(tmp_path, 24, 0.0005, words=TEXTS).findings[0].lines) == len(shared.lines) - 1
    assert "joint SAE: 3 of 24, median ratio 0.12" in specific.lines[1]
    body = "".join(map(str, section.body))
    assert "9.5 in English, 7.2 in Arabic" in body and PICTURES["shared"] in body
    assert "joint/2/sharing joint/10/sharing" in body and body.count("<tr>") == 3


@pytest.mark.parametrize(("because", "kind"), [(None, "null"), ("there are 7 independent pairs", "warning")])
def test_nothing_found_and_nothing_tested_are_two_things(tmp_path, because, kind):
    for finding in told(tmp_path, 0, 0.3, because).findings:
        assert finding.kind == kind
        assert ("than by chance: in 0 of 2" in finding.title) == (because is None)
        assert ("not tested, because there are 7" in finding.title) == (because is not None)
