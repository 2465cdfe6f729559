"""Result files of a small study, written as the analysis stages write them, with known numbers in them."""

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from crosslens.planted.scenes import PLANTED_BIAS
from crosslens.registry import names
from crosslens.summary.layer import layer_summary
from crosslens.summary.study import study_summary
from crosslens.summary.sweep import compare_settings
from crosslens.tables.documents import read_json, write_json, write_table

LANGUAGES = ("en", "ar")
CONDITIONS = ("prompt", "caption")
OTHERS = "gemmascope"
VARIANTS = {
    f"{architecture}-k_{k}": {"architecture": architecture, "k": k}
    for architecture in ("topk", "batchtopk")
    for k in (4, 16)
}
D_SAE = 64
CAPTIONS = {
    "en": "a nurse holds a red book in the kitchen",
    "ar": "هذه ممرضةٌ تحمل كتابا أحمر في المطبخ",
}
PROMPTS = {"en": "Describe the picture.", "ar": "صف الصورة."}
CAPTIONS_OF_FIGURES = {
    Path(file).stem: words
    for stage in ("report", "features")
    for kind in import_module(f"crosslens.artifacts.stages.{stage}").KINDS
    for file, words in kind.files.items()
    if words
}
HOSTILE = '<script>alert(1)</script> & "quoted"'


@dataclass
class Files:
    """The arguments of the report's stages."""

    folder: Path
    training: dict[str, dict[str, Path]] = field(default_factory=dict)
    quality: dict[str, dict[str, Path]] = field(default_factory=dict)
    spliced: dict[str, dict[str, Path]] = field(default_factory=dict)
    rankings: dict[str, dict[str, Path]] = field(default_factory=dict)
    gender: dict[str, dict[str, Path]] = field(default_factory=dict)
    robustness: dict[str, dict[str, Path]] = field(default_factory=dict)
    effects: dict[str, dict[str, Path]] = field(default_factory=dict)
    probes: dict[str, dict[str, Path]] = field(default_factory=dict)
    words: dict[str, Path] = field(default_factory=dict)
    cross_lingual: dict[str, dict[str, Path]] = field(default_factory=dict)
    sweeps: dict[str, dict[str, Path]] = field(default_factory=dict)
    dataset: Path = Path()
    stereotype: Path = Path()

    def layer(self, site: str) -> dict[str, Any]:
        """Arguments of layer_summary, without `out`."""
        probes = self.probes[site].items()
        return {
            "site": site,
            "files": {
                "sae": folders(self.training[site]),
                "features": folders(self.rankings[site]),
                "quality": self.quality[site],
                "spliced": self.spliced[site],
                "gender": folders(self.gender[site]),
                "gender_robustness": self.robustness[site],
                "probe_words": self.words,
                "probe_codes": {key: path for key, path in probes if not key.startswith("activations")},
                "probe_activations": {
                    key.partition("/")[2]: path for key, path in probes if key.startswith("activations")
                },
                "cross_lingual": self.cross_lingual[site],
            },
        }

    def figures(self, site: str, *names: str) -> dict[str, Any]:
        """Arguments of a function that draws the figures of one layer, without `out`."""
        given = {name: getattr(self, name) for name in names}
        return {"site": site} | {name: of if name == "words" else of[site] for name, of in given.items()}


def folders(files: dict[str, Path]) -> dict[str, Path]:
    """The folders that artifacts of several files are."""
    return {key: path.parent for key, path in files.items()}


def change(path: Path, kind: str, edit) -> None:
    """Apply `edit` to the fields of a JSON document on disk."""
    document = read_json(path, kind)
    edit(document)
    write_json(path, kind, {key: value for key, value in document.items() if key not in ("schema", "kind")})


