"""All layers of a study in one small document, and the same as tables of Markdown: to show without the results."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.summary.beyond import words_beside
from crosslens.summary.names import corpus_name, pair_name, short_name
from crosslens.summary.reading import Document
from crosslens.summary.tested import decided
from crosslens.tables.documents import write_json

_OF_SAE = ("corpus", "language")
_KEPT = {
    "transfer": (
        *("condition", "method", "source", "target", "n", "groups"),
        *("auroc", "auroc_low", "auroc_high", "null_low", "null_high", "p", "q", "reachable"),
    ),
    "directions": (
        *("condition", "languages", "train", "train_groups"),
        *("cosine", "p", "q", "reachable", "null_low", "null_high"),
    ),
    "retrieval": (
        *(
            "read",
            "source",
            "target",
            "centred",
            "images",
            "units",
            "r1",
            "r1_low",
            "r1_high",
            "r1_chance",
            "q_family",
        ),
    ),
    "cka": ("read", "languages", "unbiased", "unbiased_q95", "unbiased_p", "q_family"),
    "words": ("language", "condition", "auroc", "auroc_low", "auroc_high", "leaks"),
    "probes": (
        *(*_OF_SAE, "condition", "n", "groups", "auroc", "auroc_low", "auroc_high"),
        *("shuffled", "shuffled_low", "shuffled_high", "control", "control_low", "control_high"),
    ),
    "saes": (
        *(*_OF_SAE, "tokens", "d_sae", "live", "l0", "ev", "pca", "gates"),
        *("ce_recovered", "ce_recovered_ci", "ce_recovered_mean", "ce_recovered_mean_ci"),
    ),
    "gender": (
        *_OF_SAE,
        "condition",
        "tested",
        "because",
        "live",
        "testable",
        "significant",
        "null",
        "confirmed",
        "groups",
        "q",
        "reachable",
    ),
}
"""What is kept of the records of a study's summary."""
MASKED, WHOLE = "caption", "caption_whole"
UNTESTED = "not tested: too few data"


def overview(results: Path) -> dict[str, Any]:
    """Out of `results` (results/{study}): its level, `claims` and `dataset` counts, and of each of its `layers` what _KEPT names.

    Raises InputError where there is no summary of the study or of the dataset.
    """
    path = results / "summary.json"
    if not path.is_file():
        raise InputError(
            path,
            found="no summary",
            expected="that of a study that was built",
            mend="build its page: `snakemake results/STUDY/report/index.html`",
        )
    summary, dataset = (
        Document(path, "summary"),
        Document(results / "dataset/summary.json", "dataset_summary"),
    )
    kept = ("rows", "images", "counts", "masked")
    return {
        **{name: summary(name) for name in ("level", "claims")},
        "dataset": {name: dataset(name) for name in kept},
        "layers": [_layer(summary("records"), site) for site in summary("sites")],
    }


def _layer(records: dict[str, list[dict[str, Any]]], site: str) -> dict[str, Any]:
    return {"site": site} | {
        kind: [
            {name: record[name] for name in names}
            for record in records.get(kind, [])
            if record["site"] == site
        ]
        for kind, names in _KEPT.items()
    }


def write_overview(results: Path, out: Path) -> str:
    """Write `overview(results)` to `out`, JSON of kind `overview`; returns its `tables`."""
    document = overview(results)
    write_json(out, "overview", document)
    return tables(document)


def tables(document: dict[str, Any]) -> str:
    """The numbers of an overview as Markdown. AUROCs are those of logistic regression on masked captions."""
    claims = (
        f"Claims (q: corrected over the tests of a claim and over all of them; level {document['level']:g})"
    )
    return "\n".join(
        line
        for title, rows in (
            (claims, _claims(document)),
            ("Test images with a known gender", _dataset(document["dataset"])),
            ("Gender direction learned in one language, tried in another: AUROC", _transfer(document)),
            ("Cosine of the languages' gender directions (difference of means)", _directions(document)),
            ("Translations found (R@1, centred) and unbiased CKA", _alignment(document)),
            ("Probes on raw activations, their control task and the bag of words: AUROC", _probes(document)),
            ("SAEs", _saes(document)),
            ("Gendered features of the SAEs", _features(document)),
        )
        for line in _table(title, list(rows))
    )


def _table(title: str, rows: Sequence[dict[str, str]]) -> list[str]:
    if not rows:
        return []
    head = list(dict.fromkeys(name for row in rows for name in row))
    return [
        f"**{title}**\n",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row.get(name, '') for name in head)} |" for row in rows),
        "",
    ]


