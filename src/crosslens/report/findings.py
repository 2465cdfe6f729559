"""The main findings in sentences, null results included, each built from the numbers of the summaries."""

from typing import Any

from crosslens.report.numbers import plain
from crosslens.summary.names import corpus_name, language_name, site_name

LEVEL = 0.05


def findings(
    saes: list[dict],
    gender: list[dict],
    probes: list[dict],
    cross: list[dict],
    stereotype: dict[str, Any] | None,
    words: dict[str, str],
    languages: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Dicts of kind (found/null/warning), title and lines, most basic first; `words` as of `words_of`; `languages`:
    findings on languages."""
    result = [_quality(saes)] if saes else []
    for condition in dict.fromkeys(record["condition"] for record in gender):
        result.append(_gender(condition, [r for r in gender if r["condition"] == condition], words))
    if probes:
        result.append(_probes(probes, words["units"]))
    result += languages or []
    if cross:
        result.append(_cross(cross, words["units"]))
    if stereotype:
        result.append(_stereotype(stereotype))
    return result


def beyond_chance(record: dict[str, Any]) -> bool | None:
    """Are there more significant features than shuffled labels give? None without a null."""
    p = record["null"]["p"]
    return None if p is None else p < LEVEL and record["significant"] > 0


def verdict(record: dict[str, Any]) -> str:
    """A record of kind gender in words."""
    found = beyond_chance(record)
    if found is None:
        return "no null: nothing can be said"
    if found:
        return "more than chance"
    return "none significant" if record["significant"] == 0 else "no more than chance"


def _where(record: dict[str, Any]) -> str:
    of = f"{corpus_name(record['corpus'])} on {language_name(record['language'])}"
    return f"{site_name(record['site'])}, {of}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _quality(saes: list[dict]) -> dict[str, Any]:
    measured = [sae for sae in saes if sae["ev"] is not None]
    failed = [(sae, gate) for sae in saes for gate in sae["gates"] if gate["passed"] is False]
    lines = []
    if measured:
        low, high = (function(sae["ev"] for sae in measured) for function in (min, max))
        lines.append(
            f"{len(saes)} combinations of dictionary, language and layer were measured; explained variance on test "
            f"lies between {plain(low)} and {plain(high)}."
        )
    if not failed:
        return {"kind": "found", "title": "All dictionaries pass all quality gates.", "lines": lines}
    lines += [f"{_sentence(_where(sae))}: {gate['says']}." for sae, gate in failed]
    title = f"{len(failed)} quality {'gate fails' if len(failed) == 1 else 'gates fail'}: read what follows with care."
    return {"kind": "warning", "title": title, "lines": lines}


def _gender(condition: str, records: list[dict], words: dict[str, str]) -> dict[str, Any]:
    seen = {
        "prompt": f"From {words['alone']}",
        "caption": "Reading the caption, its gender words masked",
    }.get(condition, condition)
    yes = [record for record in records if beyond_chance(record)]
    if not yes:
        return {
            "kind": "null",
            "title": f"{seen}: no more gendered features than chance gives.",
            "lines": [
                f"In none of {len(records)} combinations of layer, dictionary and language did the number of "
                f"significant features exceed that under shuffled labels."
            ],
        }
    best = max(yes, key=lambda record: record["significant"] / max(record["live"], 1))
    test = best["images"]["test"]
    lines = [
        f"The largest share is at {_where(best)}: {plain(best['significant'])} of {plain(best['live'])} live features "
        f"(n = {plain(test['female'])} female + {plain(test['male'])} male {words['units']}); shuffled labels give "
        f"{plain(best['null']['mean'], 1)} (95th percentile {plain(best['null']['q95'], 1)}, "
        f"p = {plain(best['null']['p'])})."
    ]
    no = [record for record in records if not beyond_chance(record)]
    if no:
        lines.append(f"No more than chance in {len(no)}: {'; '.join(_where(record) for record in no)}.")
    title = f"{seen}: more gendered features than chance in {len(yes)} of {len(records)} combinations."
    return {"kind": "found", "title": title, "lines": lines}


def _probes(probes: list[dict], units: str) -> dict[str, Any]:
    scored = [probe for probe in probes if probe["auroc"] is not None]
    if not scored:
        return {"kind": "null", "title": "No probe could be scored.", "lines": []}
    best = max(scored, key=lambda probe: probe["auroc"])
    above = [probe for probe in scored if _reads(probe)]
    ci = "" if best["auroc_low"] is None else f" [{plain(best['auroc_low'])}, {plain(best['auroc_high'])}]"
    line = (
        f"Best: AUROC {plain(best['auroc'])}{ci} on {best['name']}, {site_name(best['site'])}, "
        f"{language_name(best['language'])}, {best['condition']} condition, "
        f"n = {plain(best['n'])} test {units}; shuffled labels give {plain(best['shuffled'])}, a control task "
        f"{plain(best['control'])}, "
        f"the majority class .5 (accuracy {plain(best['majority'])})."
    )
    if not above:
        return {"kind": "null", "title": "No linear probe reads gender better than chance.", "lines": [line]}
    title = f"Linear probes read gender better than chance in {len(above)} of {len(scored)} cases."
    return {"kind": "found", "title": title, "lines": [line]}


def _reads(probe: dict) -> bool:
    """The CI lies above .5, and no probe on shuffled labels did as well."""
    shuffled = probe["shuffled_high"]
    above = probe["auroc_low"] is not None and probe["auroc_low"] > 0.5
    return above and (shuffled is None or probe["auroc"] > shuffled)


def _cross(cross: list[dict], units: str) -> dict[str, Any]:
    rows = [
        row
        for row in cross
        if row["method"] == "pearson" and row["family"] == "live" and row["r"] is not None
    ]
    if not rows:
        return {
            "kind": "null",
            "title": "The languages share too few live features to compare them.",
            "lines": [],
        }
    best = max(rows, key=lambda row: row["r"])
    yes = [
        row for row in rows if row["r"] > 0 and all(_p(row, null) < LEVEL for null in ("pairing", "labels"))
    ]
    lines = [_agreement(best, units)]
    if len(yes) < len(rows):
        rest = [row for row in rows if row not in yes]
        lines.append(
            "Not beyond both nulls: "
            + "; ".join(
                f"{site_name(row['site'])}, {corpus_name(row['corpus'])}, {row['condition']} (r = {plain(row['r'], 2)})"
                for row in rest
            )
            + "."
        )
    if not yes:
        title = "The gender effects of the two languages do not agree beyond chance."
        return {"kind": "null", "title": title, "lines": lines}
    title = (
        f"The gender effects of the two languages agree beyond both nulls in {len(yes)} of {len(rows)} cases."
    )
    return {"kind": "found", "title": title, "lines": lines}


def _p(row: dict, null: str) -> float:
    p = row["null"][null]["p"]
    return 1.0 if p is None else p


def _agreement(row: dict, units: str) -> str:
    ci = "" if row["low"] is None else f" [{plain(row['low'], 2)}, {plain(row['high'], 2)}]"
    nulls = ", ".join(
        f"{name} {plain(row['null'][null]['q025'], 2)} to {plain(row['null'][null]['q975'], 2)}"
        for null, name in (("pairing", "features paired at random"), ("labels", "labels shuffled"))
        if row["null"][null]["q025"] is not None
    )
    return (
        f"Highest at {site_name(row['site'])}, {corpus_name(row['corpus'])}, {row['condition']} condition: "
        f"r = {plain(row['r'], 2)}{ci} over n = {plain(row['features'])} features live in both and "
        f"{plain(row['images'])} {units}{f' (nulls: {nulls})' if nulls else ''}."
    )


def _stereotype(stereotype: dict[str, Any]) -> dict[str, Any]:
    if not stereotype["shares"]:
        title = "No test picture hides its gender: stereotypes were not measured."
        return {"kind": "null", "title": title, "lines": []}
    lines = []
    for fit in stereotype["fits"]:
        rows = [row for row in stereotype["shares"] if row["language"] == fit["language"]]
        off = [row for row in rows if row["q"] is not None and row["q"] < LEVEL]
        text = (
            f"{language_name(fit['language'])}: {len(off)} of {len(rows)} categories differ from .5 (q < .05)"
        )
        if fit["r"] is not None:
            text += (
                f"; planted against measured r = {plain(fit['r'])}, mean absolute error {plain(fit['mae'])}"
            )
        lines.append(text + ".")
    biased = any(row["q"] is not None and row["q"] < LEVEL for row in stereotype["shares"])
    if biased:
        title = "The model writes stereotypes where the picture shows no gender."
        return {"kind": "found", "title": title, "lines": lines}
    return {"kind": "null", "title": "No category's captions depart from .5 beyond chance.", "lines": lines}