def write_study(folder: Path, *, sites: tuple[str, ...] = ("2", "4"), null: bool = False) -> Files:
    """All files of a study with a joint SAE, one per language, and one of others on both; the joint one was swept.

    `null`: nothing is gendered and no bias.
    """
    files, rng = Files(folder), np.random.default_rng(7)
    pairs = [("joint", "en"), ("joint", "ar"), ("en", "en"), ("ar", "ar"), (OTHERS, "en"), (OTHERS, "ar")]
    for site in sites:
        place = folder / site
        place.mkdir(parents=True)
        for name in (
            "training",
            "quality",
            "spliced",
            "rankings",
            "gender",
            "robustness",
            "effects",
            "probes",
        ):
            getattr(files, name)[site] = {}
        for corpus in ("joint", *LANGUAGES):  # training.json: the pretrained SAE has none
            files.training[site][corpus] = _training(place / f"sae_{corpus}/training.json", corpus, site, rng)
        for corpus, language in pairs:
            key, stem = f"{corpus}/{language}", f"{corpus}_{language}"
            sae = f"digest-{corpus}-{site}"
            path, architecture = place / f"quality_{stem}.json", "jumprelu" if corpus == OTHERS else "topk"
            files.quality[site][key] = _quality(path, site, language, sae, rng, architecture)
            files.spliced[site][key] = _spliced(place / f"spliced_{stem}.json", site, sae, rng)
            files.rankings[site][key] = _rankings(
                place / f"features_{stem}/rankings.json", site, language, sae
            )
            gender = place / f"gender_{stem}"
            table, document = gender / "effects.parquet", gender / "gender.json"
            _gender(table, document, site, language, sae, rng, null)
            files.effects[site][key], files.gender[site][key] = table, document
            files.robustness[site][key] = _robustness(place / f"robustness_{stem}.json", corpus, document)
            files.probes[site][key] = _probe(place / f"probe_{stem}.json", site, language, sae, rng, null)
        for language in LANGUAGES:
            files.words[language] = _probe_words(folder / f"words_{language}.json", language)
            path = place / f"probe_activations_{language}.json"
            files.probes[site][f"activations/{language}"] = _probe(path, site, language, None, rng, null)
        files.sweeps[site] = {"joint": _sweep(place, site, files, rng)}
        path = place / "cross_lingual.json"
        files.cross_lingual[site] = {"joint": _cross_lingual(path, site, files.effects[site], rng, null)}
    files.dataset = _dataset(folder / "summary.json")
    files.stereotype = _stereotype(folder / "stereotype.json", rng, null)
    return files


def _training(path: Path, corpus: str, site: str, rng: np.random.Generator) -> Path:
    steps = np.arange(1, 21)
    curve = [
        {
            "step": int(step),
            "tokens": int(step) * 1024,
            "loss": float(0.05 + 0.55 * np.exp(-step / 4) + 0.002 * rng.random()),
            "fvu": float(0.03 + 0.5 * np.exp(-step / 4) + 0.002 * rng.random()),
            "aux": float(0.1 * np.exp(-step / 6)),
            "penalty": 0.0,
            "l0": 8.0,
            "dead": int(20 * np.exp(-step / 5)),
            "lr": 1e-3,
        }
        for step in steps
    ]
    document = {
        "identity": {"corpus": corpus, "site": site, "seed": 0, "model": "tiny"},
        "settings": {"architecture": "topk", "k": 8, "expansion": 8},
        "products": "float32 products",
        "scale": 1.0,
        "tokens": {"en": 20480},
        "sinks": {"en": 0},
        "neighbours": {"en": {"stored": 0.3, "shuffled": 0.01}},
        "curve": curve,
    }
    path.parent.mkdir()
    write_json(path, "training", document)
    return path


def _decoder_cosine(rng: np.random.Generator) -> dict[str, Any]:
    """Decoder rows nearer to each other than random ones."""

    def told(cosines: np.ndarray) -> dict[str, Any]:
        share = float((cosines > 0.9).mean())
        counts = np.histogram(cosines, edges)[0].tolist()
        return {"counts": counts, "median": float(np.median(cosines)), "alike_share": share}

    edges = np.linspace(-1, 1, 101).round(2)
    decoder, random = rng.beta(5, 3, D_SAE), 0.5 + 0.05 * rng.standard_normal(D_SAE)
    told_of = {"decoder": told(decoder), "random": told(random)}
    return {"compared": D_SAE, "seed": 0, "alike_above": 0.9, "edges": edges.tolist(), **told_of}


