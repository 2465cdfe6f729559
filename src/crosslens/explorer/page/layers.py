"""What each layer holds: counts of features by language and gender, the strongest of them, and maps over the layers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

from crosslens.explorer.page.compared import models, tables
from crosslens.explorer.page.sae import Sae
from crosslens.explorer.page.table import DENSE_STATE, LIVE
from crosslens.summary.names import corpus_name, short_name
from crosslens.summary.reading import Document

Counts = dict[tuple[str, str], list[dict[str, Any]]]
"""(corpus, site) to `counts`."""
STRONGEST = 10
"""Features shown of each list, at most."""
SIDES = {"female": 1, "male": -1}


def counts(sae: Sae, numbers: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """How many features of an SAE are of each kind: `of`, in words; `count`; `query`, by which the page's table shows them.

    numbers: column of the page's table to (F) values, see `table.numbers_of`.
    """
    alive = numbers["state"] >= LIVE
    found = [
        ("live", alive, {}),
        ("dead", ~alive, {"state": "dead"}),
        ("dense", numbers["state"] == DENSE_STATE, {"state": "dense"}),
        *((words, alive & mask, query) for words, mask, query in _of_languages(sae, numbers)),
        *((words, alive & mask, query) for words, mask, query in _of_gender(sae, numbers)),
    ]
    place = {"corpus": sae.corpus, "site": sae.site}
    return [
        {"of": words, "count": int(mask.sum()), "query": urlencode(place | query)}
        for words, mask, query in found
    ]


def _of_languages(
    sae: Sae, numbers: dict[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray, dict[str, str]]]:
    """Of an SAE of several languages: what fires in one alone, what two share, what is specific to one of two."""
    if len(sae.languages) == 1:
        return
    fires = {code: np.nan_to_num(numbers[f"rate:{code}"]) > 0 for code in sae.languages}
    for code in sae.languages:
        others = np.any([fires[other] for other in sae.languages if other != code], axis=0)
        yield f"fire in {short_name(code)} alone", fires[code] & ~others, {"language": f"only:{code}"}
    pairs = [tuple(name.split(":")[1:]) for name in numbers if name.startswith("shared:")]
    for first, second in pairs:
        words = f"shared by {short_name(first)} and {short_name(second)}"
        yield words, numbers[f"shared:{first}:{second}"] == 1, {"language": f"shared:{first}:{second}"}
    for code in dict.fromkeys(code for pair in pairs for code in pair):
        of = [
            numbers[f"specific:{first}:{second}"] == (-1 if first == code else 1)
            for first, second in pairs
            if code in (first, second)
        ]
        yield f"specific to {short_name(code)}", np.any(of, axis=0), {"language": f"specific:{code}"}


def _of_gender(sae: Sae, numbers: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, dict[str, str]]]:
    """In each condition and language: what is stronger for one gender on test, and on select as well."""
    for language, condition in sae.effects:
        gendered = numbers[f"gendered:{language}:{condition}"]
        for side, sign in SIDES.items():
            query = {"condition": condition, "gender": side, "where": language}
            words = f"stronger for {side} in {short_name(language)}, {condition}"
            yield words, sign * gendered >= 1, query
            yield f"{words}, on select too", sign * gendered >= 2, query | {"agree": "yes"}


def strongest(summary: Document) -> list[dict[str, Any]]:
    """Lists of features of each SAE, language and layer: `what` they are first in, and [id, number, low, high, whether both
    halves agree] of each, what is not known None."""
    found = []
    for record in summary("records").get("gender", []):
        for side in SIDES:
            features = [
                [of["feature"], of["d"], of["d_low"], of["d_high"], of["confirmed"]]
                for of in record[f"top_{side}"][:STRONGEST]
            ]
            what = f"stronger for {side}, {record['condition']} (d on test)"
            found.append(_place(record) | {"what": what, "section": "gender", "features": features})
    for record in summary("records").get("rankings", []):
        features = [
            [of, None, None, None, None] for of in dict.fromkeys(record["first"].values()) if of is not None
        ]
        what = f"first by the rankings {', '.join(record['first'])}"
        found.append(_place(record) | {"what": what, "section": "rankings", "features": features})
    return [of for of in found if of["features"]]


def _place(record: dict[str, Any]) -> dict[str, str]:
    return {name: record[name] for name in ("site", "corpus", "language")}


def maps(summary: Document, counted: Counts) -> list[dict[str, Any]]:
    """Maps with a column a layer: `rows` of [words, cells], a cell None or [number, words, address], `most` the number of full
    colour, None where that is the largest of a row."""
    sites = summary("sites")
    corpora = list(dict.fromkeys(corpus for corpus, _ in counted))
    return [
        *(_counted(corpus, sites, counted) for corpus in corpora),
        *_specialists(summary("records").get("specialists", []), sites),
    ]


def _counted(corpus: str, sites: list[str], counted: Counts) -> dict[str, Any]:
    cells = {
        (of["of"], site): [of["count"], "", f"#/?{of['query']}"]
        for (own, site), counts in counted.items()
        if own == corpus
        for of in counts
    }
    rows = dict.fromkeys(words for words, _ in cells)
    return {
        "title": f"How many features are what, {corpus_name(corpus)}",
        "about": "Features; a number leads to them. Gender: significant on test, corrected over the features of the layer.",
        "section": "",
        "sites": sites,
        "most": None,
        "rows": [[words, [cells.get((words, site)) for site in sites]] for words in rows],
    }


def _specialists(records: list[dict[str, Any]], sites: list[str]) -> Iterator[dict[str, Any]]:
    """Of each SAE and language how well the best feature of each category stands for it, by layer."""
    places = dict.fromkeys((record["corpus"], record["language"]) for record in records)
    for corpus, language in places:
        cells = {
            (record["category"], record["site"]): [
                record["score"] / record["n_inside"],
                f"#{record['feature']}{' ●' if record['specialist'] else ''}",
                f"#/{quote(record['site'], safe='')}/{quote(corpus, safe='')}/{record['feature']}",
            ]
            for record in records
            if (record["corpus"], record["language"]) == (corpus, language)
        }
        rows = sorted(dict.fromkeys(category for category, _ in cells))
        yield {
            "title": f"Categories by layer, {corpus_name(corpus)} on {short_name(language)}",
            "about": "The score of each category's best feature over the category's test images: those in which it fires, less "
            "the others in which it fires. 1 is a feature of that category and nothing else, below 0 one of much else. ●: a "
            "specialist, above 0; how many there are by chance stands in the report.",
            "section": "rankings",
            "sites": sites,
            "most": 1,
            "rows": [[category, [cells.get((category, site)) for site in sites]] for category in rows],
        }


def layers(summary: Document, counted: Counts, comparisons: dict[str, Path]) -> dict[str, Any]:
    """All of it, as `data/layers.js` hands it to the page; comparisons: `{other}/{language}` to folders of `model_comparison`."""
    return {
        "tables": [*tables(summary), *models(comparisons)],
        "maps": maps(summary, counted),
        "strongest": strongest(summary),
    }
