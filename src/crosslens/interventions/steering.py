"""Can what a model says of gender be steered, by which features, how far, and at what cost (methods 9)?

An edit adds strength × δ at all text positions of a site that are no sinks, ‖δ‖ the same of every arm at strength 1. The
outcome is the log-odds of a female word against the male one that would stand in its place: behind the model's own caption of a
picture up to its word for the person, or behind the two prefixes of a sentence in two genders.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.alignment.dictionaries import check_digest
from crosslens.data.languages import language_of
from crosslens.errors import InputError
from crosslens.interventions.arms import (
    BOTH,
    Candidates,
    direction_arms,
    effect_of,
    empty,
    feature_arms,
    levels_on_select,
    random_arms,
    strongest,
    together,
)
from crosslens.interventions.captioned import Writer, Writing
from crosslens.interventions.costs import BOOTSTRAPS
from crosslens.interventions.doses import Doses, Language
from crosslens.interventions.output_score import output_scores
from crosslens.interventions.reading import Damage, Questions, Reading
from crosslens.interventions.steered import damage_passages, neutral_of, pictures, sentences
from crosslens.interventions.subject import model_and_sae
from crosslens.memory import memory_kept
from crosslens.pooling.images import by_image
from crosslens.pooling.languages import open_codes, open_languages
from crosslens.pooling.pool import pool_activations
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_json, read_table, write_json, write_table
from crosslens.tables.tokens import read_tokens

UNTOUCHED = 20
"""Texts in which steering should change nothing, at most."""


def steer_features(
    *,
    model: dict[str, Any],
    images: Path | None,
    outcome: str,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    codes: dict[str, Path],
    effects: dict[str, Path],
    lexicons: dict[str, Path],
    sae: Path,
    site: str,
    roles: Sequence[str],
    condition: str,
    features: int,
    strengths: Sequence[float],
    random_sets: int,
    samples: int,
    captions: int,
    max_new_tokens: int,
    max_kl: float,
    words: dict[str, list[list[str]]],
    ask: dict[str, str],
    grammar: bool,
    batch: int,
    seed: int,
    out: Path,
) -> None:
    """Write `steering.json` (kind steering) and `doses.parquet` (kind steering_doses, a row an arm and strength) to `out`.

    outcome: pictures or pairs. effects: language -> folder of kind gender. Arms are chosen on split select, as are their
    strengths: see `chosen_strength`, by half the difference of P(female) between both ways, the KL on `damage_passages` at
    most `max_kl` both ways. Everything else is told of test, of at most `samples` pictures or
    sentences of each split, and of captions of at most `captions` of the pictures. words: language -> pairs of a female and a
    male word, in the place of the lexicon's. ask: language -> prompt that asks for captions without gender. grammar: whether
    captions are those of the embedded model's grammar. Raises InputError where SAE, codes, site or model do not belong
    together, and RuntimeError where an edit of strength 0 changes anything.
    """
    stored = open_codes(codes)
    digest = check_digest(sae, next(iter(stored.values())).attributes["sae"])
    for folder in effects.values():
        check_digest(sae, read_json(folder / "gender.json", "gender")["sae"])
    loaded, autoencoder = model_and_sae(model, sae, site)
    autoencoder = autoencoder.to(loaded.device)
    frames = {language: read_table(path, "dataset") for language, path in datasets.items()}
    setup: dict[str, Any] = {"roles": tuple(roles), "images": images, "batch": batch}
    with memory_kept():
        items, readings = {}, {}
        for language, frame in frames.items():
            for split in ("select", "test"):
                own = frame[frame["split"] == split]
                if outcome == "pairs":
                    found = sentences(own, samples)
                else:
                    lexicon = lexicons[language]
                    found = pictures(
                        loaded, own, samples, language, lexicon, words.get(language), max_new_tokens, **setup
                    )
                if not found.questions:
                    raise InputError(
                        f"{datasets[language]}, split {split}",
                        found=f"no {outcome} with a word of either gender ({found.left_out} left out)",
                        expected="a language with gendered words, and captions or sentences that have them",
                        mend="give steering.words pairs of a female and a male word that captions have",
                    )
                items[language, split] = found
                readings[language, split] = Questions(loaded, site, found.questions, **setup)
        damage = {
            language: Damage(
                Reading(loaded, site, damage_passages(loaded, frame, UNTOUCHED, images), **setup)
            )
            for language, frame in frames.items()
        }
        known, middles = {}, {}
        for language, frame in frames.items():
            d, middles[language] = effect_of(
                read_table(effects[language] / "effects.parquet", "gender_effects"), condition
            )
            level = levels_on_select(stored[language], read_tokens(tokens[language]), frame)
            candidates, output = strongest(d), np.zeros(autoencoder.d_sae)
            output[candidates] = output_scores(
                loaded, site, autoencoder, candidates, level.high, neutral_of(frame, language), **setup
            )
            # Δz of steering: the 99th percentile, at every edited position
            gradient = readings[language, "select"].gradient()
            attribution = level.high * (autoencoder.W_dec.double().cpu().numpy() @ gradient)
            known[language] = Candidates(d, output, attribution, level)
        if len(known) > 1:
            known[BOTH] = together([*known.values()])
        units, centres = pooled_units(frames, tokens, activations, condition)
        arms = [
            arm
            for name, of in known.items()
            for arm in [
                *feature_arms(of, autoencoder, features, name),
                *direction_arms(*(units[name] if name != BOTH else joined(units)), name),
            ]
        ]
        reference = next(arm for arm in arms if arm.method == "effect" and arm.found_in == [*known][-1])
        used = {feature for arm in arms for feature in arm.features}
        level = known[reference.found_in].level
        rng = stream(seed, "steering", site)
        random = random_arms(reference, used, level, autoencoder, random_sets, rng)
        doses = Doses(
            site, autoencoder, known | {"random": known[reference.found_in]}, reference.norm, strengths
        )
        document = {
            "site": site,
            "sae": digest,
            "languages": list(frames),
            "outcome": outcome,
            "condition": condition,
            "roles_edited": list(roles),
            "chosen_on": "select",
            "split": "test",
            "features": features,
            "length": reference.norm,
            "relative_length": {
                language: reference.norm / readings[language, "test"].reading.median for language in frames
            },
            "strengths": sorted(map(float, strengths)),
            "random_sets": random_sets,
            "max_kl": max_kl,
            "bootstraps": BOOTSTRAPS,
            "seed": seed,
            "empty_arms": empty(arms, [*known]),
            "of": {},
        }
        tables = []
        for language in frames:
            own = Language(language, items, readings, damage[language], doses, middles, centres, seed, max_kl)
            writing = None
            if outcome == "pictures":
                writer = Writer(
                    loaded,
                    roles=roles,
                    images=images,
                    max_new_tokens=max_new_tokens,
                    batch=batch,
                    limit=readings[language, "test"].reading.limit,
                )
                asked = ask.get(language) or language_of(language).ask_without_gender or None
                shown = (
                    of[:captions] for of in (items[language, "test"].samples, items[language, "test"].written)
                )
                writing = Writing(writer, *shown, language, lexicons[language], grammar, asked)
            document["of"][language], table = own.told(arms, random, writing)
            tables.append(table)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "doses.parquet", "steering_doses", pd.concat(tables, ignore_index=True))
    write_json(out / "steering.json", "steering", document)


Units = tuple[np.ndarray, np.ndarray, np.ndarray]


def pooled_units(
    frames: dict[str, pd.DataFrame],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    condition: str,
) -> tuple[dict[str, Units], dict[str, np.ndarray]]:
    """Language -> (mean activations (n, d), female (n), language (n)) of the units of select, and the mean of its class means."""
    stored = open_languages(tokens, tokens, activations)
    units, centres = {}, {}
    for language, frame in frames.items():
        part = frame[frame["split"] == "select"]
        pooled = pool_activations(stored[language], read_tokens(tokens[language]), part, condition=condition)
        own = by_image(pooled.values, pooled.sample_ids, part).labelled().by_group()
        female = own.gender == "female"
        if female.all() or not female.any():
            raise InputError(
                f"split select of {language}",
                found=f"{female.sum()} female and {(~female).sum()} male samples",
                expected="some of each",
                mend="give the study more labelled samples",
            )
        units[language] = own.values, female, np.full(len(own), language, dtype=object)
        centres[language] = (own.values[female].mean(axis=0) + own.values[~female].mean(axis=0)) / 2
    return units, centres


def joined(units: dict[str, Units]) -> Units:
    """Of all languages."""
    x, female, language = (np.concatenate(parts) for parts in zip(*units.values(), strict=True))
    return x, female, language
