"""A folder with one study that is right, `mine`, and what it names; tests spoil it."""

import copy
from pathlib import Path

import yaml

from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

SCHEMAS = Path(__file__).parents[1] / "workflow/schemas"
GOOD = {
    "model": {"id": "resources/model"},
    "languages": ["en", "ar"],
    "source": {"captions": "data/captions.csv", "images": "data/images"},
    "prompts": {"en": "Describe it.", "ar": "صف."},
    "lexicons": {"en": "lexicon_en.yaml", "ar": "lexicon_ar.yaml"},
    "sites": ["0", "3.attn_out"],
}
CSV = "image_id,english_prompt,arabic_prompt\n" + "".join(f"i{n},a man {n},رجل {n}\n" for n in range(5))
CONFIG = """{"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "num_hidden_layers": 4, "hidden_size": 16,
  "rms_norm_eps": 1e-6},
 "vision_config": {}}"""
FILES = {
    "resources/model/config.json": CONFIG,
    "resources/model/model.safetensors": "weights",
    "resources/model/README.md": "words",
    "data/captions.csv": CSV,
    "data/images/i0.png": "picture 0",
    "data/images/i3.png": "picture 3",
    **{
        f"lexicon_{language}.yaml": f"{{schema: 1, kind: gender_lexicon, language: {language}}}"
        for language in ("en", "ar")
    },
}


def write_files(folder: Path, files: dict[str, str] = FILES) -> None:
    """A model of four blocks of width 16, five captions and two pictures, and lexicons; or other files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def write_study(folder: Path, settings: dict = GOOD, text: str | None = None) -> Path:
    """The file of the study `mine` under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(text or yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    return path


def read(settings: dict = GOOD, text: str | None = None) -> Study:
    """The study of these settings, in the working directory."""
    write_study(Path("studies"), settings, text)
    return Study("mine", Path("studies"), SCHEMAS / "study.schema.yaml", FileDigests(Path("files.json")))


def changed(place: str, value=None):
    """GOOD with the value at `a.b` replaced, or removed if it is None."""
    settings = copy.deepcopy(GOOD)
    *above, name = place.split(".")
    section = settings
    for key in above:
        section = section.setdefault(key, {})
    if value is None:
        del section[name]
    else:
        section[name] = value
    return settings
