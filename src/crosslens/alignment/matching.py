"""Do the SAEs of two languages find the same features? Matched one to one, beside what two seeds and chance give."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.alignment.assignment import Matched, cosines, nearest, one_to_one
from crosslens.alignment.clbas import agreement, images_of_test
from crosslens.alignment.dictionaries import Dictionary, check_one_site, read_dictionary, turned
from crosslens.alignment.pairs import PERMUTATIONS, beyond_chance, orders_of, shared_p
from crosslens.alignment.sharing import LEAST_GROUPS, Side, open_side, paired
from crosslens.alignment.transport import EPSILON, transport
from crosslens.pooling.languages import Pairs, pairs_among
from crosslens.stats.resampling import stream
from crosslens.stats.tested import tested
from crosslens.tables.documents import read_table, write_json, write_table

log = logging.getLogger(__name__)

SHARED_FROM = 0.7
"""Cosine from which a pair that encoder and decoder agree on is the same feature (Paulo and Belrose, arXiv 2501.16615)."""
THRESHOLDS = np.linspace(0, 1, 21).round(2)
ROLES = {
    "languages": "the SAEs of two languages",
    "seeds": "two seeds of one language: what the training leaves to chance, and so the most that can be asked for",
    "turned": "the second SAE turned by a random rotation: as many directions, as they lie to each other, and none a feature",
    "frozen": "SAEs of the two languages whose decoders stay as they were drawn: no feature was found, whatever they explain",
}


def match_features(
    *,
    saes: dict[str, dict[str, Path]],
    frozen: dict[str, Path],
    features: dict[str, Path],
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    codes: dict[str, Path],
    effects: dict[str, Path],
    alpha: float,
    seed: int,
    out_table: Path,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Match the SAEs of `pairs` of languages (None: of every two) at one site by the cosines of their directions.

    saes: language -> seed -> folder, the first seed the one that the analyses read. frozen: language -> folder of an SAE
    whose decoder was not trained, where the study has them. features: language -> its table of kind features, which says
    what is live. datasets, tokens, codes: of each language in its own SAE. effects: language -> table of kind
    gender_effects, empty without gender. Writes `out_table` (kind feature_matching: a row a pair of matched features of two
    languages' SAEs) and `out` (kind matching): see `compare`, `alike` and `agreement`. Raises InputError for SAEs of
    different sites or models.
    """
    folders = {f"{language}/{name}": path for language, of in saes.items() for name, path in of.items()}
    identity = check_one_site(folders | {f"{language}/frozen": path for language, path in frozen.items()})
    read = {name: read_dictionary(folder, name) for name, folder in folders.items()}
    first_of = {language: f"{language}/{next(iter(of))}" for language, of in saes.items()}
    live = {
        language: np.flatnonzero(read_table(features[language], "features", ["feature", "live"])["live"])
        for language in saes
    }
    ceilings = [
        compare("seeds", read[first_of[language]].rows(live[language]), read[f"{language}/{other}"])[1]
        for language, of in saes.items()
        for other in list(of)[1:]
    ]
    tables, results = [], []
    sides = {language: open_side(codes[language], tokens[language], datasets[language]) for language in saes}
    of_gender = {
        language: images_of_test(effects[language], codes[language], tokens[language], datasets[language])
        for language in effects
    }
    for pair in pairs_among(saes, pairs):
        rng = stream(seed, "matching", *pair)
        dictionaries = [read[first_of[language]].rows(live[language]) for language in pair]
        table, own = compare("languages", *dictionaries)
        table["feature"], table["partner"] = (
            live[language][table[name]] for language, name in zip(pair, ("feature", "partner"), strict=True)
        )
        told = {"languages": list(pair)} | own
        told["shuffled"] = shuffled(*dictionaries, rng)
        table, told["activations"] = alike(
            {language: sides[language] for language in pair}, table, alpha, rng
        )
        told["clbas"] = agreement(table, [of_gender[language] for language in pair], rng) if effects else []
        floors = [compare("turned", dictionaries[0], turned(dictionaries[1], rng))[1]]
        if set(pair) <= frozen.keys():
            drawn = [read_dictionary(frozen[language], f"{language}/frozen") for language in pair]
            floors.append(compare("frozen", *drawn)[1])
        told["floors"] = floors
        told["ceilings"] = [of for of in ceilings if of["names"][0].split("/")[0] in pair]
        tables.append(table.assign(first=pair[0], second=pair[1]))
        results.append(told)
        log.info("%s: %d of %d matched", pair, own["shared"], own["matched"])
    write_table(out_table, "feature_matching", pd.concat(tables, ignore_index=True)[COLUMNS])
    document = {
        **identity,
        "languages": list(saes),
        "seeds": {language: list(of) for language, of in saes.items()},
        "shared_from": SHARED_FROM,
        "thresholds": THRESHOLDS,
        "epsilon": EPSILON,
        "roles": ROLES,
        "permutations": PERMUTATIONS,
        "alpha": alpha,
        "seed": seed,
        "split": "test",
        "pairs": results,
    }
    write_json(out, "matching", document)


COLUMNS = [
    *("first", "second", "feature", "partner", "decoder_cosine", "encoder_cosine"),
    *("same_partner", "shared", "r", "p", "q"),
]


