"""A study in which nothing has a gender, through the real analyses to the real headlines of the page."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from world import Corpus, World, tokens_of, write_corpus, write_dense_codes, write_promoted

from crosslens.alignment.dictionaries import digest_of
from crosslens.alignment.matching import match_features
from crosslens.alignment.retrieval import caption_retrieval
from crosslens.alignment.sharing import feature_sharing
from crosslens.descriptions.examples import choose_examples
from crosslens.descriptions.ngrams import label_by_ngrams
from crosslens.descriptions.scores import score_labels
from crosslens.features.statistics import feature_statistics
from crosslens.gender.agreed import agreed
from crosslens.gender.cross_lingual import cross_lingual_bias
from crosslens.gender.effects import gender_effects
from crosslens.gender.probes import probe_activations, probe_codes
from crosslens.gender.stereotype import measure_stereotype
from crosslens.gender.transfer import gender_transfer
from crosslens.gender.words import measure_words
from crosslens.registry import member
from crosslens.report.sections.base import Results
from crosslens.report.words import PICTURES
from crosslens.sae.io import save_sae
from crosslens.sae.model import ReLUSAE
from crosslens.stats.shuffles import SPECIALISTS
from crosslens.summary.reading import Document
from crosslens.summary.study import study_summary
from crosslens.tables.alone import write_alone
from crosslens.tables.documents import read_json, write_json, write_table

IMAGES, WIDTH, FEATURES, CATEGORIES = 120, 10, 30, 6
CONDITIONS = ["prompt", "caption"]
SITES = ("4",)
THRESHOLD = 0.7
PERMUTATIONS = 999
"""As in a study by default: enough for a claim of a family to be made after all corrections."""
LANGUAGES = ("en", "ar")
SENTENCES = 30
VOCABULARY = "red blue old new big small book chair street house".split()
LEXICONS = Path(__file__).parents[2] / "resources/lexicons"
SECTIONS = (
    *("gender", "stereotype", "transfer", "retrieval", "cross_lingual", "rankings"),
    *("sharing", "matching", "agreement", "descriptions"),
)


def headlines(
    folder: Path,
    seed: int,
    *,
    effect: float = 0.0,
    categories: float = 0.0,
    alike: bool = True,
    sites: tuple[str, ...] = SITES,
) -> tuple[dict[str, list[str]], list[str]]:
    """Section -> titles of its positive findings, and the claims made, of a study drawn with that seed in an empty `folder`.

    Images have features that both languages see behind prompt and caption (`alike`), or each language sees others, and a
    gender and a category that show in nothing: in no token, word or caption. What a caption says without its picture is noise,
    and so is what a model goes on with behind a sentence, or says of features. There is an SAE of both languages and one of
    each. To see that the headlines can be made at all: with an effect women are that far from men on the first channel, and
    one language from the other on the last, captions of an image say the same in both languages, of which the image itself
    is less, the SAEs of both languages have the same features, a model says the truth, and what is written of all categories
    but one is "man"; with categories each of them is that far from the others on a channel of its own.
    """
    rng = np.random.default_rng(seed)
    frame = _frame(rng)
    images = {language: rng.normal(size=(IMAGES, WIDTH)) * (0.3 if effect else 1.0) for language in LANGUAGES}
    if alike:
        images["ar"] = images["en"].copy()
    for image in images.values():
        image[:, 0] += effect * (frame["gender"] == "female").to_numpy()
        image[:, 1 : 1 + CATEGORIES] += categories * np.eye(CATEGORIES)[np.arange(IMAGES) // 2 % CATEGORIES]
    layers = {site: _layer(folder / site, frame, images, site, seed, rng, effect) for site in sites}
    stereotype = _stereotype(folder, rng, seed, effect)
    agreement = {
        language: _agreement(folder / language, language, rng, seed, effect) for language in LANGUAGES
    }
    out = {name: folder / f"{name}.json" for name in ("summary", "dataset")}
    study_summary(layers=layers, level=0.05, stereotype=stereotype, agreement=agreement, out=out["summary"])
    write_json(out["dataset"], "dataset_summary", {"gender_source": "column"})
    summary, dataset = (
        Document(out[name], kind) for name, kind in (("summary", "summary"), ("dataset", "dataset_summary"))
    )
    files = {
        "stereotype": {"": stereotype},
        "agreement": {language: path.parent for language, path in agreement.items()},
        "features": {
            f"joint/{language}/{site}": folder / site / f"features_joint_{language}"
            for site in sites
            for language in LANGUAGES
        },
        "descriptions": {f"joint/{site}": folder / site / "descriptions.json" for site in sites},
    }
    words = PICTURES | {"Units": "Pictures", "units": "pictures", "Resampled": "Pictures"}
    results = Results("null", {"sae": {}}, {}, files, {}, summary, dataset, words)
    made = {}
    for name in SECTIONS:
        section = member("crosslens.report.sections", name).section(results)
        made[name] = [finding.title for finding in section.findings if finding.kind == "found"]
    claims = [claim["claim"] for claim in summary("claims") if claim["holds"]]
    shutil.rmtree(folder)
    return made, claims


def _frame(rng: np.random.Generator) -> pd.DataFrame:
    ids = [f"i{i:03d}" for i in range(IMAGES)]
    captions = [" ".join(rng.choice(VOCABULARY, 3, replace=False)) for _ in ids]
    # women and men alternate, categories go by pairs, and a split has whole blocks of all of them
    split = np.array(["train", "select", "test", "train", "test"])[np.arange(IMAGES) // (2 * CATEGORIES) % 5]
    return pd.DataFrame(
        {"sample_id": [f"{i}#0" for i in ids], "image_id": ids, "row": np.arange(IMAGES), "caption": captions}
        | {"prompt": "x y", "gender": np.array(["female", "male"])[np.arange(IMAGES) % 2], "group": ids}
        | {"category": [f"c{i // 2 % CATEGORIES}" for i in range(IMAGES)], "split": split}
        | {"gender_source": "column", "image": "", "image_sha256": "", "label_spans": "[]"}
    )


def _layer(
    folder: Path,
    frame: pd.DataFrame,
    images: dict[str, np.ndarray],
    site: str,
    seed: int,
    rng: np.random.Generator,
    effect: float,
) -> Path:
    """Every analysis of one site as flat records, JSON of kind layer."""
    folder.mkdir(parents=True)
    encoders = {
        corpus: rng.normal(size=(WIDTH, FEATURES)) / np.sqrt(WIDTH) for corpus in ("joint", *LANGUAGES)
    }
    if effect:
        encoders["ar"] = encoders["en"][:, rng.permutation(FEATURES)]
    saes = {
        corpus: _sae(folder / f"sae_{corpus}", encoder, corpus, site) for corpus, encoder in encoders.items()
    }
    samples = {
        sample: tokens_of("prompt", ["x", "y", "z"]) + tokens_of("caption", caption.split())
        for sample, caption in zip(frame["sample_id"], frame["caption"], strict=True)
    }
    worlds = {corpus: World() for corpus in encoders}
    alone, said = {}, bool(effect) * rng.normal(size=(IMAGES, WIDTH))
    for language in LANGUAGES:
        x = images[language][:, None] + rng.normal(size=(IMAGES, 6, WIDTH))
        x[:, 3:] += said[:, None]
        x[:, :, -1] += effect * (language == "en")
        x = x.reshape(-1, WIDTH)
        of = write_corpus(folder, frame, samples, x, language=language, site=site)
        for corpus in ("joint", language):
            codes = np.maximum(x @ encoders[corpus] - THRESHOLD, 0).astype(np.float32)
            stored = {"sae": digest_of(saes[corpus]), "language": language, "site": site}
            path = folder / f"codes_{corpus}_{language}.zarr"
            worlds[corpus][language] = replace(
                of, codes=write_dense_codes(path, codes, roles=("prompt", "caption"), **stored)
            )
        alone[language] = [folder / f"{language}_alone.zarr"]
        words = (said + rng.normal(size=(IMAGES, WIDTH))).astype(np.float32)
        identity = {"site": site, "layer": int(site), "model": "toy", "revision": "1", "language": language}
        write_alone(alone[language][0], words, frame["sample_id"], sinks=0, **identity)
    files = _analysed(folder, worlds, saes, alone, seed, effect)
    summary = {"site": site}
    for kind, of in files.items():
        for name, records in member("crosslens.summary.records", kind).records({kind: of}).items():
            summary.setdefault(name, []).extend(records)
    write_json(folder / "layer.json", "layer", summary)
    return folder / "layer.json"


def _sae(folder: Path, encoder: np.ndarray, corpus: str, site: str) -> Path:
    """Features that fire above THRESHOLD along the columns of encoder (d, F), which they write back."""
    sae = ReLUSAE(*encoder.shape)
    sae.W_enc.copy_(torch.from_numpy(encoder))
    sae.W_dec.copy_(torch.from_numpy((encoder / np.linalg.norm(encoder, axis=0)).T))
    sae.b_enc.fill_(-THRESHOLD)
    save_sae(
        folder, sae, identity={"corpus": corpus, "site": site, "seed": "0", "model": "toy", "revision": None}
    )
    return folder


def _analysed(
    folder: Path,
    worlds: dict[str, World],
    saes: dict[str, Path],
    alone: dict[str, list[Path]],
    seed: int,
    effect: float,
) -> dict[str, dict[str, Path]]:
    study, both = worlds["joint"], {"conditions": CONDITIONS, "seed": seed}
    files = {name: {} for name in ("gender", "features", "probe_codes", "probe_activations", "probe_words")}
    for corpus, world in worlds.items():
        for language, of in world.items():
            _of_an_sae(folder, corpus, language, of, both, files)
    for language, of in study.items():
        read, out = (
            {"dataset": of.dataset, "tokens": of.tokens},
            {n: folder / f"{n}_{language}.json" for n in ("activations", "words")},
        )
        probe_activations(**read, activations=of.activations, **both, out=out["activations"])
        measure_words(dataset=of.dataset, language=language, alpha=0.05, **both, out=out["words"])
        files["probe_activations"][language], files["probe_words"][language] = (
            out["activations"],
            out["words"],
        )

    def of_all(kind: str, name: str, corpora: dict[str, str]) -> dict[str, Path]:
        return {language: files[kind][f"{corpus}/{language}"] / name for language, corpus in corpora.items()}

    joint, own = dict.fromkeys(LANGUAGES, "joint"), {language: language for language in LANGUAGES}
    coded = {"datasets": study.datasets, "tokens": study.tokens, "codes": study.codes}
    effects = of_all("gender", "effects.parquet", joint)
    cross_lingual_bias(
        effects=effects, **coded, permutations=PERMUTATIONS, bootstraps=20, **both, out=folder / "cross.json"
    )
    gender_transfer(**study.inputs, permutations=PERMUTATIONS, **both, out=folder / "transfer.json")
    caption_retrieval(**study.inputs, alone=alone, seed=seed, out=folder / "retrieval.json")
    tested = {"alpha": 0.05, "seed": seed, "out_table": folder / "features.parquet"}
    feature_sharing(
        **coded, activations=study.activations, sae=saes["joint"], **tested, out=folder / "sharing.json"
    )
    match_features(
        saes={language: {"0": saes[language]} for language in LANGUAGES},
        frozen={},
        features={
            language: folder / f"features_{language}_{language}/features.parquet" for language in LANGUAGES
        },
        effects=of_all("gender", "effects.parquet", own),
        **coded | {"codes": {language: worlds[language][language].codes for language in LANGUAGES}},
        **tested,
        out=folder / "matching.json",
    )
    choose_examples(
        **coded,
        statistics=of_all("features", "features.parquet", joint),
        gender=of_all("gender", "gender.json", joint),
        promoted=write_promoted(
            folder / "promoted", {0: {"promoted": ["word"]}}, sae=digest_of(saes["joint"])
        ),
        corpus="joint",
        features=FEATURES,
        examples=3,
        held_out=20,
        seed=seed,
        out=folder / "described.json",
    )
    label_by_ngrams(described=folder / "described.json", **coded, out=folder / "ngrams.json")
    score_labels(
        described=folder / "described.json",
        ngrams=folder / "ngrams.json",
        **_asked(folder, np.random.default_rng(seed), effect),
        out=folder / "descriptions.json",
    )
    one = {
        "cross_lingual": {"joint": "cross.json"},
        "gender_transfer": {"": "transfer.json"},
        "retrieval": {"": "retrieval.json"},
        "sharing": {"joint": ""},
        "matching": {"": ""},
        "descriptions": {"joint": "descriptions.json"},
    }
    return files | {kind: {key: folder / name for key, name in of.items()} for kind, of in one.items()}


def _of_an_sae(folder: Path, corpus: str, language: str, of: Corpus, both: dict, files: dict) -> None:
    """Gender effects of one SAE's codes of one language, and of the SAE of all statistics and probes, told in `files`."""
    read, key = {"dataset": of.dataset, "tokens": of.tokens, "codes": of.codes}, f"{corpus}/{language}"
    gender, ranked = (folder / f"{name}_{corpus}_{language}" for name in ("gender", "features"))
    gender.mkdir()
    ranked.mkdir()
    gender_effects(
        **read,
        **both,
        alpha=0.05,
        permutations=PERMUTATIONS,
        language=language,
        out_table=gender / "effects.parquet",
        out=gender / "gender.json",
    )
    feature_statistics(
        **read,
        language=language,
        top_examples=1,
        seed=both["seed"],
        permutations=SPECIALISTS if corpus == "joint" else 1,
        out_table=ranked / "features.parquet",
        out=ranked / "rankings.json",
    )
    files["gender"][key] = gender
    if corpus == "joint":
        probe = folder / f"probe_{corpus}_{language}.json"
        probe_codes(**read, **both, out=probe)
        files["features"][key], files["probe_codes"][key] = ranked, probe


