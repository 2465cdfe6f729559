"""The texts of a study, as far as they can be read or drawn before anything runs, and which pictures show a gender."""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.data.captions import read_rows
from crosslens.errors import InputError
from crosslens.models.inputs import Sample, as_sample
from crosslens.planted.source import source_captions, source_scene
from crosslens.sources.catalogues import sample_messages
from crosslens.sources.emoji_names import emoji_names
from crosslens.study import Study
from crosslens.tables.documents import read_table


class Texts(NamedTuple):
    """One language's samples."""

    samples: Sequence[Sample]
    units: Sequence[tuple[str, str | None]]
    """(n) the image of each and its gender: female, male or unknown; None where only the captions tell."""
    source: str
    unwritten: int = 0
    """Tokens that the model will write to each sample, at most."""

    @property
    def images(self) -> int:
        """Pictures, or groups of texts that count as one."""
        return len({image for image, _ in self.units})

    @property
    def labelled(self) -> int:
        """Images of known gender; all of them where only the captions tell."""
        return len({image for image, gender in self.units if gender != "unknown"})


def read_texts(study: Study, language: str) -> Texts | None:
    """The samples of a language; None where their source is not there yet."""
    folder = Path("results") / study.name / ("texts" if study.is_generation else "dataset")
    if (built := folder / f"{language}.parquet").is_file():
        table = read_table(built, "dataset")
        units = list(zip(table["image_id"], table["gender"], strict=True))
        return Texts([as_sample(row) for row in table.to_dict("records")], units, f"{folder.name} as built")
    prompt = study.settings["prompts"].get(language, "")
    if study.is_planted:
        return _planted(study.settings["source"]["planted"], language, prompt)
    if study.is_generation:
        samples = [
            Sample(f"{prompt}#{number}", "", prompt)
            for prompt in study.settings["source"]["prompts"]
            for number in range(study.settings["generation"]["samples"])
        ]
        most = study.settings["generation"]["max_new_tokens"]
        units = [(sample.prompt, "unknown") for sample in samples]
        return Texts(samples, units, f"prompts, and answers of {most} tokens, the most there can be", most)
    if study.names:
        return _names(study.names, language, prompt)
    return _captions(study, language, prompt) if _is_there(study) else None


def _planted(recipe: dict[str, Any], language: str, prompt: str) -> Texts:
    scenes = [source_scene(index, seed=recipe["seed"]) for index in range(recipe["images"])]
    samples = [
        Sample(f"{index}#0", source_captions(scene, control=recipe["control"])[language], prompt, "drawn")
        for index, scene in enumerate(scenes)
    ]
    units = [
        (str(index), "unknown" if scene.ambiguous else scene.gender) for index, scene in enumerate(scenes)
    ]
    return Texts(samples, units, "captions that will be drawn")


def _names(names: dict[str, Any], language: str, prompt: str) -> Texts | None:
    """Names of emoji and messages; messages that were not fetched yet count as long as names."""
    emoji, messages = names["emoji"], names["messages"]
    try:
        found = emoji_names(skin_tones=emoji["skin_tones"]) if emoji else ()
    except InputError:
        return None
    texts = [getattr(name, language) for name in found]
    units: list[tuple[str, str | None]] = [(name.unit, name.gender) for name in found]
    image = "drawn" if emoji and emoji["pictures"] else ""
    source = "names of emoji"
    if messages:
        try:
            more = [getattr(message, language) for message in sample_messages(**messages)]
            source = f"{source} and messages" if emoji else "messages"
        except InputError:
            if not texts:
                return None
            more = list(islice(cycle(texts), messages["count"]))
            source += ", and messages (not fetched yet) as if they were as long"
        texts += more
        units += [(f"message {number}", "unknown") for number in range(len(more))]
    return Texts([Sample(f"{i}#0", text, prompt, image) for i, text in enumerate(texts)], units, source)


def _is_there(study: Study) -> bool:
    return Path(study.settings["source"]["captions"]).is_file()


def _captions(study: Study, language: str, prompt: str) -> Texts:
    source = study.settings["source"]
    rows = read_rows(Path(source["captions"]), [language], source["columns"])
    files = {path.stem: path.name for path in study.images.iterdir()} if study.images else {}
    samples = [
        Sample(
            row.sample_id,
            row.captions[language],
            prompt,
            files.get(row.image_id, row.image_id) if files else "",
        )
        for row in rows
    ]
    return Texts(samples, [(row.image_id, row.gender) for row in rows], "the caption table")