def _quality(
    path: Path, site: str, language: str, sae: str, rng: np.random.Generator, architecture: str = "topk"
) -> Path:
    counts = rng.integers(1, 6, 12).tolist()
    live = sum(counts)
    ev = float(0.9 + 0.08 * rng.random())
    write_json(
        path,
        "quality",
        {
            "site": site,
            "language": language,
            "sae": sae,
            "architecture": architecture,
            "d_model": 8,
            "d_sae": D_SAE,
            "roles": ["prompt", "caption"],
            "split": "test",
            "tokens": int(rng.integers(4000, 5000)),
            "samples": 150,
            "sinks": {"factor": 10.0, "test_tokens_left_out": 0, "train_tokens_left_out": 0},
            "ev": ev,
            "fvu": 1 - ev,
            "cosine": float(0.9 + 0.05 * rng.random()),
            "mse": 0.1,
            "l0": {"mean": float(7 + rng.random()), "quantiles": {"0.5": 8}},
            "dead_means": "fires on none of the test tokens counted here",
            "live": live,
            "dead": D_SAE - live,
            "live_percent": 100 * live / D_SAE,
            "dead_percent": 100 - 100 * live / D_SAE,
            "density": {"log10_edges": np.linspace(-3, 0, 13).tolist(), "counts": counts},
            "decoder_cosine": _decoder_cosine(np.random.default_rng(11)),
            "baselines": {
                "pca": {"rank": 8, "ev": float(0.8 + 0.05 * rng.random())},
                "random_dictionary": {"k": 8, "ev": float(0.4 + 0.05 * rng.random())},
                "token_mean": {"unseen_share": 0.0, "ev": float(0.7 + 0.05 * rng.random())},
                "train_mean": {"ev": -0.001},
                "test_mean_ev": 0.0,
            },
            "select": {
                "tokens": 4000,
                "fvu": 1 - ev,
                "l0": 7.5,
                "gates": {name: {"passed": True, "says": "so"} for name in ("sparse", "beats_pca", "alive")},
            },
            "gates": {
                "sparse": {"passed": True, "says": f"7.5 of {live} live features fire on a token"},
                "beats_pca": {"passed": True, "says": "explained variance 0.94 against 0.82"},
                "alive": {
                    "passed": D_SAE - live <= 32,
                    "says": f"{D_SAE - live} of {D_SAE} features fire on no test token; at most half may",
                },
            },
        },
    )
    return path


def _sweep(place: Path, site: str, files: Files, rng: np.random.Generator) -> Path:
    """Variants of the joint SAE and what the stage `compare_settings` makes of them."""
    quality = {None: {language: files.quality[site][f"joint/{language}"] for language in LANGUAGES}}
    spliced = {None: {language: files.spliced[site][f"joint/{language}"] for language in LANGUAGES}}
    for name, changes in VARIANTS.items():
        quality[name], spliced[name] = {}, {}
        for language in LANGUAGES:
            path, sae = place / f"quality_{name}_{language}.json", f"digest-{name}-{site}"
            _quality(path, site, language, sae, rng, changes["architecture"])
            l0, ev = changes["k"] - 0.5 * rng.random(), 1 - 0.5 / changes["k"] + 0.01 * rng.random()
            change(
                path,
                "quality",
                lambda d, l0=l0, ev=ev: (
                    d["l0"].update(mean=l0),
                    d.update(ev=ev, fvu=1 - ev),
                    d["select"].update(l0=l0, fvu=1 - ev),
                ),
            )
            quality[name][language] = path
            spliced[name][language] = _spliced(place / f"spliced_{name}_{language}.json", site, sae, rng)
    compare_settings(
        site=site,
        corpus="joint",
        variants=VARIANTS,
        quality=quality,
        spliced=spliced,
        out=place / "sweep.json",
    )
    return place / "sweep.json"


def _spliced(path: Path, site: str, sae: str, rng: np.random.Generator) -> Path:
    def value(centre: float) -> dict[str, Any]:
        at = float(centre + 0.01 * rng.random())
        return {"value": at, "ci": [at - 0.02, at + 0.02]}

    write_json(
        path,
        "spliced",
        {
            "site": site,
            "sae": sae,
            "samples": 64,
            "images": 64,
            "tokens": 900,
            "ce": {"clean": value(0.2), "spliced": value(0.25), "zero": value(4.0), "mean": value(3.0)},
            "kl": {"spliced": value(0.03), "zero": value(3.0), "mean": value(2.0)},
            "ce_recovered": {"zero": value(0.97), "mean": value(0.96)},
            "select": {"samples": 60, "tokens": 800, "ce_recovered": {"zero": 0.97, "mean": 0.96}},
            "identity": {"max_abs_logit_difference": 0.0},
        },
    )
    return path