def _asked(folder: Path, rng: np.random.Generator, effect: float) -> dict[str, Path]:
    """Labels of a model, and what it says by a fair coin of the texts that it is asked for; with an effect the truth."""
    document = read_json(folder / "described.json", "described")
    told = {name: document[name] for name in ("corpus", "languages", "site", "sae")}
    told |= {"model": "coin", "answered_by": ["coin"], "prompts": 1, "unanswered": 0}
    labels, asked = [], []
    for entry in document["features"]:
        labels.append({"feature": entry["feature"], "answer": '{"label": "heads"}'})
        for language, of in entry["languages"].items():
            says = [text["fires"] if effect else bool(rng.integers(2)) for text in of["held_out"]]
            answer = json.dumps({"matches": [number for number, yes in enumerate(says, 1) if yes]})
            asked.append(
                {"feature": entry["feature"], "of": entry["feature"], "language": language}
                | {"start": 0, "texts": len(says), "answer": answer}
            )
    out = {name: folder / f"{name}.json" for name in ("labels", "detections")}
    write_json(out["labels"], "asked_labels", told | {"features": labels})
    write_json(out["detections"], "asked_detections", told | {"asked": asked})
    return out


def _agreement(folder: Path, language: str, rng: np.random.Generator, seed: int, effect: float) -> Path:
    """What a model goes on with behind SENTENCES sentences of one or two words each, in two genders."""
    sentence = np.repeat(np.arange(SENTENCES), rng.integers(1, 3, size=SENTENCES))
    odds = rng.normal(size=(2, len(sentence))) + rng.normal(size=SENTENCES)[sentence]
    targets = pd.DataFrame(
        {"group": [f"s{number}" for number in sentence], "split": "test"}
        | dict.fromkeys(("before", "distance", "pieces_female", "pieces_male"), 1)
        | {"log_odds_female": odds[0] + effect, "log_odds_male": odds[1], "log_odds_alone": 0.0}
    )
    of = agreed(targets, alpha=0.05, bootstraps=20, seed=seed, stream_name=language)
    folder.mkdir(parents=True)
    document = {"language": language, "sentences": SENTENCES, "left_out": {}, "of": {"all": of, "test": of}}
    write_json(folder / "agreement.json", "agreement", document)
    return folder / "agreement.json"


def _stereotype(folder: Path, rng: np.random.Generator, seed: int, effect: float) -> Path:
    """Captions of 48 pictures, four each, that say woman or man by a fair coin, or of the last category by none."""
    words, generated = {"en": ("a woman", "a man"), "ar": ("امرأة", "رجل")}, {}
    for language, both in words.items():
        rows = [
            (f"i{i:03d}#{k}", f"i{i:03d}", f"i{i:03d}", f"c{i % CATEGORIES}", k)
            + (both[rng.integers(2) if not effect or i % CATEGORIES == 5 else 1], "[1]")
            for i in range(48)
            for k in range(4)
        ]
        columns = ["sample_id", "image_id", "group", "category", "draw", "text", "tokens"]
        table = pd.DataFrame(rows, columns=columns)
        table["tokens"] = table["tokens"].map(json.loads)
        generated[language] = folder / f"generated_{language}.parquet"
        write_table(generated[language], "generated", table)
    measure_stereotype(
        generated=generated,
        lexicons={language: LEXICONS / f"gender_{language}.yaml" for language in generated},
        truth=None,
        bootstraps=20,
        alpha=0.05,
        seed=seed,
        out=folder / "stereotype.json",
    )
    return folder / "stereotype.json"
