"""What a label is made from and what it is tried on: texts in which a feature fires, and texts in which it does not."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from crosslens.data.languages import language_of
from crosslens.descriptions.texts import Texts, read_texts
from crosslens.features.examples import COLUMNS, codes_of_features, example_of
from crosslens.features.promoted import Promoted
from crosslens.features.rankings import SAMPLES_AT_LEAST, UBIQUITOUS, scores, top_features
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_json, read_table, write_json
from crosslens.tables.of_sae import check_of_sae

GENDERED = 5
"""Features of each side and condition, the first of `top_female` and `top_male`."""
TOKENS = 10
"""Promoted and suppressed, of each feature."""
PAIRS_AT_LEAST = 5
"""Of a text in which a feature fires and one in which it does not: with fewer no label can be told from chance."""


def choose_examples(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, Sequence[Path]],
    codes: dict[str, Path],
    statistics: dict[str, Path],
    gender: dict[str, Path],
    promoted: Path,
    corpus: str,
    features: int,
    examples: int,
    held_out: int,
    seed: int,
    out: Path,
) -> None:
    """Write JSON of kind `described`: the features of one SAE that get a label, and for each and language its texts.

    All by language; statistics: tables of `feature_statistics`; gender: documents of `gender_effects`, {} without gender;
    promoted: the folder of the tokens that the features promote.
    Described are the `features` best of the ranking `composite` that fire in some texts of select and not in nearly all,
    and the first GENDERED of each side. Labels are made from select: `examples` each of the strongest texts, of those in
    the middle of what fires, and of any. They are tried on test: up to `held_out` pairs of a text in which it fires and
    one in which it does not, nearly as long; an image, group or caption comes once. Raises InputError where the files
    are of several SAEs.
    """
    read = {language: read_texts(datasets[language], tokens[language], codes[language]) for language in codes}
    attributes = _one_sae(read, gender)
    lens = Promoted(promoted)
    lens.check(attributes["sae"])
    named: dict[int, list[str]] = {}
    for language, texts in read.items():
        for feature, by in _named(language, texts, statistics[language], gender.get(language), features):
            named.setdefault(feature, []).append(by)
    ids = np.array(list(named), dtype=np.int64)
    described: list[dict[str, Any]] = [
        {"feature": feature, "named": by}
        | {side: lens.tokens(feature, side, TOKENS) for side in ("promoted", "suppressed")}
        | {"languages": {}}
        for feature, by in named.items()
    ]
    for language, texts in read.items():
        values, token = token_codes(texts, ids)
        strongest = texts.strongest[:, ids].toarray()
        for column, entry in enumerate(described):
            rng = stream(seed, language, str(entry["feature"]))
            entry["languages"][language] = {
                "fires_in": {
                    split: _fires_in(texts, strongest[:, column], split) for split in ("select", "test")
                },
                "examples": _examples(texts, strongest[:, column], values, column, token, examples, rng),
                **_held_out(texts, strongest[:, column] > 0, language, held_out, rng),
            }
    document = {"corpus": corpus, "languages": list(codes), **attributes, "columns": COLUMNS}
    write_json(out, "described", document | {"features": described})


def _one_sae(read: dict[str, Texts], gender: dict[str, Path]) -> dict[str, str]:
    """Site and digest, the same in all files."""
    first = next(iter(read.values())).codes.attributes
    digests = {texts.codes.path: texts.codes.attributes["sae"] for texts in read.values()}
    digests |= {path: read_json(path, "gender")["sae"] for path in gender.values()}
    for path, sae in digests.items():
        check_of_sae(path, "features", sae, first["sae"])
    return {name: first[name] for name in ("site", "sae")}


def _named(
    language: str, texts: Texts, statistics: Path, gender: Path | None, count: int
) -> Iterator[tuple[int, str]]:
    """(feature, by what) of one language."""
    select = texts.of_split("select")
    fires = np.asarray((texts.strongest[select] > 0).sum(axis=0)).ravel()
    some = (fires >= SAMPLES_AT_LEAST) & (len(select) - fires >= SAMPLES_AT_LEAST)
    usable = some & (fires <= UBIQUITOUS * len(select))
    composite = scores(read_table(statistics, "features"), "select")["composite"]
    for feature in top_features(np.where(usable, composite, -np.inf), count):
        yield int(feature), f"composite, {language}"
    conditions = read_json(gender, "gender")["conditions"] if gender else {}
    for condition, effects in conditions.items():
        for side in ("female", "male"):
            for entry in effects[f"top_{side}"][:GENDERED]:
                yield entry["feature"], f"most {side}, {language}, {condition}"


def token_codes(texts: Texts, features: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """The codes (m, T) of these features (T) on the text tokens of select, and the rows (m) of the token table."""
    keep = texts.in_text("select")
    return codes_of_features(texts.codes, keep, features), texts.codes.token[keep]


def _fires_in(texts: Texts, strongest: np.ndarray, split: str) -> dict[str, int]:
    rows = texts.of_split(split)
    return {"texts": len(rows), "firing": int((strongest[rows] > 0).sum())}


def _examples(
    texts: Texts,
    strongest: np.ndarray,
    values: csr_array,
    column: int,
    token: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> dict[str, list[dict[str, Any]]]:
    """The strongest, the middle of those that fire, and any others; none twice."""
    rows = texts.of_split("select")
    order = rows[np.argsort(-strongest[rows], kind="stable")]
    once = _once(texts, order)
    firing = [row for row in once if strongest[row] > 0]
    top, rest = firing[:count], firing[count:]
    start = max(len(rest) - count, 0) // 2
    middle = rest[start : start + count]
    others = [row for row in once if row not in {*top, *middle}]
    chosen = rng.choice(len(others), min(count, len(others)), replace=False)
    shown = values[:, [column]].tocoo()
    fired, sample = token[shown.coords[0]], texts.tokens.sample[token[shown.coords[0]]]
    index = {name: i for i, name in enumerate(texts.tokens.sample_ids)}

    def example(row: int) -> dict[str, Any]:
        record = texts.frame.iloc[row].to_dict()
        here = sample == index[record["sample_id"]]
        return example_of(record, texts.tokens, fired[here], shown.data[here])

    return {
        "top": [example(row) for row in top],
        "middle": [example(row) for row in middle],
        "random": [example(others[i]) for i in chosen],
    }


def _once(texts: Texts, rows: np.ndarray) -> list[int]:
    """The rows whose unit and caption none before them has."""
    units, captions = texts.units, texts.frame["caption"].to_numpy(dtype=object)
    seen: set[tuple[str, str]] = set()
    kept = []
    for row in rows.tolist():
        same = {("unit", units[row]), ("caption", captions[row])}
        if not same & seen:
            kept.append(row)
            seen |= same
    return kept


def _held_out(
    texts: Texts, fires: np.ndarray, language: str, count: int, rng: np.random.Generator
) -> dict[str, Any]:
    """`held_out`: pairs of texts of test; `because`: why there are none."""
    rows = rng.permutation(texts.of_split("test"))
    # what there is less of chooses first, so that few are lost to what shares their image
    rare = fires[rows].mean() < 0.5 if len(rows) else True
    rows = np.array(_once(texts, rows[np.argsort(fires[rows] != rare, kind="stable")]), dtype=np.int64)
    firing, silent = rows[fires[rows]], rows[~fires[rows]]
    pairs = min(len(firing), len(silent), count)
    if pairs < PAIRS_AT_LEAST:
        because = (
            f"it fires in {len(firing)} of {len(rows)} different texts of test, and {PAIRS_AT_LEAST} in which it fires "
            f"and {PAIRS_AT_LEAST} in which it does not are needed"
        )
        return {"held_out": [], "because": because}
    words = language_of(language).words
    length = {row: len(words(texts.frame["caption"].iloc[row])) for row in rows.tolist()}
    left, held_out = silent.tolist(), []
    for pair, row in enumerate(firing[:pairs].tolist()):
        beside = min(left, key=lambda other: abs(length[other] - length[row]))
        left.remove(beside)
        for other in (row, beside):
            record = texts.frame.iloc[other]
            held_out.append(
                {"sample_id": record["sample_id"], "caption": record["caption"]}
                | {"pair": pair, "fires": bool(fires[other])}
            )
    # in a new order, which tells nothing
    return {"held_out": [held_out[i] for i in rng.permutation(len(held_out))], "because": None}