def spans(text: str, pieces: int = 3) -> list[tuple[int, int]]:
    """`text` cut into stretches of `pieces` characters, the way sub-word tokens cut words."""
    return [(start, min(start + pieces, len(text))) for start in range(0, len(text), pieces)]


def example(language: str, feature: int, rank: int, caption: str | None = None) -> dict[str, Any]:
    """One top example as the rankings hold it: activations fall from the front of the caption."""
    caption = CAPTIONS[language] if caption is None else caption
    top = 4.0 - rank
    return {
        "sample_id": f"image_{feature:03d}_{rank}#0",
        "image_id": f"image_{feature:03d}_{rank}",
        "image": "",
        "gender": "female",
        "category": "nurse",
        "prompt": PROMPTS[language],
        "caption": caption,
        "max": top,
        "tokens": [
            ["caption", start, end, 5 + i, round(top / (1 + i), 6)]
            for i, (start, end) in enumerate(spans(caption)[:4])
        ]
        + [["caption", -1, -1, 30, 0.5]],
    }


def specialist(category: str, feature: int) -> dict[str, Any]:
    """One of a category, as rankings hold it."""
    counts = {"score": 7, "score_select": 9, "inside": 8, "n_inside": 11, "outside": 1, "n_outside": 29}
    chance = {"score_by_chance": 0.31, "p": 0.002, "q": 0.004}
    return {"category": category, "feature": feature, "specialist": True, **counts, **chance}


def _rankings(path: Path, site: str, language: str, sae: str) -> Path:
    shown = [{"feature": feature, "score": 1.0} for feature in (1, 2, 3)]
    path.parent.mkdir()
    write_json(
        path,
        "rankings",
        {
            "language": language,
            "site": site,
            "sae": sae,
            "d_sae": D_SAE,
            "roles": ["prompt", "caption"],
            "sinks": 2,
            "samples": {"all": 600, "select": 150, "test": 150},
            "tokens": {"all": 9000, "select": 2100, "test": 2200},
            "rankings": {name: {"score_is": "", "features": shown} for name in ("strongest", "frequent")},
            "coactivation": {
                "jaccard": [
                    {"a": 1, "b": 3, "jaccard": 0.62, "pmi": 1.25, "both": 17, "jaccard_select": 0.7}
                ],
                "pmi": [],
            },
            "specialists": {
                "categories": ["nurse", "guard"],
                "found": 2,
                "expected_by_chance": 0.8,
                "found_p": 0.01,
                "least_p": 0.001,
                "features": [specialist(name, 60 + i) for i, name in enumerate(("nurse", "guard"))],
            },
            "examples": {
                "split": "test",
                "columns": ["role", "char_start", "char_end", "position", "activation"],
                "features": [
                    {"feature": feature, "examples": [example(language, feature, rank) for rank in range(3)]}
                    for feature in (1, 2, 60, 61)
                ],
            },
        },
    )
    return path


def _gender(
    table: Path, path: Path, site: str, language: str, sae: str, rng: np.random.Generator, null: bool
) -> None:
    frames, conditions = [], {}
    images = {"female": 60, "male": 62, "unknown": 28, "contradictory": 0, "dropped_samples": 0}
    for condition in CONDITIONS:
        d = np.linspace(-1.8, 1.8, D_SAE)[::-1] + 0.05 * rng.standard_normal(D_SAE)
        d = 0.1 * d if null else d
        significant = np.abs(d) > 0.5
        for split in ("select", "test"):
            frames.append(
                pd.DataFrame(
                    {
                        "feature": np.arange(D_SAE),
                        "condition": condition,
                        "split": split,
                        "d": d,
                        "live": True,
                        "significant": significant,
                    }
                )
            )
        conditions[condition] = {
            "tested": True,
            "because": None,
            "images": {"select": images, "test": images},
            "units": {split: {"female": 60, "male": 62, "pairs": 0} for split in ("select", "test")},
            "live": D_SAE,
            "testable": D_SAE,
            "significant": int(significant.sum()),
            "null": {
                "mean": float(0.4 + rng.random()),
                "q50": 0.0,
                "q95": 3.0,
                "max": 9.0,
                "p": 1.0 if null else 0.005,
                "least_p": 1 / 1001,
            },
            "select": {"live": D_SAE, "testable": D_SAE, "significant": int(significant.sum())},
            "confirmed": int(significant.sum()),
        }
        for side, order in (("female", np.argsort(-d)), ("male", np.argsort(d))):
            conditions[condition][f"top_{side}"] = [
                {
                    "feature": int(feature),
                    "d_select": float(d[feature]),
                    "mean_female": 1.0,
                    "mean_male": 0.5,
                    "d": float(d[feature]),
                    "g": float(d[feature]),
                    "d_low": float(d[feature] - 0.3),
                    "d_high": float(d[feature] + 0.3),
                    "auroc": 0.9 if d[feature] > 0 else 0.1,
                    "z": float(5 * d[feature]),
                    "p": 1e-5,
                    "q": 1e-4,
                    "live": True,
                    "testable": True,
                    "significant": i != 4,
                    "confirmed": i != 4,
                }
                for i, feature in enumerate(order[: 0 if null else 10])
            ]
    path.parent.mkdir()
    write_table(table, "gender_effects", pd.concat(frames, ignore_index=True))
    write_json(
        path,
        "gender",
        {
            "language": language,
            "site": site,
            "sae": sae,
            "d_sae": D_SAE,
            "alpha": 0.05,
            "permutations": 1000,
            "conditions": conditions,
        },
    )


