"""The figures over all layers of a study, from the layers' summaries."""

from pathlib import Path

import pandas as pd

from crosslens.figures.quality import quality_figure
from crosslens.figures.retrieval import retrieval_figure, retrieval_frames
from crosslens.figures.specialists import specialists_figure
from crosslens.figures.style import numeric, save, stacked, tidy
from crosslens.summary.reading import Document
from crosslens.summary.records.quality import BASELINES

METRICS = ("ev", "l0", "ce_recovered", "ce_recovered_mean")
_QUALITY = ["site", "corpus", "language", "metric", "baseline", "value", "low", "high", "n"]


def study_figures(*, layers: dict[str, Path], out: Path) -> None:
    """Write quality.png, retrieval.png and specialists.png to the folder `out`.

    layers: site -> its summary. Raises InputError where a file or field is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    summaries = [Document(path, "layer") for path in layers.values()]
    quality, (retrieval, cka) = quality_frame(summaries), retrieval_frames(summaries)
    save(quality_figure(quality), out / "quality.png", quality)
    save(retrieval_figure(retrieval, cka), out / "retrieval.png", stacked(retrieval=retrieval, cka=cka))
    specialists = [record for summary in summaries for record in summary.records("specialists")]
    save(specialists_figure(specialists), out / "specialists.png", tidy(specialists))


def quality_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of quality_figure; what was not measured has no row."""
    rows = []
    for summary in summaries:
        for sae in summary.records("saes"):
            of = {"site": summary("site"), "corpus": sae["corpus"], "language": sae["language"]}
            of["n"] = sae["tokens"]
            for metric in METRICS:
                low, high = sae.get(f"{metric}_ci") or (None, None)
                bounds = {"value": sae[metric], "low": low, "high": high}
                rows.append({**of, "metric": metric, "baseline": "", **bounds})
            rows += [{**of, "metric": "ev", "baseline": name, "value": sae[name]} for name in BASELINES]
    return numeric(rows, _QUALITY).dropna(subset=["value"])