def compare(role: str, first: Dictionary, second: Dictionary) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Two dictionaries: a row a pair matched by decoder cosine, and how like they are.

    mmcs: mean over features of the largest cosine with any of the other, both ways; mcc: mean cosine of the matched. shared:
    pairs with both cosines at SHARED_FROM or above whom the encoders' matching pairs as well; `curve`: their share of the
    matched at each of THRESHOLDS. Nothing is matched, and all but the counts is None, where one has no feature (`tested`,
    `because`). transport: of the decoders, as of `transport.transport`; of two seeds, of the second of
    which nobody knows what is live, between the matched alone: its dead features would have to be partners as well.
    """
    silent = [of.name for of in (first, second) if not len(of)]
    because = f"no feature of {' or '.join(silent)} fires" if silent else None
    told = {
        "role": role,
        "names": [first.name, second.name],
        "saes": [first.sae, second.sae],
        "features": [len(first), len(second)],
        **tested(because),
    }
    if because:
        nobody = Matched(*np.empty((2, 0), dtype=np.int64), np.empty(0))
        counts = dict.fromkeys(("matched", "same_partner", "shared"), 0)
        both = dict.fromkeys(("decoder", "encoder"))
        of_plan = dict.fromkeys(("cost", "partners", "on_matched"))
        told |= counts | {"mmcs": both, "mcc": dict(both), "transport": of_plan, "curve": None}
        return _table(first, second, nobody, nobody), told
    matched, mmcs, near = {}, {}, {}
    for name in ("decoder", "encoder"):
        rows = getattr(first, name), getattr(second, name)
        near[name] = nearest(*rows)
        matched[name] = one_to_one(*rows, near[name])
        mmcs[name] = [float(side.cosine[:, 0].mean(dtype=np.float64)) for side in near[name]]
    table = _table(first, second, **matched)
    soft = first.decoder, second.decoder, near["decoder"], matched["decoder"]
    if role == "seeds":
        rows, columns, cosine = matched["decoder"]
        both, pairs = (first.decoder[rows], second.decoder[columns]), np.arange(len(rows))
        soft = *both, nearest(*both), Matched(pairs, pairs, cosine)
    agreed = table.loc[table["same_partner"], ["decoder_cosine", "encoder_cosine"]].min(axis=1).to_numpy()
    told |= {
        "matched": len(table),
        "same_partner": int(table["same_partner"].sum()),
        "shared": int(table["shared"].sum()),
        "mmcs": mmcs,
        "mcc": {name: float(of.cosine.mean()) for name, of in matched.items()},
        "transport": transport(*soft),
        "curve": [float(np.sum(agreed >= threshold) / len(table)) for threshold in THRESHOLDS],
    }
    return table, told


def _table(first: Dictionary, second: Dictionary, decoder: Matched, encoder: Matched) -> pd.DataFrame:
    partner = np.full(len(first), -1, dtype=np.int64)
    partner[encoder.first] = encoder.second
    table = pd.DataFrame({"feature": decoder.first, "partner": decoder.second})
    table["decoder_cosine"] = decoder.cosine
    table["encoder_cosine"] = cosines(first.encoder, second.encoder, decoder.first, decoder.second)
    table["same_partner"] = partner[decoder.first] == decoder.second
    least = table[["decoder_cosine", "encoder_cosine"]].min(axis=1)
    table["shared"] = table["same_partner"] & (least >= SHARED_FROM)
    return table


def shuffled(first: Dictionary, second: Dictionary, rng: np.random.Generator) -> dict[str, float | None]:
    """Features paired at random: mean decoder cosine, and the share of pairs that both cosines call shared; None of none."""
    m = min(len(first), len(second))
    if not m:
        return {"cosine": None, "share": None}
    rows, columns = rng.permutation(len(first))[:m], rng.permutation(len(second))[:m]
    decoder, encoder = (
        cosines(getattr(first, name), getattr(second, name), rows, columns) for name in ("decoder", "encoder")
    )
    both = np.minimum(decoder, encoder)
    return {"cosine": float(decoder.mean()), "share": float(np.mean(both >= SHARED_FROM))}


def alike(
    sides: dict[str, Side], table: pd.DataFrame, alpha: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Do matched features fire on captions of the same images? r of each pair beside shuffled pairs of captions.

    Adds `r`, and `p` and `q` over all matched pairs, to the table. As in `sharing.compare`, of shared features.
    """
    one, other = paired(sides).values()
    groups = one.strength.group
    number = len(np.unique(groups))
    because = f"there are {number} independent pairs" if number < LEAST_GROUPS else None
    because = because or (None if len(table) else "no feature is matched")
    values = (
        side.strength.values[:, table[name].to_numpy()]
        for side, name in ((one, "feature"), (other, "partner"))
    )
    r, p = shared_p(*values, groups, rng)
    table, told = (
        table.assign(r=r, p=np.nan, q=np.nan),
        dict.fromkeys(("found", "mean", "q95", "p", "least_p")),
    )
    if because is None:
        q, told = beyond_chance(p, alpha, orders_of(groups))
        table["p"], table["q"] = p[0].astype(np.float64), q
    found = (table["q"] <= alpha) & table["shared"]
    medians = {
        name: float(some.median()) if len(some := rows["r"].dropna()) else None
        for name, rows in (("matched", table), ("shared", table[table["shared"]]))
    }
    return table, tested(because) | told | {
        "groups": number,
        "shared_found": int(found.sum()),
        "median": medians,
    }