def _robustness(path: Path, corpus: str, gender: Path) -> Path:
    """The joint SAE has another seed, in which every other named feature is gendered; by the last token none is."""
    told = read_json(gender, "gender")
    seeds = [("seed_1", "seed")] if corpus == "joint" else []
    views = [("max", "reading"), ("last", "reading"), *seeds]
    conditions = {}
    for condition, of in told["conditions"].items():
        shares = {"max": 0.9, "last": 0.0, "seed_1": 0.5} if of["significant"] else dict.fromkeys(dict(views))
        conditions[condition] = {
            "gendered": {"female": of["significant"], "male": 0},
            "views": [
                {
                    "view": view,
                    "kind": kind,
                    "live": 50,
                    "gendered": {"female": 20, "male": 4},
                    "testable": of["significant"],
                    "kept": round((shares[view] or 0) * of["significant"]),
                    "share": shares[view],
                    "chance": {"mean": 0.1, "q95": 0.2} if of["significant"] else {"mean": None, "q95": None},
                    "cosine": 0.8 if kind == "seed" else None,
                }
                for view, kind in views
            ],
            "named": [
                {"feature": entry["feature"], "side": side, "confirmed": entry["confirmed"]}
                | {
                    "views": [
                        {"view": view, "kind": kind, "partner": 3, "cosine": 0.8 if kind == "seed" else None}
                        | {"z": 2.0, "q": 0.01, "gendered": view == "max" or (kind == "seed" and i % 2 == 0)}
                        for view, kind in views
                    ]
                }
                for side in ("female", "male")
                for i, entry in enumerate(of[f"top_{side}"])
            ],
        }
    document = {name: told[name] for name in ("language", "site", "sae", "alpha")}
    write_json(path, "gender_robustness", document | {"conditions": conditions})
    return path


def _score(value: float, spread: float = 0.04) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread}


def _probe(
    path: Path, site: str, language: str, sae: str | None, rng: np.random.Generator, null: bool
) -> Path:
    def result() -> dict[str, Any]:
        auroc = float((0.5 if null else 0.9) + 0.03 * rng.random())
        near = float(0.48 + 0.04 * rng.random())
        both = {"accuracy": _score(near), "auroc": _score(near), "repeats": 5}
        return {
            "n_train": {"female": 200, "male": 200},
            "n_test": {"female": 60, "male": 62},
            "groups": {"train": 400, "test": 122},
            "majority": {"label": "female", "accuracy": 60 / 122},
            "C": 0.01,
            "accuracy": _score(auroc - 0.1),
            "auroc": _score(auroc),
            "p": float(rng.uniform(0.06, 1)) if null else 0.0001,
            "least_p": 0.0001,
            "tested": True,
            "because": None,
            "shuffled": both,
            "control": None if sae else both,
            "sparse": [
                {"columns": k, "chosen": list(range(k)), "accuracy": _score(near), "p": 0.01, "C": 0.1}
                | {"auroc": _score(0.5 + (auroc - 0.5) * k / 24)}
                for k in (1, 2, 5, 20)
            ],
        }

    document = {
        "input": "codes" if sae else "activations",
        "site": site,
        "language": language,
        "width": D_SAE,
    }
    document |= {"sae": sae} if sae else {}
    write_json(path, "probe", document | {"conditions": {condition: result() for condition in CONDITIONS}})
    return path


