"""A small study of two languages on disk with an SAE of both, hostile texts among its captions, and the pages of its features."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import save_file
from world import Corpus, Token, tokens_of, write_corpus, write_dense_codes, write_promoted

from crosslens.explorer.dashboards import feature_dashboards
from crosslens.explorer.page.write import write_feature_pages
from crosslens.tables.documents import write_json, write_table

SITE, FEATURES, IMAGES = "4", 210, 40
DEEPER = "10"
"""A layer of which activations were measured alone."""
OWN = 12
"""Features of the SAE of each language."""
NURSE, TEMPLATE, DEAD, DENSE, DEEP = 0, 1, 2, 3, 205
"""Features: that fires on one word; on nothing of any text; nowhere; everywhere; one of a second file."""
HOSTILE = [
    "a nurse says <script>window.hacked=1</script> & <img src=x onerror=window.hacked=1>",
    "a nurse \u202eedirrevo ti\u202c turns \x00 and \x1b round",
    "a nurse " + "long" * 1100,
    "a nurse z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309a\u0310\u0311 👩‍⚕️ here nurse",
]
ARABIC = ["هذه ممرضةٌ في المطبخ", "هذا مهندس في السوق", "طبيبة تحمل كتابا أحمر", "رجل يقرأ في المدرسة"]
ENGLISH = [
    "a nurse holds a red book",
    "an engineer in the market",
    "a doctor carries a green bag",
    "a man reads at school",
]


PAGE = {"study": "s", "neuronpedia": {}, "pages": None, "live": True}
PAGE |= {"sections": [["attention", "Attention"], ["patching", "Patched states"]]}
WORDS = [{"condition": "caption", "language": language, "masked": 3} for language in ("en", "ar")]
"""Label words are masked."""


@dataclass
class Explored:
    """What was written, and the folder of pages."""

    corpora: dict[str, Corpus]
    codes: dict[str, np.ndarray]
    """Language to (M, F) float32, a row a token of the table."""
    decoder: np.ndarray
    effects: dict[str, pd.DataFrame]
    dashboards: Path
    pages: Path
    pictures: Path
    given: dict[str, Any]
    """Of write_feature_pages."""

    def data(self, name: str):
        """What a file of data hands to the page."""
        text = (self.pages / "data" / f"{name}.js").read_text(encoding="utf-8")
        start = f"Explorer.give({json.dumps(name)},"
        assert text.startswith(start) and text.endswith(");\n")
        return json.loads(text[len(start) : -3])


def write_explored(folder: Path) -> Explored:
    """All of it, below `folder`."""
    rng = np.random.default_rng(5)
    pictures = folder / "images"
    pictures.mkdir(parents=True)
    for i in range(IMAGES):
        colour = tuple(int(x) for x in rng.integers(0, 256, 3))
        Image.new("RGB", (160, 80), colour).save(pictures / f"image_{i:02d}.png")
    decoder = rng.standard_normal((FEATURES, 8)).astype(np.float32)
    decoder[7] = 2 * decoder[5]
    sae = folder / "sae"
    sae.mkdir()
    save_file({"W_dec": decoder, "W_enc": decoder.T.copy()}, sae / "sae_weights.safetensors")
    digest = hashlib.sha256((sae / "sae_weights.safetensors").read_bytes()).hexdigest()
    captions = {"en": ENGLISH, "ar": ARABIC}
    corpora, codes, effects = {}, {}, {}
    files: dict[str, dict[str, Path]] = {"dataset": {}, "features": {}, "gender": {}}
    for language in captions:
        rows, samples = _samples(captions[language], HOSTILE if language == "en" else [], pictures)
        count = sum(map(len, samples.values()))
        place = folder / language
        corpora[language] = write_corpus(
            place, pd.DataFrame(rows), samples, rng.standard_normal((count, 8)), language=language, parts=2
        )
        codes[language] = _codes(corpora[language], rows, rng)
        path = write_dense_codes(
            place / "codes.zarr",
            codes[language],
            sae=digest,
            roles=["special", "image", "prompt", "caption"],
            language=language,
        )
        corpora[language].codes = path
        files["dataset"][language] = corpora[language].dataset
        files["features"][f"joint/{language}/{SITE}"] = _statistics(
            place / "features", codes[language], digest
        )
        gender = place / "gender"
        effects[language] = _effects(gender, digest, rng)
        files["gender"][f"joint/{language}/{SITE}"] = gender
    dashboards = folder / "dashboards"
    feature_dashboards(
        datasets=files["dataset"],
        tokens={language: corpus.tokens for language, corpus in corpora.items()},
        codes={language: corpus.codes for language, corpus in corpora.items()},
        sae=sae,
        corpus="joint",
        examples=5,
        seed=0,
        out=dashboards,
    )
    files["dashboards"] = {f"joint/{SITE}": dashboards}
    files["sharing"] = {f"joint/{SITE}": _sharing(folder / "sharing", digest, rng)}
    told = {NURSE: {"promoted": [" she", "<b>"], "suppressed": [" he"]}}
    files["promoted"] = {f"joint/{SITE}": write_promoted(folder / "promoted", told, sae=digest)}
    files |= _told_of_nurse(folder / "told", digest)
    own = {
        language: _own_sae(
            folder / f"own_{language}", language, corpora[language], codes[language], decoder, files
        )
        for language in captions
    }
    files["matching"] = {SITE: _matching(folder / "matching", own)}
    files["summary"] = {"": folder / "summary.json"}
    write_json(
        files["summary"][""],
        "summary",
        {
            "sites": [SITE, DEEPER],
            "level": 0.05,
            "claims": [],
            "records": _labels(digest) | {"words": WORDS} | compared(digest),
        },
    )
    shown = {kind: {key: f"results/s/{kind}/{key}" for key in of} for kind, of in files.items()}
    pages = folder / "report" / "features"
    given = PAGE | {"files": files, "shown": shown, "images": pictures}
    write_feature_pages(**given, out=pages)
    return Explored(corpora, codes, decoder, effects, dashboards, pages, pictures, given)


def _told_of_nurse(folder: Path, sae: str) -> dict[str, dict[str, Path]]:
    """What interventions, other seeds and other views of the SAE of both say of NURSE; fields as in docs/storage.md."""
    for name in ("steering", "feature_patching"):
        (folder / name).mkdir(parents=True)
    arm = {
        "method": "effect",
        "found_in": "both",
        "strength": 2.0,
        "moved": {"value": 0.123, "low": 0.05, "high": 0.2},
    }
    arm |= {
        "changes": True,
        "random": {"same_length": {"p": 0.0025}},
        "features": [{"feature": NURSE, "sign": 1}],
    }
    write_json(folder / "steering/steering.json", "steering", {"sae": sae, "of": {"en": {"arms": [arm]}}})
    cost = {"en": {"value": 0.31, "low": 0.1, "high": 0.5}, "ar": {"value": 0.01, "low": None, "high": None}}
    ablated = {"feature": NURSE, "role": "specific", "language": "en", "beside": NURSE, "cost": cost}
    pair = {"languages": ["en", "ar"], "features": [ablated]}
    write_json(folder / "ablation.json", "ablation", {"sae": sae, "pairs": [pair]})
    single = {
        "swap": "gender",
        "language": "en",
        "positions": "words",
        "chosen": "attributed",
        "feature": NURSE,
    }
    single |= {"recovery": {"n": 9, "value": 0.42, "low": 0.3, "high": 0.5}, "ig": 0.77}
    write_json(
        folder / "feature_patching/features.json", "feature_patching", {"sae": sae, "single": [single]}
    )
    views = [
        {"view": "max", "kind": "reading", "gendered": True},
        {"view": "last", "kind": "reading", "gendered": False},
    ]
    named = {"feature": NURSE, "side": "female", "confirmed": True, "views": views}
    conditions = {"caption": {"named": [named]}}
    write_json(folder / "robustness.json", "gender_robustness", {"sae": sae, "conditions": conditions})
    others = {
        "other": ["seed_1", "seed_2"],
        "sae": sae,
        "other_sae": "f" * 64,
        "feature": NURSE,
        "partner": [5, 6],
    }
    others |= {"decoder_cosine": [0.9, 0.3], "encoder_cosine": [0.8, 0.2]}
    write_table(folder / "counterparts.parquet", "counterparts", pd.DataFrame(others))
    places = {"steering": "steering", "feature_patching": "feature_patching", "ablation": "ablation.json"}
    places |= {"counterparts": "counterparts.parquet"}
    told = {kind: {f"joint/{SITE}": folder / place} for kind, place in places.items()}
    return told | {"gender_robustness": {f"joint/en/{SITE}": folder / "robustness.json"}}


def _own_sae(
    folder: Path,
    language: str,
    corpus: Corpus,
    codes: np.ndarray,
    decoder: np.ndarray,
    files: dict[str, dict[str, Path]],
) -> str:
    """An SAE of one language alone, the first OWN features of that of both: adds its files, gives its digest."""
    sae, own = folder / "sae", codes[:, :OWN]
    sae.mkdir(parents=True)
    rows = decoder[:OWN] * np.float32(2 if language == "en" else 3)
    save_file({"W_dec": rows, "W_enc": rows.T.copy()}, sae / "sae_weights.safetensors")
    digest = hashlib.sha256((sae / "sae_weights.safetensors").read_bytes()).hexdigest()
    roles = ["special", "image", "prompt", "caption"]
    path = write_dense_codes(folder / "codes.zarr", own, sae=digest, roles=roles, language=language)
    given = {
        "datasets": {language: corpus.dataset},
        "tokens": {language: corpus.tokens},
        "codes": {language: path},
    }
    feature_dashboards(**given, sae=sae, corpus=language, examples=5, seed=0, out=folder / "dashboards")
    files["dashboards"][f"{language}/{SITE}"] = folder / "dashboards"
    files["features"][f"{language}/{language}/{SITE}"] = _statistics(folder / "features", own, digest)
    return digest


def _matching(folder: Path, saes: dict[str, str]) -> Path:
    """Each feature of the one with the next of the other."""
    folder.mkdir()
    pair = {"languages": list(saes), "saes": list(saes.values())}
    write_json(folder / "matching.json", "matching", {"site": SITE, "pairs": [pair]})
    table = {"first": "en", "second": "ar", "feature": np.arange(OWN - 1), "partner": np.arange(1, OWN)}
    table |= {
        "decoder_cosine": 0.8,
        "encoder_cosine": 0.75,
        "shared": np.arange(OWN - 1) == NURSE,
        "r": 0.5,
        "q": 0.01,
    }
    write_table(folder / "pairs.parquet", "feature_matching", pd.DataFrame(table))
    return folder


def _samples(
    captions: list[str], hostile: list[str], pictures: Path
) -> tuple[list[dict], dict[str, list[Token]]]:
    """Rows and tokens: a template token, two of a picture, a prompt, the caption's words."""
    before = [Token("special"), Token("image"), Token("image"), *tokens_of("prompt", ["say", "it"])]
    rows, samples = [], {}
    for i in range(IMAGES):
        caption = hostile[i] if i < len(hostile) else f"{captions[i % len(captions)]} {i}"
        file = pictures / f"image_{i:02d}.png"
        rows.append(
            {
                "sample_id": f"image_{i:02d}#0",
                "image_id": f"image_{i:02d}",
                "caption": caption,
                "prompt": "say it",
                "gender": ("female", "male", "unknown")[i % 3],
                "category": "nurse" if i % 2 else "engineer & co",
                "image": file.name,
                "image_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "split": "select" if i % 5 == 4 else "test",
                "label_spans": "[]",
            }
        )
        samples[rows[-1]["sample_id"]] = before + tokens_of("caption", caption.split(" "))
    return rows, samples


