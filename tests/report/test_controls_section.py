"""A study beside its controls: what each measure is read from, and which controls reach it."""

import pytest
from stand_in import StandIn

from crosslens.figures.controls import draw_controls
from crosslens.report.sections import controls
from crosslens.summary.controls import compare_controls
from crosslens.tables.documents import write_json


def summary(path, *, shared, probe, live=800):
    """Of one site: features that two languages share, of those live in both, and a probe of activations with its interval."""
    languages = ["en", "ar"]
    saes = [{"corpus": "joint", "language": name, "site": "4", "ev": 0.9} for name in languages]
    of = {"corpus": "joint", "site": "4", "languages": languages}
    probes = [
        {"corpus": "activations", "language": "en", "site": "4", "condition": condition, "auroc": auroc}
        | {"auroc_low": auroc - 0.05, "auroc_high": auroc + 0.05}
        for condition, auroc in (("caption", probe), ("generated", 0.99), ("prompt", 0.98))
    ]
    sharing = [of | {"tested": True, "found": shared, "features": live}]
    write_json(path, "summary", {"records": {"saes": saes, "probes": probes, "sharing": sharing}})
    return path


@pytest.fixture
def document(tmp_path):
    """The study, and three controls: one that shares as much, one in which nothing is live, and one in other letters."""
    summaries = [
        summary(tmp_path / "own.json", shared=80, probe=0.9),
        summary(tmp_path / "frozen.json", shared=80, probe=0.9, live=400),
        summary(tmp_path / "shuffled.json", shared=0, probe=0.6, live=0),
        summary(tmp_path / "romanised.json", shared=40, probe=0.9),
    ]
    out = tmp_path / "controls.json"
    compare_controls(summaries=summaries, controls=["frozen_decoder", "shuffled", "romanised"], out=out)
    return out


def test_what_is_shared_stands_beside_what_controls_share(document, tmp_path):
    (finding,) = controls.section(StandIn({}, files={"controls": {"": document}})).findings
    assert "95 % intervals apart: words shuffled 1 of 1. " in finding.title
    (shared,) = (line for line in finding.lines if line.startswith("Share of features that are shared"))
    # of words shuffled nothing is live, and so there is nothing to lie above
    assert shared.endswith(
        "English and Arabic, block 4: 0.100; frozen decoder 0.200, in Latin letters 0.050: no interval, and "
        "frozen decoder not below."
    )
    # and so it stands in the findings of the section that tells what is shared
    results = StandIn({}, files={"controls": {"": document}})
    assert results.controlled("shared", "en", "ar") == [f"Controls. {shared}"]
    assert results.controlled("shared", "en", "fr") == StandIn({}).controlled("shared", "en", "ar") == []
    (probe,) = (line for line in finding.lines if line.startswith("Probe"))
    # a probe reads no SAE, English has Latin letters, and of the conditions the one that controls have is compared
    assert probe.endswith("0.900 [0.850, 0.950]; words shuffled 0.600 [0.550, 0.650]: above all of them.")
    draw_controls(controls=document, out=tmp_path / "figures")
    assert (tmp_path / "figures/controls.png").stat().st_size > 5000
