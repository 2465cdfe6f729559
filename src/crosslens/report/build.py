"""The stage `report`: gathers what the page shows and writes it."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.report.cards import Examples, groups, ranked_groups
from crosslens.report.data import dataset_view
from crosslens.report.findings import findings, verdict
from crosslens.report.glossary import glossary
from crosslens.report.languages import (
    retrieval_finding,
    retrieval_view,
    same_text,
    transfer_finding,
    transfer_view,
    transfer_words,
)
from crosslens.report.numbers import plain
from crosslens.report.page import render
from crosslens.report.pictures import Picture, load_pictures
from crosslens.report.sweeps import GATES, sweep_views
from crosslens.report.words import words_of
from crosslens.summary.names import corpus_name, language_name, site_name, site_order
from crosslens.summary.reading import Document
from crosslens.summary.stereotype import stereotype_records

CONTENTS = {
    "findings": "What was found",
    "data": "Data",
    "quality": "Quality",
    "gender": "Gender",
    "stereotype": "Stereotypes",
    "transfer": "Gender across languages",
    "retrieval": "Translations",
    "cross-lingual": "Both languages",
    "features": "Features",
    "methods": "Definitions",
    "provenance": "Provenance",
}


GATHERED = ("saes", "gender", "probes", "cross_lingual", "transfer", "directions", "retrieval", "cka")


def build_report(
    *,
    study: str,
    settings: dict[str, Any],
    dataset: Path,
    layers: dict[str, Path],
    rankings: dict[str, Path],
    stereotype: Path | None,
    figures: dict[str, Path],
    source: dict[str, Any],
    out: Path,
    examples: dict[str, Path] | None = None,
    sweeps: dict[str, Path] | None = None,
) -> None:
    """Write the report of `study` to `out`, one HTML file that needs nothing else.

    settings: the study's settings. dataset: JSON of kind dataset_summary. layers: site -> JSON of kind layer.
    rankings, and examples (kind gendered_examples, looked at first): `{corpus}/{language}/{site}` -> JSON with the top
    examples of features. sweeps: `{corpus}/{site}` -> JSON of kind sweep. stereotype: JSON of kind stereotype, or None
    where no captions are generated. figures: name -> PNG, the name as in `report.pictures.load_pictures`. source: what
    to say of the model (name -> words).
    Raises InputError where a file or field is missing, and where files of different SAEs are mixed.
    """
    if not layers:
        raise InputError(
            "layers", found="none", expected="at least one layer's summary", mend="name its path"
        )
    summaries = {site: Document(layers[site], "layer") for site in sorted(layers, key=site_order)}
    for site, summary in summaries.items():
        if summary("site") != site:
            raise InputError(
                summary.path,
                found=f"the summary of {summary('site')}",
                expected=site,
                mend="name the right file",
            )
    records = {name: _gather(summaries, name) for name in GATHERED}
    if all(record["source"] == record["target"] for record in records["transfer"]):
        records["transfer"] = []  # one language: its own direction is what the probes show
    counted = Document(dataset, "dataset_summary")
    words = words_of(counted)
    data = dataset_view(counted, words)
    told = stereotype_view(stereotype)
    pictures = load_pictures(figures, words)
    view = {
        "study": study,
        "subject": _subject(records, told),
        "what": _what(source, data, words, records["saes"], list(summaries)),
        "of": words,
        "dataset": data,
        "saes": [_with_gates(record) for record in records["saes"]],
        "gate_names": _gate_names(records["saes"]),
        "quality_words": _gate_words(records["saes"]),
        "gender": [record | {"words": verdict(record)} for record in records["gender"]],
        "probes": [record | {"name": _probed(record["corpus"])} for record in records["probes"]],
        "cross_lingual": records["cross_lingual"],
        "transfer": transfer_view(records["transfer"], records["directions"]),
        "transfer_words": transfer_words(records["directions"]),
        "retrieval": retrieval_view(records["retrieval"], records["cka"]),
        "same_text": same_text(records["cka"], words["units"]),
        "stereotype": told,
        "figures": _placed(pictures, list(summaries)),
        "sweeps": sweep_views(sweeps or {}, pictures),
        "features": groups(records["gender"], _sources(rankings, examples or {}))
        if records["gender"]
        else ranked_groups(rankings),
        "provenance": _provenance(study, settings, source, summaries),
    }
    across = []
    if records["transfer"]:
        across.append(transfer_finding(records["transfer"], records["directions"], words["units"]))
    if records["retrieval"]:
        across.append(retrieval_finding(records["retrieval"], records["cka"], words["units"]))
    view["findings"] = findings(
        records["saes"], records["gender"], view["probes"], records["cross_lingual"], told, words, across
    )
    view["contents"] = _contents(view)
    view["glossary"] = glossary(view["contents"], words)
    Path(out).write_text(render(view), encoding="utf-8")


def _contents(view: dict[str, Any]) -> dict[str, str]:
    """The sections that have something to show: anchor -> title.

    A study with gender has a section on stereotypes and, with two languages, on what they share, even where nothing was
    measured, and is told so there; a study that asks for no gender has neither.
    """
    gender = view["gender"] or view["probes"]
    bilingual = len({record["language"] for record in [*view["gender"], *view["probes"]]}) > 1
    absent = {
        "findings": not view["findings"],
        "quality": not view["saes"],
        "gender": not gender,
        "stereotype": not (gender or view["stereotype"]),
        "transfer": not view["transfer"],
        "retrieval": not view["retrieval"],
        "cross-lingual": not (view["cross_lingual"] or (gender and bilingual)),
        "features": not view["features"],
    }
    return {anchor: title for anchor, title in CONTENTS.items() if not absent.get(anchor, False)}


def _subject(records: dict[str, list[dict[str, Any]]], stereotype: dict[str, Any] | None) -> str:
    """What the page is about; only a model that sees pictures has captioned some."""
    model = "a vision-language model" if stereotype else "a language model"
    gender = "gender in " if records["gender"] or records["probes"] or records["transfer"] else ""
    return f"{gender}the {'features' if records['saes'] else 'activations'} of {model}"


def stereotype_view(path: Path | None) -> dict[str, Any] | None:
    """Shares and fits with a sentence on what they are."""
    if path is None:
        return None
    records = stereotype_records(path)
    counts = []
    for language in dict.fromkeys(row["language"] for row in records["shares"]):
        rows = [row for row in records["shares"] if row["language"] == language]
        captions, images = (
            sum(row[name] for row in rows) for name in ("captions_gendered", "images_gendered")
        )
        counts.append(
            f"{language_name(language)}: {plain(captions)} gendered captions of {plain(images)} pictures"
        )
    words = (
        "The model captioned test pictures in which no gender is visible. " + "; ".join(counts) + "."
        if counts
        else "Not measured: every test picture has a gender, and stereotypes are what is written where it is unknown."
    )
    return records | {"words": words}


def _gather(summaries: dict[str, Document], name: str) -> list[dict[str, Any]]:
    return [{**record, "site": site} for site, summary in summaries.items() for record in summary(name)]


def _sources(rankings: dict[str, Path], examples: dict[str, Path]) -> dict[str, list[Examples]]:
    sources: dict[str, list[Examples]] = {}
    for paths, kind in ((examples, "gendered_examples"), (rankings, "rankings")):
        for key, path in paths.items():
            sources.setdefault(key, []).append(Examples(path, kind))
    return sources


def _with_gates(record: dict[str, Any]) -> dict[str, Any]:
    words = {True: ("pass", "passes"), False: ("fail", "fails"), None: ("missing", "undefined")}
    gates = []
    for gate in record["gates"]:
        mark, word = words[gate["passed"]]
        gates.append({"gate": gate["gate"], "mark": mark, "word": word, "says": gate["says"]})
    return record | {"gates": gates}


def _gate_names(saes: list[dict[str, Any]]) -> list[str]:
    """The gates' names as headings; every SAE must have the same, in the same order."""
    names = [[gate["gate"] for gate in record["gates"]] for record in saes]
    for record, other in zip(saes, names, strict=True):
        if other != names[0]:
            where = f"quality of {record['corpus']}/{record['language']} at {record['site']}"
            raise InputError(where, found=other, expected=names[0], mend="rebuild the layers' summaries")
    return [GATES.get(name, name) for name in names[0]] if names else []