def _codes(corpus: Corpus, rows: list[dict], rng: np.random.Generator) -> np.ndarray:
    table, caption_of = corpus.table, {row["sample_id"]: row["caption"] for row in rows}
    z = rng.gamma(2.0, 1.0, (len(table), FEATURES)) * (rng.random((len(table), FEATURES)) < 0.02)
    z[:, [NURSE, TEMPLATE, DEAD]] = 0
    z[:, DENSE] = rng.gamma(2.0, 1.0, len(table)) + 0.1
    for t in range(len(table)):
        words = caption_of[table.sample_ids[table.sample[t]]][table.char_start[t] : table.char_end[t]]
        if words in ("nurse", "ممرضةٌ"):
            z[t, NURSE] = 3 + rng.random()
    z[table.has_role(["special", "image"]), TEMPLATE] = 2.5
    return z.astype(np.float32)


def _statistics(folder: Path, codes: np.ndarray, sae: str) -> Path:
    """Columns of kind `features` that the pages read, of codes of all tokens."""
    folder.mkdir()
    fires = codes > 0
    table = {"feature": np.arange(codes.shape[1], dtype=np.int32), "live": fires.any(axis=0)}
    for scope in ("test", "test_female", "test_male"):
        table |= {
            f"{scope}_token_frequency": fires.mean(axis=0),
            f"{scope}_sample_frequency": fires.mean(axis=0),
            f"{scope}_mean_active": np.where(
                fires.any(axis=0), codes.sum(axis=0) / fires.sum(axis=0).clip(1), np.nan
            ),
            f"{scope}_max": codes.max(axis=0).astype(float),
        }
    table["test_selectivity"] = np.linspace(0, 1, codes.shape[1])
    write_table(folder / "features.parquet", "features", pd.DataFrame(table))
    specialist = {
        "category": "<i>nurse</i>",
        "feature": NURSE,
        "specialist": True,
        "inside": 8,
        "n_inside": 9,
    }
    specialists = {"features": [specialist | {"outside": 1, "n_outside": 30, "q": 0.01}]}
    write_json(folder / "rankings.json", "rankings", {"sae": sae, "specialists": specialists})
    return folder


