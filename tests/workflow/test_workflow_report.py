"""`snakemake --report` shows every figure of a study, and the page, with their words."""

import json
import zipfile
from pathlib import Path

from crosslens.artifacts.table import STAGES
from crosslens.registry import member, names


def test_the_report_holds_every_figure_and_its_words(built):
    built.snakemake("--report", "report.zip")
    captions = {
        file: words.format(units="samples")
        for stage in names(STAGES)
        for kind in member(STAGES, stage).KINDS
        for file, words in kind.files.items()
        if words
    }
    drawn = {path.name for path in (built.folder / "results/toy/figures").rglob("*.png")}
    with zipfile.ZipFile(built.folder / "report.zip") as report:
        held = {Path(name).name for name in report.namelist()}
        (page,) = (name for name in report.namelist() if name.endswith("report.html"))
        html = report.read(page).decode("utf-8")
    assert len(drawn) > 5 and drawn | {"index.html"} <= held
    for name in drawn:
        assert json.dumps(captions[name]) in html or captions[name] in html, name
