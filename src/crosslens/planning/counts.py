"""How many samples and tokens a study has: counted by the tokenizer where both can be read, else estimated."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crosslens.activations.plan import cut
from crosslens.data.captions import read_rows
from crosslens.models.inputs import Sample, as_sample, encode
from crosslens.planning.outline import Outline
from crosslens.planning.rates import Rates
from crosslens.planted.source import source_captions, source_scene
from crosslens.study import Study
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import ROLES

AT_ONCE = 512


class Counts(NamedTuple):
    """One language's samples."""

    stored: np.ndarray
    """(n) tokens that are stored."""
    trained: np.ndarray
    """(n) of them, those that SAEs read."""
    all: np.ndarray
    """(n) tokens of the forward pass."""
    pictures: int
    """Samples with a picture."""
    basis: str


def count_tokens(
    study: Study, outline: Outline, rates: Rates, language: str, *, samples: int | None, tokens: int | None
) -> Counts:
    """Tokens of every sample of a language.

    samples, tokens: how many samples, and text tokens in each, to assume where there is no table to count.
    """
    texts, source = _texts(study, language) if samples is None else (None, "")
    if texts is not None and outline.loaded is not None:
        return _counted(study, outline, texts, f"counted: {source}, the model's tokenizer")
    pictures = outline.image_tokens() if study.is_planted or study.images else 0
    if texts is not None:
        rate = rates.find(f"characters_per_token/{language}")
        own = np.array([-(-len(text.prompt + text.caption) // rate.value) for text in texts], dtype=np.int64)
        basis = f"{source}, {rate.value:.2g} characters a token ({rate.basis})"
    elif study.is_generation and tokens is None:
        own = np.full(study.n_rows, study.settings["generation"]["max_new_tokens"], dtype=np.int64)
        basis = "assumed: every answer of generation.max_new_tokens"
    else:
        rate = rates.find("text_tokens_per_sample")
        own = np.full(samples or study.n_rows, tokens or round(rate.value), dtype=np.int64)
        basis = "as --tokens says" if tokens else f"{rate.value:g} text tokens a sample, {rate.basis}"
    roles = study.settings["activations"]["roles"]
    stored = own + (pictures if "image" in roles else 0)
    trained = own + (pictures if "image" in study.settings["sae"]["roles"] else 0)
    # the assumed number of text tokens has the template's in it
    template = round(rates.find("template_tokens").value) if texts is not None else 0
    return Counts(
        stored, trained, own + pictures + template, len(own) if pictures else 0, f"estimated: {basis}"
    )


def _texts(study: Study, language: str) -> tuple[Sequence[Sample] | None, str]:
    """The samples, where they can be read or drawn now, and what they were read from."""
    built = Path("results") / study.name / "dataset" / f"{language}.parquet"
    if built.is_file():
        table = read_table(built, "dataset")
        return [as_sample(row) for row in table.to_dict("records")], "the dataset as built"
    prompt = study.settings["prompts"].get(language, "")
    if study.is_planted:
        recipe = study.settings["source"]["planted"]
        scenes = (source_scene(index, seed=recipe["seed"]) for index in range(recipe["images"]))
        return [
            Sample(f"{index}#0", source_captions(scene, control=recipe["control"])[language], prompt, "drawn")
            for index, scene in enumerate(scenes)
        ], "the captions that will be drawn"
    table = study.settings["source"].get("captions")
    if table is None:
        return None, ""
    rows = read_rows(Path(table), study.settings["source"]["columns"], [language])
    files = {path.stem: path.name for path in study.images.iterdir()} if study.images else {}
    return [
        Sample(
            row.sample_id,
            row.captions[language],
            prompt,
            files.get(row.image_id, row.image_id) if files else "",
        )
        for row in rows
    ], "the caption table"


def _counted(study: Study, outline: Outline, samples: Sequence[Sample], basis: str) -> Counts:
    columns = {"stored": study.settings["activations"]["roles"], "trained": study.settings["sae"]["roles"]}
    found: dict[str, list[int]] = {"stored": [], "trained": [], "all": []}
    for first in range(0, len(samples), AT_ONCE):
        block = samples[first : first + AT_ONCE]
        for encoded in encode(outline.loaded, block, with_caption=True, images=study.images):
            found["all"].append(len(encoded))
            for name, roles in columns.items():
                wanted = [ROLES.index(role) for role in roles]
                found[name].append(int(np.isin(encoded.role, wanted).sum()))
    return Counts(
        *(np.array(found[name], dtype=np.int64) for name in ("stored", "trained", "all")),
        pictures=sum(bool(sample.image) for sample in samples),
        basis=basis,
    )


def padded(counts: Counts, batch_tokens: int, part_rows: int) -> int:
    """Tokens of all forward passes with their padding: every part's samples by length, in batches."""
    total = 0
    for first in range(0, len(counts.all), part_rows):
        lengths = np.sort(counts.all[first : first + part_rows], kind="stable")
        total += sum((high - low) * int(lengths[high - 1]) for low, high in cut(lengths, batch_tokens))
    return total
