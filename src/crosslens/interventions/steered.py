"""What is asked of a language that is steered: pictures and sentences with two words each, texts that should stay as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from crosslens.data.languages import language_of
from crosslens.data.lexicons import load_lexicon
from crosslens.errors import InputError
from crosslens.features.splice import label_tokens
from crosslens.gender.targets import targets_of
from crosslens.generation.continuation import encode_samples
from crosslens.interventions.captioned import Writer
from crosslens.interventions.person_words import person_word, word_pairs
from crosslens.interventions.reading import Passage, Question
from crosslens.models.inputs import Sample, as_sample, collate
from crosslens.models.load import LoadedModel

COUNTED = ("caption", "generated")


class Items(NamedTuple):
    """What is asked of one language and split."""

    questions: list[Question]
    each: int
    """Questions of one item: 1 of a picture, 2 (the female and the male prefix) of a sentence."""
    group: np.ndarray
    """(items) object: what is resampled together."""
    category: np.ndarray
    """(items) object."""
    hidden: bool
    """Whether what differs between items is bias: sentences are read behind both prefixes, pictures may show the gender."""
    left_out: int
    """Pictures whose caption has no person word with one of the other gender."""
    samples: list[Sample]
    """The pictures, of all that were captioned."""
    written: list[str]
    """What the model writes of them without an edit."""


def sentences(frame: pd.DataFrame, count: int) -> Items:
    """The first target of each of at most `count` sentences in two genders, behind both prefixes."""
    targets, left_out = targets_of(frame)
    first = {target.group: target for target in reversed(targets)}
    own = [first[group] for group in dict.fromkeys(target.group for target in targets)][:count]
    questions = [
        Question(f"{target.group}, {gender}", target.prompt, target.prefix[gender], *target.form.values())
        for target in own
        for gender in ("female", "male")
    ]
    groups = np.array([target.group for target in own], dtype=object)
    none = np.full(len(own), "", dtype=object)
    return Items(questions, 2, groups, none, True, sum(left_out.values()), [], [])


def pictures(
    loaded: LoadedModel,
    frame: pd.DataFrame,
    count: int,
    language: str,
    lexicon: Path,
    words: list[list[str]] | None,
    max_new_tokens: int,
    *,
    roles: Sequence[str],
    images: Path | None,
    batch: int,
) -> Items:
    """At most `count` pictures that hide the gender (all, where none does), and the word for the person in each caption that the
    model writes by itself."""
    shown = frame.drop_duplicates("image_id")
    hidden = shown[shown["gender"] == "unknown"]
    rows = (hidden if len(hidden) else shown).head(count).to_dict("records")
    samples = [as_sample(row)._replace(caption="") for row in rows]
    writer = Writer(
        loaded, roles=roles, images=images, max_new_tokens=max_new_tokens, batch=batch, limit=np.inf
    )
    texts = [writer.text(ids) for ids in writer.write(samples)]
    known, pairs = load_lexicon(lexicon, language), word_pairs(lexicon, words)
    found = [person_word(text, language, known, pairs) for text in texts]
    kept = [i for i, word in enumerate(found) if word is not None]
    questions = [
        Question(
            samples[i].sample_id,
            samples[i].prompt,
            texts[i][: found[i].start],
            found[i].female,
            found[i].male,
            samples[i].image,
            samples[i].image_sha256,
        )
        for i in kept
    ]
    group = np.array([rows[i].get("group") or rows[i]["image_id"] for i in kept], dtype=object)
    category = np.array([rows[i].get("category") or "" for i in kept], dtype=object)
    return Items(questions, 1, group, category, len(hidden) > 0, len(rows) - len(kept), samples, texts)


def damage_passages(
    loaded: LoadedModel, frame: pd.DataFrame, count: int, images: Path | None
) -> list[Passage]:
    """Texts of test that are not about what is steered, and where what follows tells no gender: read at every position that
    predicts a token of the caption, but those of label words. Of sentences in two genders the samples without a gender, where
    there are any, else every sample."""
    own = frame[frame["split"] == "test"]
    plain = own[(own["gender"] == "unknown") & (own["image"] == "")]
    rows = (plain if len(plain) else own).head(count)
    samples = [as_sample(row) for row in rows.to_dict("records")]
    encoded = encode_samples(loaded, samples, images=images)
    passages = []
    for (_, row), sample, tokens in zip(rows.iterrows(), samples, encoded, strict=True):
        batch = collate(loaded, [tokens], [])
        told = batch.has_role(COUNTED)[0].cpu() & ~label_tokens(row.to_frame().T, batch)[0]
        reads = np.flatnonzero(told.numpy()) - 1
        if len(reads := reads[reads >= 0]):
            passages.append(Passage(sample, tokens, reads))
    if not passages:
        raise InputError(
            "the texts that steering must not change",
            found="no token but those of gendered words",
            expected="samples of test with other words",
            mend="give the study more samples",
        )
    return passages


def neutral_of(frame: pd.DataFrame, language: str) -> Sample:
    """The prompt of a picture of select that hides the gender, or of the first sample; without a prompt an opening of the
    language, the English one where it has none."""
    own = frame[frame["split"] == "select"]
    row = as_sample((own[own["gender"] == "unknown"] if (own["gender"] == "unknown").any() else own).iloc[0])
    if row.prompt or row.image:
        return row._replace(caption="")
    return Sample("neutral", language_of(language).opening or "From my experience,", "")