def _probe_words(path: Path, language: str) -> Path:
    """Words that tell nothing; the prompt has none, and the whole caption tells all."""
    told = {"p": 0.7, "auroc": _score(0.48), "leaks": False, "because": None}
    none = {
        "p": None,
        "auroc": None,
        "leaks": None,
        "because": "what is read is the same for all train images",
    }
    whole = {"p": 0.0001, "auroc": _score(0.95), "leaks": True, "because": None}
    masked = {"prompt": 0, "caption": 240, "caption_whole": 0}
    conditions = {
        name: of | {"masked": masked[name]}
        for name, of in {"prompt": none, "caption": told, "caption_whole": whole}.items()
    }
    write_json(path, "probe", {"input": "words", "language": language, "conditions": conditions})
    return path


def _cross_lingual(
    path: Path, site: str, effects: dict[str, Path], rng: np.random.Generator, null: bool
) -> Path:
    results = []
    for condition in CONDITIONS:
        d = [rng.standard_normal(D_SAE) for _ in LANGUAGES]
        d[1] = d[1] if null else 0.8 * d[0] + 0.3 * d[1]
        chosen = np.abs(d[0]) > 0.7
        r = float(np.corrcoef(d[0], d[1])[0, 1])
        statement = {
            "r": r,
            "low": r - 0.1,
            "high": min(r + 0.1, 1.0),
            "reliability": [0.8, 0.7],
            "disattenuated": r,
            "null": {
                name: {"mean": 0.0, "q025": -0.2, "q95": 0.15, "q975": 0.2}
                | {"p": 0.6 if null else 0.002, "least_p": 0.001}
                for name in ("pairing", "labels")
            },
        }
        results.append(
            {
                "condition": condition,
                "languages": list(LANGUAGES),
                "images": {"female": 60, "male": 62},
                "groups": 122,
                "labels_disagree": 0,
                **{
                    family: {"tested": True, "because": None, "features": int(features)}
                    | {"pearson": statement, "spearman": statement}
                    for family, features in (("live", D_SAE), ("chosen", chosen.sum()))
                },
                "scatter": {
                    "feature": list(range(D_SAE)),
                    "d": [values.tolist() for values in d],
                    "chosen": chosen.tolist(),
                },
            }
        )
    write_json(
        path,
        "cross_lingual",
        {
            "sae": f"digest-joint-{site}",
            "site": site,
            "languages": list(LANGUAGES),
            "families": {"live": "live in both", "chosen": "significant on select"},
            "results": results,
        },
    )
    return path


def _dataset(path: Path) -> Path:
    counts = [
        {"split": split, "gender": gender, "category": category, "images": n, "rows": n}
        for split, n in (("train", 20), ("select", 5), ("test", 7))
        for gender in ("female", "male", "unknown")
        for category in ("guard", "nurse")
    ]
    table = {"images": 192, "agree": 180, "kappa": 0.9, "decided": 120, "decided_agree": 118}
    table |= {"kappa_decided": 0.97, "contradict": 2, "one_silent": 10, "table": {}}
    write_json(
        path,
        "dataset_summary",
        {
            "languages": list(LANGUAGES),
            "rows": 192,
            "images": 192,
            "gender_source": "column",
            "mask": "label_words",
            "splits": {"train": 0.6, "select": 0.2, "test": 0.2},
            "seed": 0,
            "counts": counts,
            "warnings": [],
            "quarantine": [{"image_id": "broken_7", "reason": "truncated PNG"}],
            "identical_images": [],
            "agreement": {
                "languages": [{"first": "en", "second": "ar"} | table],
                "column": [{"derived": "en"} | table, {"derived": "combined"} | table],
            },
            "lexicon_hits": {},
            "masked": {},
            "sources": {"captions": "captions.csv", "images": "images", "lexicons": {}},
        },
    )
    return path


