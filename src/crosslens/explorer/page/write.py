"""The folder of all features of a study: a page that opens from the disk, its scripts and style, and data as scripts."""

from pathlib import Path
from typing import Any

import numpy as np

from crosslens.explorer.page.features import Features, matches, named_features
from crosslens.explorer.page.layers import Counts, counts, layers
from crosslens.explorer.page.sae import Files, Sae
from crosslens.explorer.page.samples import Samples
from crosslens.explorer.page.scripts import packed, provide
from crosslens.explorer.page.table import DEAD, columns, numbers_of
from crosslens.store.digests import content_digest
from crosslens.summary.claims import describes
from crosslens.summary.conditions import masks_words
from crosslens.summary.names import (
    corpus_name,
    direction,
    language_name,
    neuronpedia_page,
    short_name,
    site_name,
    site_order,
)
from crosslens.summary.reading import Document
from crosslens.tables.scripts import copy_page

PER_FILE = 200
"""Features of a file."""
MADE_FROM = ("dashboards", "features", "gender", "written_gender", "sharing", "promoted")
"""Kinds whose path, digest and command are told of an SAE's features."""
LABEL = (
    "method",
    "language",
    "label",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "shuffled",
    "pairs",
    "q",
    "because",
)


def write_feature_pages(
    *,
    study: str,
    neuronpedia: dict[str, dict[str, str]],
    pages: int | None,
    sections: list[list[str]],
    live: bool,
    files: Files,
    shown: dict[str, dict[str, str]],
    images: Path | None,
    out: Path,
) -> None:
    """Write the folder `out`: `index.html`, which needs nothing but what lies beside it, `data/` and `pictures/`.

    neuronpedia: as in the study's settings. pages: features of each SAE that have a page, at most, beside those that the study
    names; None: all that are live. sections: anchor and title of what else the report shows; live: whether there is a page that
    runs the model. files: kind -> key -> file or folder, the key `{corpus}/{language}/{site}` or those
    of them that the kind has; `dashboards`, `features`, `dataset` and `summary` must be there. shown: the same -> where it
    stands under `results/`. images: the folder of the pictures, where there are any. Raises InputError where a file or field
    is missing, where files of different SAEs are mixed, and where a picture is not what the features were read on.
    """
    copy_page("crosslens.explorer.page", out)
    summary, samples = Document(files["summary"][""], "summary"), Samples(files["dataset"])
    keys = sorted(
        files["dashboards"],
        key=lambda key: (key.split("/")[0] != "joint", key.split("/")[0], *site_order(key.split("/")[1])),
    )
    told: list[dict[str, Any]] = []
    counted: Counts = {}
    for i, key in enumerate(keys):
        sae = Sae(files, key)
        numbers = numbers_of(sae)
        if pages is not None:
            numbers["page"] = with_page(sae, numbers, summary, pages).astype(float)
        counted[sae.corpus, sae.site] = counts(sae, numbers)
        told.append(_write_sae(i, sae, numbers, summary, samples, neuronpedia, shown, out))
    languages = [
        {"code": code, "name": language_name(code), "short": short_name(code), "dir": direction(code)}
        for code in files["dataset"]
    ]
    document = {"study": study, "level": summary("level"), "languages": languages, "saes": told}
    document |= {"sites": [{"site": site, "place": site_name(site)} for site in summary("sites")]}
    document |= {"sections": sections, "live": live}
    provide(out, "layers", layers(summary, counted, files.get("model_comparison", {})))
    provide(out, "study", document | {"samples": samples.write(out, images)})


def with_page(sae: Sae, numbers: dict[str, np.ndarray], summary: Document, pages: int) -> np.ndarray:
    """(F) bool: the features of an SAE that have a page: those that the study names, and of the other live ones those that fire
    most often, until there are `pages`."""
    named = np.zeros(sae.d_sae, dtype=bool)
    named[list(named_features(sae, summary))] = True
    rates = [np.nan_to_num(numbers[f"rate:{language}"]) for language in sae.languages]
    order = np.lexsort((-np.max(rates, axis=0), ~named))
    found = named.copy()
    found[order[:pages]] = True
    return found & (numbers["state"] != DEAD)


def _write_sae(
    number: int,
    sae: Sae,
    numbers: dict[str, np.ndarray],
    summary: Document,
    samples: Samples,
    neuronpedia: dict[str, dict[str, str]],
    shown: dict[str, dict[str, str]],
    out: Path,
) -> dict[str, Any]:
    """Write the table and the features of one SAE; says what it is."""
    level = summary("level")
    rows = [row for row in summary("records").get("descriptions", []) if row["sae"] == sae.sae]
    rows.sort(key=lambda row: row["method"] == "endpoint")
    labels = {row["feature"]: row["label"] for row in rows if describes(row, level)}
    records = {
        "descriptions": [
            {"feature": row["feature"], "tells": describes(row, level)} | {name: row[name] for name in LABEL}
            for row in rows
        ]
    }
    conditions = list(dict.fromkeys(condition for _, condition in sae.effects))
    words = summary("records").get("words", [])
    paged = numbers.get("page", numbers["state"] != DEAD)
    features = Features(sae, samples, matches(sae, sae.files), records)
    uses: list[list[int]] = []
    for start in range(0, sae.d_sae, PER_FILE):
        ids = range(start, min(start + PER_FILE, sae.d_sae))
        objects = {str(i): features.object(i) for i in ids if paged[i]}
        provide(out, f"features/{number}/{start // PER_FILE}", objects)
        uses += [_shown_samples(objects.get(str(i))) for i in ids]
    starts = np.cumsum([0, *map(len, uses)])
    flat = [sample for some in uses for sample in some]
    provide(out, f"uses/{number}", {"starts": packed(starts), "samples": packed(np.array(flat))})
    provide(out, f"tables/{number}", columns(sae, numbers, samples, labels))
    return {
        "corpus": sae.corpus,
        "site": sae.site,
        "name": corpus_name(sae.corpus),
        "place": site_name(sae.site),
        "languages": sae.languages,
        "sae": sae.sae,
        "features": sae.d_sae,
        "dead": int((numbers["state"] == DEAD).sum()),
        "pages": int(np.sum(paged)),
        "perFile": PER_FILE,
        "roles": sae.document("roles"),
        "samples": sae.document("samples"),
        "tokens": sae.document("tokens"),
        "conditions": conditions,
        "masked": any(masks_words(condition, words, sae.languages) for condition in conditions),
        "pairs": sorted({(row.first, row.second) for row in sae.sharing[["first", "second"]].itertuples()})
        if sae.sharing is not None
        else [],
        "neuronpedia": neuronpedia_page(neuronpedia, sae.corpus, sae.site),
        "made": list(_made_from(sae, shown)),
    }


def _shown_samples(feature: dict[str, Any] | None) -> list[int]:
    """The samples among a feature's examples in which it fires; none of one without a page."""
    groups = feature["examples"].values() if feature else ()
    return sorted({sample for examples in groups for group, sample, _ in examples if group != "silent"})


def _made_from(sae: Sae, shown: dict[str, dict[str, str]]):
    """[kind, path under results/, sha256 of the artifact] of what is told of the features of an SAE."""
    for kind in MADE_FROM:
        for key, path in shown.get(kind, {}).items():
            corpus, *_, site = key.split("/")
            if (corpus, site) == (sae.corpus, sae.site):
                yield [kind, path, content_digest(sae.files[kind][key])]