def _gate_words(saes: list[dict[str, Any]]) -> str:
    failed = [gate for record in saes for gate in record["gates"] if gate["passed"] is not True]
    gates = sum(len(record["gates"]) for record in saes)
    if not failed:
        return f"All {plain(gates)} gates are passed."
    return f"{plain(gates - len(failed))} of {plain(gates)} gates are passed; the table says which are not, and why."


def _probed(corpus: str) -> str:
    return "raw activations" if corpus == "activations" else f"codes, {corpus_name(corpus)}"


def _what(
    source: dict[str, Any],
    data: dict[str, Any],
    words: dict[str, str],
    saes: list[dict[str, Any]],
    sites: list[str],
) -> str:
    model = source.get("name") or source.get("id") or "the model"
    encoded = list(dict.fromkeys(record["site"] for record in saes))
    measured = [f"sparse autoencoders at {_listed(encoded)}"] if encoded else []
    if len(encoded) < len(sites):
        measured.append(f"activations at {_listed(sites)}")
    return (
        f"Model: {model}. {plain(data['images'])} {words['units']}, {plain(data['samples'])} {words['lead']}; "
        f"{'; '.join(measured)}."
    )


def _listed(sites: list[str]) -> str:
    return ", ".join(site_name(site) for site in sites)


def _placed(pictures: dict[str, Picture], sites: list[str]) -> dict[str, Any]:
    """The pictures by the section that shows them."""

    def of(figure: str) -> list[Picture]:
        return [pictures[f"{site}/{figure}"] for site in sites if f"{site}/{figure}" in pictures]

    training = {
        site: [
            pictures[f"{site}/{name}"]
            for name in ("training", "density", "decoder")
            if f"{site}/{name}" in pictures
        ]
        for site in sites
    }
    study = {
        name: [pictures[name]] if name in pictures else []
        for name in ("quality", "probes", "stereotype", "transfer", "retrieval")
    }
    return study | {
        "training": {site: some for site, some in training.items() if some},
        "gender": of("gender_features"),
        "cross_lingual": of("effect_sizes"),
    }


def _provenance(
    study: str, settings: dict[str, Any], source: dict[str, Any], summaries: dict[str, Document]
) -> list[tuple[str, Any]]:
    """(name, value): the study's settings, the model, the digest of every SAE, and the version of crosslens."""
    rows: list[tuple[str, Any]] = [("study", study), ("crosslens", version("crosslens"))]
    rows += [(f"model: {name}", _value(value)) for name, value in source.items()]
    rows += [(name, value) for key, part in settings.items() for name, value in _flat(key, part)]
    for site, summary in summaries.items():
        digests = {record["corpus"]: record["sae"] for record in summary("saes")}
        rows += [
            (f"{corpus_name(corpus)}, {site_name(site)}: sha256", digest)
            for corpus, digest in digests.items()
        ]
    return rows


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [row for key, part in value.items() for row in _flat(f"{name}.{key}", part)]
    return [(name, _value(value))]


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(part) for part in value) or "none"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
