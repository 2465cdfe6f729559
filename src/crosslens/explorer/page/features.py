"""What the page of each feature says, as one object a feature."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from crosslens.explorer.page.sae import Sae, agree
from crosslens.explorer.page.samples import Samples
from crosslens.explorer.page.scripts import in_utf16, short
from crosslens.summary.reading import Document
from crosslens.tables.documents import read_table
from crosslens.tokens.highlight import pieces

SCOPES = ("test", "test_female", "test_male")
STATISTICS = ("token_frequency", "sample_frequency", "mean_active", "max")
TEXT = ("caption", "generated")
PROMOTED = 10
EFFECT = ("d", "d_low", "d_high", "auroc", "p", "q", "mean_female", "mean_male")
SHARING = ("r", "q_shared", "token_selectivity", "q_specific", "token_rate_first", "token_rate_second")


class Features:
    """The objects of one SAE's features."""

    def __init__(
        self, sae: Sae, samples: Samples, matching: dict[str, Any], records: dict[str, list[dict[str, Any]]]
    ):
        """matching: see `matches`; records: of the study's summary, those of this SAE: `descriptions`."""
        self.sae, self.samples = sae, samples
        self.matching, self.labels = matching, by_feature(records["descriptions"])
        self.roles = by_feature(list(roles(sae)))
        self.views = by_feature(list(views(sae)))
        self.seeds = by_feature(list(seeds(sae)))
        self.examples = Grouped(sae.examples)
        self.tokens = Grouped(sae.tokens)
        self.histograms = Grouped(sae.histograms)
        self.neighbours = Grouped(sae.neighbours)
        self.sharing = Grouped(sae.sharing) if sae.sharing is not None else None
        self.effects = {
            key: {split: rows.to_dict("records") for split, rows in of.items()}
            for key, of in sae.halves.items()
        }
        self.agree = {key: agree(**of) for key, of in sae.halves.items()}
        self.statistics = {language: _statistics(table) for language, table in sae.statistics.items()}

    def object(self, feature: int) -> dict[str, Any]:
        """All of one feature."""
        sae = self.sae
        found = {
            "id": feature,
            "statistics": {language: of[feature] for language, of in self.statistics.items()},
            "histograms": {row["language"]: _histogram(row) for row in self.histograms.rows(feature)},
            "gender": [self._effect(key, feature) for key in self.effects],
            "near": [[row["neighbour"], short(row["cosine"])] for row in self.neighbours.rows(feature)],
            "matches": self.matching.get(feature, []),
            "seeds": self.seeds[feature],
            "labels": self.labels[feature],
            "views": self.views[feature],
            "roles": self.roles[feature],
            **self._examples(feature),
        }
        if self.sharing is not None:
            found["sharing"] = [_sharing(row) for row in self.sharing.rows(feature)]
        if sae.promoted is not None:
            found["promoted"], found["suppressed"] = (
                sae.promoted.tokens(feature, side, PROMOTED) for side in ("promoted", "suppressed")
            )
        return found

    def _effect(self, key: tuple[str, str], feature: int) -> dict[str, Any]:
        language, condition = key
        select, test = (self.effects[key][split][feature] for split in ("select", "test"))
        told = {
            "language": language,
            "condition": condition,
            "n": [int(test["n_female"]), int(test["n_male"])],
        }
        told |= {name: short(test[name]) for name in EFFECT}
        told |= {name: bool(test[name]) for name in ("live", "testable", "significant")}
        told["select"] = {name: short(select[name]) for name in ("d", "q")} | {
            "significant": bool(select["significant"])
        }
        return told | {"agree": bool(self.agree[key][feature])}

    def _examples(self, feature: int) -> dict[str, Any]:
        """`examples`: language to [group, sample, largest activation]; `lit`: sample to language to what fires there."""
        examples: dict[str, list[list[Any]]] = {language: [] for language in self.sae.languages}
        for row in self.examples.rows(feature):
            number = self.samples.number(row["sample_id"])
            examples[row["language"]].append([row["group"], number, short(row["peak"])])
        tokens: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.tokens.rows(feature):
            tokens[row["sample_id"], row["language"]].append(row)
        lit: dict[int, dict[str, Any]] = defaultdict(dict)
        for (sample_id, language), rows in tokens.items():
            lit[self.samples.number(sample_id)][language] = self._lit(language, sample_id, rows)
        return {"examples": examples, "lit": lit}

    def _lit(self, language: str, sample_id: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """`on`: pieces of the text that light up, [start, end, activation, …] in UTF-16; `chips`: what lies in no text."""
        text = self.samples.text(language, sample_id)
        inside = [
            row
            for row in rows
            if row["role"] in TEXT and 0 <= row["char_start"] and row["char_end"] <= len(text)
        ]
        spans = [(row["char_start"], row["char_end"], row["activation"]) for row in inside]
        on: list[float] = []
        start = 0
        for piece in pieces(text, spans, 1.0):
            end = start + len(piece.text)
            if piece.value:
                on += [*in_utf16(text, [start, end]), short(piece.value)]
            start = end
        shown = {id(row) for row in inside if row["char_end"] > row["char_start"]}
        outside = [row for row in rows if id(row) not in shown]
        return {"on": on, "chips": list(self._chips(language, sample_id, outside))}

    def _chips(self, language: str, sample_id: str, rows: list[dict[str, Any]]) -> Iterator[list[Any]]:
        """[what it is, its text or place, the largest activation, how many tokens] of tokens that lie in no shown text."""
        pictured = [row["activation"] for row in rows if row["role"] == "image"]
        if pictured:
            yield ["image", "", short(max(pictured)), len(pictured)]
        for row in rows:
            if row["role"] == "prompt" and row["char_end"] > row["char_start"] >= 0:
                words = self.samples.prompt(language, sample_id)[row["char_start"] : row["char_end"]]
                yield ["prompt", words, short(row["activation"]), 1]
            elif row["role"] != "image":
                yield [
                    "text" if row["role"] in TEXT else "template",
                    str(row["position"]),
                    short(row["activation"]),
                    1,
                ]


class Grouped:
    """A table by its column `feature`: its rows are asked for feature by feature, of which there may be many thousands."""

    def __init__(self, table: pd.DataFrame):
        table = table.sort_values("feature", kind="stable")
        self.names = list(table.columns)
        self.columns = [table[name].to_numpy() for name in self.names]
        self.ids = table["feature"].to_numpy()

    def rows(self, feature: int) -> list[dict[str, Any]]:
        """Those of one feature, in the order of the table."""
        part = slice(*np.searchsorted(self.ids, [feature, feature + 1]))
        return [
            dict(zip(self.names, row, strict=True))
            for row in zip(*(of[part].tolist() for of in self.columns), strict=True)
        ]


def by_feature(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Feature to its rows, each without the feature."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["feature"]].append({name: value for name, value in row.items() if name != "feature"})
    return found


def _statistics(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each feature of a table `features`: STATISTICS of each of SCOPES, and its selectivity."""
    told = {
        scope: table[[f"{scope}_{name}" for name in STATISTICS]].to_numpy(dtype=float).tolist()
        for scope in SCOPES
    }
    selectivity = table["test_selectivity"].to_numpy(dtype=float).tolist()
    return [
        {scope: list(map(short, of[i])) for scope, of in told.items()}
        | {"selectivity": short(selectivity[i])}
        for i in range(len(table))
    ]


def _histogram(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "largest": short(row["largest"]),
        "counts": [count for name, count in row.items() if name.startswith("bin_")],
    }


def _sharing(row: dict[str, Any]) -> dict[str, Any]:
    told = {
        "languages": [row["first"], row["second"]],
        "shared": bool(row["shared"]),
        "specific": row["specific"],
    }
    return told | {name: short(row[name]) for name in SHARING}


def seeds(sae: Sae) -> Iterator[dict[str, Any]]:
    """What each feature becomes in other trainings of the same SAE."""
    if (path := sae.of_sae("counterparts")) is None:
        return
    table = read_table(path, "counterparts")
    for row in table[table["sae"] == sae.sae].to_dict("records"):
        yield {
            "feature": row["feature"],
            "other": row["other"],
            "partner": row["partner"],
            "cosines": [short(row["decoder_cosine"]), short(row["encoder_cosine"])],
        }


def views(sae: Sae) -> Iterator[dict[str, Any]]:
    """Whether the first gendered features are gendered by other tokens, in other seeds and architectures."""
    for kind in ("gender_robustness", "written_gender_robustness"):
        for language in sae.languages:
            if (path := sae.of_language(kind, language)) is None:
                continue
            document = sae.check(Document(path, "gender_robustness"))
            for condition, of in document("conditions").items():
                for named in of["named"]:
                    told = {"language": language, "condition": condition, "side": named["side"]}
                    kept = [[view["view"], view["kind"], view["gendered"]] for view in named["views"]]
                    yield {"feature": named["feature"], **told, "views": kept}


def roles(sae: Sae) -> Iterator[dict[str, Any]]:
    """Where the study names a feature: as a category's specialist, in interventions."""
    for language in sae.languages:
        folder = sae.of_language("features", language)
        for row in Document(folder / "rankings.json", "rankings")("specialists").get("features", []):
            if row["specialist"]:
                told = {
                    name: row[name]
                    for name in ("category", "inside", "n_inside", "outside", "n_outside", "q")
                }
                yield {"feature": row["feature"], "as": "specialist", "language": language, **told}
    if document := sae.document_of("steering", "steering.json"):
        for language, of in document("of").items():
            for arm in of["arms"]:
                for row in arm["features"]:
                    told = {
                        name: arm[name] for name in ("method", "found_in", "strength", "moved", "changes")
                    }
                    told |= {
                        "features": len(arm["features"]),
                        "sign": row["sign"],
                        "p": arm["random"]["same_length"]["p"],
                    }
                    yield {"feature": row["feature"], "as": "steering", "language": language, **told}
    if document := sae.document_of("ablation"):
        for pair in document("pairs"):
            for row in pair["features"]:
                told = {"languages": pair["languages"], "role": row["role"], "language": row["language"]}
                yield {"feature": row["feature"], "as": "ablation", **told, "cost": row["cost"]}
    if document := sae.document_of("feature_patching", "features.json"):
        for row in document("single"):
            yield {"as": "patching"} | row


def named_features(sae: Sae, summary: Document) -> set[int]:
    """The features of an SAE that its study names: in rankings and as specialists, as gendered, described, and intervened on."""
    found = {row["feature"] for row in [*roles(sae), *views(sae)]}
    for language in sae.languages:
        rankings = Document(sae.of_language("features", language) / "rankings.json", "rankings")
        found |= {row["feature"] for row in rankings.fields.get("examples", {}).get("features", [])}
    for record in summary("records").get("gender", []):
        if record["sae"] == sae.sae:
            found |= {row["feature"] for row in [*record["top_female"], *record["top_male"]]}
    described = summary("records").get("descriptions", [])
    return found | {row["feature"] for row in described if row["sae"] == sae.sae}


def matches(sae: Sae, files: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Feature to what it is matched with in the SAEs of other languages, where the study has such."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    if (folder := files.get("matching", {}).get(sae.site)) is None:
        return found
    document = Document(folder / "matching.json", "matching")
    own = {
        (pair["languages"][i], pair["languages"][1 - i])
        for pair in document("pairs")
        for i in (0, 1)
        if pair["saes"][i] == sae.sae
    }
    for row in read_table(folder / "pairs.parquet", "feature_matching").to_dict("records"):
        for mine, other, to in (("feature", "partner", "second"), ("partner", "feature", "first")):
            languages = (row["first"], row["second"]) if to == "second" else (row["second"], row["first"])
            if languages in own and languages[0] == sae.corpus:
                found[row[mine]].append(
                    {
                        "language": languages[1],
                        "partner": row[other],
                        "cosines": [short(row["decoder_cosine"]), short(row["encoder_cosine"])],
                        "shared": bool(row["shared"]),
                        **{name: short(row[name]) for name in ("r", "q")},
                    }
                )
    return found