def _effects(folder: Path, sae: str, rng: np.random.Generator) -> pd.DataFrame:
    """Of select and test, three verdicts in turn: both, test alone, neither; the dead one is not live."""
    folder.mkdir()
    tables = []
    for split in ("select", "test"):
        turn = np.arange(FEATURES) % 3
        significant = turn == 0 if split == "select" else turn < 2
        d = np.where(significant, 1.0, 0.1) * np.where(np.arange(FEATURES) % 2, -1, 1) + 0.01 * rng.random(
            FEATURES
        )
        table = {
            "feature": np.arange(FEATURES),
            "condition": "caption",
            "split": split,
            "n_female": 10,
            "n_male": 12,
        }
        table |= {
            "d": d,
            "d_low": d - 0.3,
            "d_high": d + 0.3,
            "z": 3 * d,
            "auroc": 0.5 + d / 4,
            "p": 0.01,
            "q": 0.02,
        }
        table |= {"mean_female": 1.0, "mean_male": 1.0, "live": np.arange(FEATURES) != DEAD}
        tables.append(pd.DataFrame(table | {"testable": True, "significant": significant}))
    both = pd.concat(tables, ignore_index=True)
    write_table(folder / "effects.parquet", "gender_effects", both)
    write_json(folder / "gender.json", "gender", {"sae": sae})
    return both