def _stereotype(path: Path, rng: np.random.Generator, null: bool) -> Path:
    languages = {}
    for language in LANGUAGES:
        categories = {}
        for name, bias in PLANTED_BIAS[language].items():
            share = float(np.clip((0.5 if null else bias) + 0.03 * rng.standard_normal(), 0, 1))
            categories[name] = {
                "images": 12,
                "images_gendered": 11,
                "units": 11,
                "captions": 48,
                "captions_gendered": 40,
                "share": share,
                "low": max(0.0, share - 0.1),
                "high": min(1.0, share + 0.1),
                "p": 0.5 if null or abs(share - 0.5) < 0.1 else 0.001,
                "least_p": 2.0**-10,
                "q": 0.8 if null or abs(share - 0.5) < 0.1 else 0.002,
                "difference": {"value": share - 0.5, "low": share - 0.65, "high": share - 0.35}
                | {"p": 0.5 if null else 0.001, "least_p": 1e-4, "q": 0.8 if null else 0.002},
            }
        overall = {"gendered_rate": 0.83, "tied_rate": 0.01, "words_per_caption": 9.1, "images": 120}
        overall |= {"images_gendered": 110, "units": 110, "captions": 480, "captions_gendered": 400}
        languages[language] = {
            "overall": overall | {"share": 0.5, "low": 0.45, "high": 0.55, "p": 0.9, "least_p": 1e-4},
            "differences": {"p": 0.4 if null else 1e-4, "least_p": 1e-4},
            "categories": categories,
            "planted": {
                "shares": dict(PLANTED_BIAS[language]),
                "categories": len(categories),
                "r": 0.987,
                "r_low": 0.95,
                "r_high": 0.995,
                "mae": 0.0312,
            },
        }
    agreement = {"r": 0.97, "low": 0.9, "high": 0.99, "p": 0.0001}
    pair = {"languages": list(LANGUAGES), "categories": 10, "pearson": agreement, "spearman": agreement}
    write_json(path, "stereotype", {"alpha": 0.05, "languages": languages, "agreement": [pair]})
    return path


def by_site(files: dict[str, dict[str, Path]]) -> dict[str, Path]:
    """`{key}/{site}` -> path."""
    return {f"{key}/{site}": path for site, some in files.items() for key, path in some.items()}


def summarised(
    folder: Path, layers: dict[str, Path], level: float = 0.05, stereotype: Path | None = None
) -> dict[str, Path]:
    """The summary of these layers, as build_report takes it."""
    study_summary(layers=layers, level=level, stereotype=stereotype, out=folder / "summary.json")
    return {"": folder / "summary.json"}


def arguments(files: Files, folder: Path, **changed: Any) -> dict[str, Any]:
    """Arguments of build_report for `files`, with summaries and stand-in figures written to `folder`."""
    layers, figures = {}, {}
    picture = folder / "picture.png"
    Image.new("RGB", (30, 15), "white").save(picture)
    for site in files.quality:
        layers[site] = folder / f"{site}.json"
        layer_summary(**files.layer(site), out=layers[site])
        for name in ("training", "density", "decoder", "gender_features", "effect_sizes"):
            figures[f"{site}/{name}"] = picture
        figures |= {f"{corpus}/{site}/pareto": picture for corpus in files.sweeps[site]}
    figures |= dict.fromkeys(("quality", "probes", "sparse_probes", "robustness", "stereotype"), picture)
    return {
        "study": "small",
        "settings": {
            "languages": ["en", "ar"],
            "model": {"random_init": None},
            "text": None,
            "activations": {"dtype": "bfloat16"},
            "sae": {"k": 8, "lr": None},
            "note": "<b>bold</b>",
        },
        "source": {"name": "tiny Gemma-3", "revision": "abc"},
        "sections": names("crosslens.report.sections"),
        "captions": CAPTIONS_OF_FIGURES,
        "files": {
            "dataset_summary": {"": files.dataset},
            "summary": summarised(folder, layers, stereotype=files.stereotype),
            "features": folders(by_site(files.rankings)),
            "sweep": by_site(files.sweeps),
            "stereotype": {"": files.stereotype},
        },
        "figures": figures,
    } | changed


def with_files(given: dict[str, Any], **kinds: Any) -> dict[str, Any]:
    """The arguments with other files of some kinds; None: without those of the kind."""
    changed = given["files"] | kinds
    return given | {"files": {kind: files for kind, files in changed.items() if files is not None}}
