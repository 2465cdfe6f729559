"""The figures on gender over all layers of a study, from the layers' summaries."""

from pathlib import Path

import pandas as pd

from crosslens.figures.probes import probes_figure
from crosslens.figures.robustness import VIEWS, robustness_figure
from crosslens.figures.sparse_probes import ALL, sparse_probes_figure
from crosslens.figures.stereotype import stereotype_figure
from crosslens.figures.style import numeric, save, stacked
from crosslens.figures.transfer import transfer_figure, transfer_frame
from crosslens.summary.beyond import words_beside
from crosslens.summary.names import main_corpora
from crosslens.summary.reading import Document
from crosslens.summary.stereotype import stereotype_records

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
_PROBES = ["site", "corpus", "language", "condition", "probe", "auroc", "low", "high", "n", "groups"]


def gender_figures(*, layers: dict[str, Path], stereotype: Path | None, out: Path) -> None:
    """Write {probes, sparse_probes, robustness, transfer, stereotype}.png to the folder `out`.

    layers: site -> its summary. Without a stereotype result its figure says so in words. Raises InputError where a
    file or field is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    summaries = [Document(path, "layer") for path in layers.values()]
    words = [record for summary in summaries for record in summary.records("words")]
    for name, draw, rows in (
        ("probes", probes_figure, probes_frame(summaries)),
        ("sparse_probes", sparse_probes_figure, sparse_frame(summaries)),
        ("robustness", robustness_figure, robustness_frame(summaries)),
        ("transfer", transfer_figure, transfer_frame(summaries)),
    ):
        save(draw(rows, words), out / f"{name}.png", rows)
    shares, fits = stereotype_frames(stereotype)
    save(stereotype_figure(shares, fits), out / "stereotype.png", stacked(shares=shares, fits=fits))


def stereotype_frames(path: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of stereotype_figure: shares and fits; none without a result."""
    records = {"shares": [], "fits": []} if path is None else stereotype_records(path)
    return numeric(records["shares"], _STEREOTYPE["shares"]), numeric(records["fits"], _STEREOTYPE["fits"])


def probes_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of probes_figure: raw activations with their null and control, the bag of words, codes of `main_corpora`'s SAE."""
    rows = []
    for summary in summaries:
        records = summary.records("probes")
        shown = main_corpora([record for record in records if record["corpus"] != "activations"])
        for record in records:
            corpus, language = record["corpus"], record["language"]
            of = {"site": summary("site")} | {
                name: record[name] for name in ("corpus", "language", "condition")
            }
            of |= {name: record[name] for name in ("n", "groups")}
            bounds = {"low": record["auroc_low"], "high": record["auroc_high"]}
            if corpus == "activations":
                rows.append({**of, **bounds, "probe": "activations", "auroc": record["auroc"]})
                words = words_beside(summary.records("words"), language, record["condition"])
                if words is not None:
                    told = {"low": words["auroc_low"], "high": words["auroc_high"]}
                    rows.append({**of, **told, "probe": "words", "auroc": words["auroc"]})
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
    return numeric(rows, _PROBES).dropna(subset=["auroc"])


def sparse_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of sparse_probes_figure: raw activations, and codes of `main_corpora`'s SAE."""
    rows = []
    for summary in summaries:
        records = summary.records("probes")
        shown = main_corpora([record for record in records if record["corpus"] != "activations"])
        for record in records:
            corpus = record["corpus"]
            if record["sparse"] and corpus in ("activations", shown.get(record["language"])):
                of = {"site": summary("site")} | {name: record[name] for name in ("language", "condition")}
                of["probe"] = "activations" if corpus == "activations" else "codes"
                rows += [
                    of | {"columns": str(one["columns"]), "auroc": one["auroc"]} for one in record["sparse"]
                ]
                rows.append(of | {"columns": ALL, "auroc": record["auroc"]})
    return pd.DataFrame(rows, columns=["site", "language", "condition", "probe", "columns", "auroc"])


def robustness_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of robustness_figure, of `main_corpora`'s SAE, where there are gendered features that a view could test."""
    rows = []
    for summary in summaries:
        records = summary.records("robustness")
        shown = main_corpora(records)
        for record in records:
            if record["testable"] and record["corpus"] == shown[record["language"]]:
                of = {name: record[name] for name in ("language", "condition", "gendered", "share", "chance")}
                view = record["view"] if record["view"] in VIEWS else record["kind"]
                rows.append({"site": summary("site"), "view": view} | of)
    return pd.DataFrame(
        rows, columns=["site", "language", "condition", "view", "gendered", "share", "chance"]
    )
