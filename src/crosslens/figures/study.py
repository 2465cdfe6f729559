"""The figures over all layers of a study, from the layers' summaries."""

from pathlib import Path
from typing import Any

import pandas as pd

from crosslens.figures.probes import probes_figure
from crosslens.figures.quality import quality_figure
from crosslens.figures.stereotype import stereotype_figure
from crosslens.figures.style import save
from crosslens.summary.reading import Document
from crosslens.summary.records import BASELINES, main_corpora
from crosslens.summary.stereotype import stereotype_records

METRICS = ("ev", "l0", "ce_recovered")


def study_figures(*, layers: dict[str, Path], stereotype: Path | None, out: Path) -> None:
    """Write quality.png, probes.png and stereotype.png to the folder `out`.

    layers: site -> its summary. Without a stereotype result its figure says so in words. Raises InputError where a
    file or field is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    summaries = [Document(path, "layer") for path in layers.values()]
    save(quality_figure(quality_frame(summaries)), out / "quality.png")
    save(probes_figure(probes_frame(summaries)), out / "probes.png")
    save(stereotype_figure(*stereotype_frames(stereotype)), out / "stereotype.png")


_STEREOTYPE = {
    "shares": [
        "language",
        "category",
        "share",
        "low",
        "high",
        "images_gendered",
        "captions_gendered",
        "q",
        "planted",
    ],
    "fits": ["language", "r", "r_low", "r_high", "mae", "categories"],
}
_QUALITY = ["site", "corpus", "language", "metric", "baseline", "value", "low", "high", "n"]
_PROBES = ["site", "corpus", "language", "condition", "probe", "auroc", "low", "high", "n", "majority"]


def _frame(records: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Numbers as floats, None as NaN."""
    words = {"site", "corpus", "language", "category", "condition", "metric", "baseline", "probe"}
    frame = pd.DataFrame(records, columns=columns)
    return frame.astype({name: "float64" for name in columns if name not in words})


def stereotype_frames(path: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of stereotype_figure: shares and fits; none without a result."""
    records = {"shares": [], "fits": []} if path is None else stereotype_records(path)
    return _frame(records["shares"], _STEREOTYPE["shares"]), _frame(records["fits"], _STEREOTYPE["fits"])


def quality_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of quality_figure; what was not measured has no row."""
    rows = []
    for summary in summaries:
        for sae in summary("saes"):
            of = {"site": summary("site"), "corpus": sae["corpus"], "language": sae["language"]}
            of["n"] = sae["tokens"]
            for metric in METRICS:
                low, high = sae.get(f"{metric}_ci") or (None, None)
                bounds = {"value": sae[metric], "low": low, "high": high}
                rows.append({**of, "metric": metric, "baseline": "", **bounds})
            rows += [{**of, "metric": "ev", "baseline": name, "value": sae[name]} for name in BASELINES]
    return _frame(rows, _QUALITY).dropna(subset=["value"])


def probes_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of probes_figure: raw activations with their null and control, codes of the SAE of `main_corpora`."""
    rows = []
    for summary in summaries:
        records = summary("probes")
        shown = main_corpora([record for record in records if record["corpus"] != "activations"])
        for record in records:
            corpus, language = record["corpus"], record["language"]
            of = {"site": summary("site")} | {
                name: record[name] for name in ("corpus", "language", "condition")
            }
            of |= {"n": record["n"], "majority": record["majority"]}
            bounds = {"low": record["auroc_low"], "high": record["auroc_high"]}
            if corpus == "activations":
                rows.append({**of, **bounds, "probe": "activations", "auroc": record["auroc"]})
                for null in ("shuffled", "control"):
                    rows.append(
                        {
                            **of,
                            "probe": null,
                            "auroc": record[null],
                            "low": record[f"{null}_low"],
                            "high": record[f"{null}_high"],
                        }
                    )
            elif corpus == shown[language]:
                rows.append({**of, **bounds, "probe": "codes", "auroc": record["auroc"]})
    return _frame(rows, _PROBES).dropna(subset=["auroc"])