def _sharing(folder: Path, sae: str, rng: np.random.Generator) -> Path:
    folder.mkdir()
    table = {
        "feature": np.arange(FEATURES),
        "first": "en",
        "second": "ar",
        "shared": np.arange(FEATURES) % 2 == 0,
    }
    table["specific"] = np.where(np.arange(FEATURES) % 10 == 3, "ar", "")
    for name in ("r", "q_shared", "token_selectivity", "q_specific", "token_rate_first", "token_rate_second"):
        table[name] = rng.random(FEATURES)
    write_table(folder / "features.parquet", "feature_sharing", pd.DataFrame(table))
    write_json(folder / "sharing.json", "sharing", {"sae": sae})
    return folder


def compared(sae: str) -> dict[str, list[dict]]:
    """Records of what layers are compared by: of SITE with its SAE, of DEEPER of activations alone."""
    joint = {"corpus": "joint", "site": SITE, "sae": sae}
    saes, gender, rankings, probes = [], [], [], []
    for i, language in enumerate(("en", "ar")):
        of = joint | {"language": language}
        gates = [{"gate": "alive", "passed": not i, "says": "1 of 3 alive"}]
        saes.append(
            of
            | {"d_sae": FEATURES, "live": FEATURES - 1, "dead": 1, "l0": 4.5 + i, "ev": 0.9, "pca": 0.8}
            | {"ce_recovered": None, "gates": gates}
        )
        first = {"feature": NURSE, "d": 1.25, "d_low": 1.0, "d_high": 1.5, "confirmed": True}
        test = {"q_family": "gendered_features", "q": 0.01, "reachable": not i}
        gender.append(
            of
            | {
                "condition": "caption",
                "testable": 20,
                "significant": 7,
                "confirmed": 5,
                "null": {"mean": 0.5},
            }
            | {"top_female": [first], "top_male": []}
            | test
        )
        ranked = {"first": {"strongest": DENSE, "composite": NURSE}, "categories": 2, "specialists": 1}
        rankings.append(of | ranked | {"specialists_by_chance": 0.4, "q_family": None, "q": None})
        for site, auroc in ((SITE, 0.9), (DEEPER, 0.75)):
            probe = {"corpus": "activations", "language": language, "condition": "caption", "site": site}
            numbers = {"auroc": auroc, "auroc_low": auroc - 0.1, "auroc_high": auroc + 0.1, "control": 0.5}
            probes.append(probe | numbers | {"width": 8, "q_family": "probes", "q": 0.002, "reachable": True})
    specialist = joint | {"language": "en", "feature": NURSE, "score": 7, "n_inside": 9, "specialist": True}
    return {
        "saes": saes,
        "gender": gender,
        "rankings": rankings,
        "probes": probes,
        "specialists": [specialist | {"category": "<i>nurse</i>"}],
    }


def _labels(sae: str) -> dict[str, list[dict]]:
    """One label that tells, one that does not."""
    row = {
        "sae": sae,
        "method": "ngrams",
        "language": "en",
        "accuracy": 0.9,
        "accuracy_low": 0.8,
        "accuracy_high": 0.95,
    }
    row |= {"shuffled": 0.5, "pairs": 20, "because": None}
    told = [
        {"feature": NURSE, "label": "nurse <u>", "q": 0.001},
        {"feature": DENSE, "label": "nothing", "q": 0.9},
    ]
    return {"descriptions": [row | {"p": one["q"]} | one for one in told]}