def _claims(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for claim in document["claims"]:
        told = claim["holds"] or claim["reachable"]
        yield {
            "claim": claim["claim"],
            "holds in": str(claim["holds"]) if told else UNTESTED,
            "of tests": str(claim["tests"]),
            "over": claim["scope"],
            "least q": _p(claim["q"]),
        }


def _dataset(dataset: dict[str, Any]) -> Iterator[dict[str, str]]:
    cells = [cell for cell in dataset["counts"] if cell["split"] == "test"]
    genders = {
        gender: str(sum(cell["images"] for cell in cells if cell["gender"] == gender))
        for gender in ("female", "male")
    }
    for language, told in dataset["masked"].items():
        alike = f"{told['test_images_told_in_train']} of {told['test_images']}"
        yield {"language": short_name(language)} | genders | {"masked captions all occur in train": alike}


def _transfer(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for layer in document["layers"]:
        yield {"site": layer["site"]} | {
            pair_name(row["source"], row["target"]): _bounded(row, "auroc") + _chance(row, document["level"])
            for row in layer["transfer"]
            if (row["condition"], row["method"]) == (MASKED, "logistic")
        }


def _directions(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    words = {MASKED: "masked", WHOLE: "whole caption"}
    for layer in document["layers"]:
        yield {"site": layer["site"]} | {
            _of_pair(
                words.get(row["condition"], row["condition"]), row, layer["directions"]
            ): f"{_short(row['cosine'])} ({_corrected(row)})"
            for row in layer["directions"]
        }


def _alignment(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for layer in document["layers"]:
        found = {
            f"{pair_name(row['source'], row['target'])}, of {row['units']:,}": f"{row['r1']:.3f}"
            for row in layer["retrieval"]
            if row["centred"] and _by_words(row, layer)
        }
        alike = [row for row in layer["cka"] if _by_words(row, layer)]
        cka = {_of_pair("CKA", row, alike): f"{row['unbiased']:.2f}" for row in alike}
        yield {"site": layer["site"]} | found | cka


def _of_pair(name: str, row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """`name`, and which two languages it is of where `rows` are of several pairs."""
    several = any(other["languages"] != row["languages"] for other in rows)
    return f"{name}, {' and '.join(map(short_name, row['languages']))}" if several else name


def _by_words(row: dict[str, Any], layer: dict[str, Any]) -> bool:
    """Whether the words alone were read: the captions without pictures, where there are pictures."""
    read = {row.get("read", "caption") for row in layer["retrieval"]}
    return row.get("read", "caption") == ("alone" if "alone" in read else "caption")


def _probes(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for layer in document["layers"]:
        cells = {"site": layer["site"]}
        for row in layer["probes"]:
            if row["corpus"] == "activations" and row["condition"] == MASKED:
                cells[short_name(row["language"])] = _bounded(row, "auroc")
                cells[f"{short_name(row['language'])}, control"] = _bounded(row, "control")
                words = words_beside(layer.get("words", ()), row["language"], MASKED)
                if words is not None:
                    told = _bounded(words, "auroc") + (" leaking" if words["leaks"] else "")
                    cells[f"{short_name(row['language'])}, bag of words"] = told
        yield cells


def _saes(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for layer in document["layers"]:
        for row in layer["saes"]:
            passed = [gate["passed"] for gate in row["gates"]]
            yield _of_sae(layer, row) | {
                "EV": _short(row["ev"]),
                "PCA of rank L0": _short(row["pca"]),
                "CE recovered (zeros)": _ablated(row, "ce_recovered"),
                "CE recovered (mean)": _ablated(row, "ce_recovered_mean"),
                "gates passed": f"{sum(map(bool, passed))} of {len(passed)}",
            }


def _features(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for layer in document["layers"]:
        for row in layer["gender"]:
            yield _of_sae(layer, row) | {
                "condition": row["condition"],
                "significant on test, of testable": f"{row['significant']} of {row['testable']}"
                if row["tested"]
                else f"not tested, because {row['because']}",
                "by chance (q)": f"{_short(row['null']['mean'])} ({_p(row['q']) if decided(row) else UNTESTED})",
                "of them on select too": str(row["confirmed"]),
            }


def _of_sae(layer: dict[str, Any], row: dict[str, Any]) -> dict[str, str]:
    return {"site": layer["site"], "SAE": corpus_name(row["corpus"]), "language": short_name(row["language"])}


def _short(value: float | None) -> str:
    """`.93`, `−1.21`, as a reader of many numbers wants them."""
    if value is None:
        return "not measured"
    return f"{value:.2f}".replace("0.", ".", 1 if abs(value) < 1 else 0).replace("-", "−")


def _between(value: float | None, bounds: Iterable[float] | None) -> str:
    return _short(value) + (f" [{', '.join(map(_short, bounds))}]" if bounds else "")


def _ablated(row: dict[str, Any], name: str) -> str:
    """Undefined where the ablation costs nothing that could be recovered."""
    return "undefined" if row[name] is None else _between(row[name], row[f"{name}_ci"])


def _bounded(row: dict[str, Any], name: str) -> str:
    return _between(
        row[name], None if row[f"{name}_low"] is None else (row[f"{name}_low"], row[f"{name}_high"])
    )


def _p(p: float | None) -> str:
    return "not measured" if p is None else f"{p:.3f}".removeprefix("0")


def _corrected(row: dict[str, Any]) -> str:
    """q, or that nothing was tested; of what is in no family, and so can be claimed by nobody, p."""
    if row["q"] is None:
        return UNTESTED if row["p"] is None else f"p = {_p(row['p'])}, not corrected"
    return f"q = {_p(row['q'])}" if decided(row) else UNTESTED


def _chance(row: dict[str, Any], level: float) -> str:
    """Marks what chance may have done."""
    return "" if row["q"] is not None and row["q"] <= level else f" ({_corrected(row)})"
