"""A study in which nothing has a gender, through the real analyses to the real headlines of the page."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from world import World, tokens_of, write_corpus, write_dense_codes

from crosslens.alignment.retrieval import caption_retrieval
from crosslens.features.statistics import feature_statistics
from crosslens.gender.cross_lingual import cross_lingual_bias
from crosslens.gender.effects import gender_effects
from crosslens.gender.probes import probe_activations, probe_codes
from crosslens.gender.stereotype import measure_stereotype
from crosslens.gender.transfer import gender_transfer
from crosslens.gender.words import measure_words
from crosslens.registry import member
from crosslens.report.sections.base import Results
from crosslens.report.words import PICTURES
from crosslens.summary.reading import Document
from crosslens.summary.study import study_summary
from crosslens.tables.alone import write_alone
from crosslens.tables.documents import write_json, write_table

IMAGES, WIDTH, FEATURES, CATEGORIES = 120, 10, 30, 6
CONDITIONS = ["prompt", "caption"]
SITES = ("4",)
PERMUTATIONS = 999
"""As in a study by default: enough for a claim of a family to be made after all corrections."""
SAE = "a" * 64
VOCABULARY = "red blue old new big small book chair street house".split()
LEXICONS = Path(__file__).parents[2] / "resources/lexicons"
SECTIONS = ("gender", "stereotype", "transfer", "retrieval", "cross_lingual", "rankings")


def headlines(
    folder: Path, seed: int, *, effect: float = 0.0, categories: float = 0.0, sites: tuple[str, ...] = SITES
) -> tuple[dict[str, list[str]], list[str]]:
    """Section -> titles of its positive findings, and the claims made, of a study drawn with that seed in an empty `folder`.

    Images have features that both languages see behind prompt and caption, and a gender and a category that show in
    nothing: in no token, word or caption. What a caption says without its picture is noise. To see that the headlines can
    be made at all: with an effect women are that far from men on the first channel, captions of an image say the same in
    both languages, of which the image itself is less, and what is written of all categories but one is "man"; with
    categories each of them is that far from the others on a channel of its own.
    """
    rng = np.random.default_rng(seed)
    frame, image = _frame(rng), rng.normal(size=(IMAGES, WIDTH)) * (0.3 if effect else 1.0)
    image[:, 0] += effect * (frame["gender"] == "female").to_numpy()
    image[:, 1 : 1 + CATEGORIES] += categories * np.eye(CATEGORIES)[np.arange(IMAGES) // 2 % CATEGORIES]
    layers = {site: _layer(folder / site, frame, image, site, seed, rng, effect) for site in sites}
    stereotype = _stereotype(folder, rng, seed, effect)
    study_summary(layers=layers, level=0.05, stereotype=stereotype, out=folder / "summary.json")
    write_json(folder / "dataset.json", "dataset_summary", {"gender_source": "column"})
    summary, dataset = (
        Document(folder / f"{n}.json", k) for n, k in (("summary", "summary"), ("dataset", "dataset_summary"))
    )
    features = {
        f"joint/{language}/{site}": folder / site / f"features_{language}"
        for site in sites
        for language in ("en", "ar")
    }
    files = {"stereotype": {"": stereotype}, "features": features}
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
    image: np.ndarray,
    site: str,
    seed: int,
    rng: np.random.Generator,
    effect: float,
) -> Path:
    """Every analysis of one site as flat records, JSON of kind layer."""
    folder.mkdir(parents=True)
    study = World()
    encoder = rng.normal(size=(WIDTH, FEATURES)) / np.sqrt(WIDTH)
    samples = {
        sample: tokens_of("prompt", ["x", "y", "z"]) + tokens_of("caption", caption.split())
        for sample, caption in zip(frame["sample_id"], frame["caption"], strict=True)
    }
    alone, said = {}, bool(effect) * rng.normal(size=(IMAGES, WIDTH))
    for language in ("en", "ar"):
        x = image[:, None] + rng.normal(size=(IMAGES, 6, WIDTH))
        x[:, 3:] += said[:, None]
        x = x.reshape(-1, WIDTH)
        corpus = study[language] = write_corpus(folder, frame, samples, x, language=language, site=site)
        codes = np.maximum(x @ encoder - 0.7, 0).astype(np.float32)
        path, stored = folder / f"{language}.zarr", {"sae": SAE, "language": language, "site": site}
        corpus.codes = write_dense_codes(path, codes, roles=("prompt", "caption"), **stored)
        alone[language] = [folder / f"{language}_alone.zarr"]
        words = (said + rng.normal(size=(IMAGES, WIDTH))).astype(np.float32)
        identity = {"site": site, "layer": int(site), "model": "toy", "revision": "1", "language": language}
        write_alone(alone[language][0], words, frame["sample_id"], sinks=0, **identity)
    files = _analysed(folder, study, alone, seed)
    summary = {"site": site}
    for kind, of in files.items():
        for name, records in member("crosslens.summary.records", kind).records({kind: of}).items():
            summary.setdefault(name, []).extend(records)
    write_json(folder / "layer.json", "layer", summary)
    return folder / "layer.json"


def _analysed(
    folder: Path, study: World, alone: dict[str, list[Path]], seed: int
) -> dict[str, dict[str, Path]]:
    files = {name: {} for name in ("gender", "features", "probe_codes", "probe_activations", "probe_words")}
    effects, both = {}, {"conditions": CONDITIONS, "seed": seed}
    for language, of in study.items():
        read = {"dataset": of.dataset, "tokens": of.tokens}
        table = folder / f"gender_{language}/effects.parquet"
        table.parent.mkdir()
        gender_effects(
            **read,
            codes=of.codes,
            **both,
            alpha=0.05,
            permutations=PERMUTATIONS,
            language=language,
            out_table=table,
            out=table.parent / "gender.json",
        )
        ranked = files["features"][f"joint/{language}"] = folder / f"features_{language}"
        ranked.mkdir()
        where = {"out_table": ranked / "features.parquet", "out": ranked / "rankings.json"}
        feature_statistics(**read, codes=of.codes, language=language, top_examples=1, seed=seed, **where)
        effects[language], files["gender"][f"joint/{language}"] = table, table.parent
        out = {name: folder / f"{name}_{language}.json" for name in ("codes", "activations", "words")}
        probe_codes(**read, codes=of.codes, **both, out=out["codes"])
        probe_activations(**read, activations=of.activations, **both, out=out["activations"])
        measure_words(dataset=of.dataset, language=language, alpha=0.05, **both, out=out["words"])
        files["probe_codes"][f"joint/{language}"] = out["codes"]
        files["probe_activations"][language], files["probe_words"][language] = (
            out["activations"],
            out["words"],
        )
    settings = {"bootstraps": 20, **both}
    cross_lingual_bias(
        effects=effects,
        datasets=study.datasets,
        tokens=study.tokens,
        codes=study.codes,
        permutations=PERMUTATIONS,
        **settings,
        out=folder / "cross.json",
    )
    gender_transfer(**study.inputs, permutations=PERMUTATIONS, **both, out=folder / "transfer.json")
    caption_retrieval(**study.inputs, alone=alone, seed=seed, out=folder / "retrieval.json")
    one = {
        "cross_lingual": {"joint": "cross"},
        "gender_transfer": {"": "transfer"},
        "retrieval": {"": "retrieval"},
    }
    return files | {k: {key: folder / f"{n}.json" for key, n in of.items()} for k, of in one.items()}


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
