"""Pictures of emoji and their names, from the font to the page: a few of them, and the embedded vision-language model."""

import json

import numpy as np
import pytest
from checkouts import TOY
from PIL import features

from crosslens.sources.plan import DEBIAN_FONT
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens

pytest.importorskip("emoji", reason="needs the package emoji")
pytestmark = pytest.mark.skipif(
    not (DEBIAN_FONT.is_file() and features.check("raqm")), reason="needs fonts-noto-color-emoji and libraqm"
)


@pytest.fixture
def pictures(fresh):
    """A checkout with a study of the pictures of people at work."""
    fresh.edit(
        "src/crosslens/sources/emoji_names.py",
        "_paired(found)",
        "_paired([name for name in found if name.category == 'role'])",
    )
    lexicons = {language: f"resources/lexicons/emoji_{language}.yaml" for language in TOY["languages"]}
    source = {"names": {"emoji": {"skin_tones": False, "pictures": 48}}}
    activations = {**TOY["activations"], "part_rows": 100}
    fresh.configure("pictures", {**TOY, "source": source, "lexicons": lexicons, "activations": activations})
    return fresh


def test_the_model_sees_the_pictures(pictures):
    """The prompt is the same for all: its last token, behind the picture, differs by what was seen."""
    part = "results/pictures/activations/ar/layer_1/part_0000.zarr"
    pictures.snakemake(part, "results/pictures/activations/ar/tokens/part_0000.zarr")
    results = pictures.folder / "results/pictures"
    dataset = read_table(results / "dataset/ar.parquet", "dataset").set_index("sample_id")
    drawn = {path.name for path in (results / "collection/images").iterdir()}
    assert set(dataset["image"]) == drawn and len(dataset) == len(drawn) > 60
    assert (dataset["image"] == dataset["image_id"] + ".png").all()
    tokens = read_tokens(results / "activations/ar/tokens/part_0000.zarr")
    assert set(tokens.sample_ids) == set(dataset.index)
    prompt = np.flatnonzero(tokens.has_role(("prompt",)))
    last = prompt[np.flatnonzero(np.diff(tokens.sample[prompt], append=-1))]
    assert len(last) == len(dataset) and len(set(tokens.token_id[last])) == 1
    values = Activations(pictures.folder / part)
    seen = values.read(0, len(values))[last]
    assert len(np.unique(seen, axis=0)) == dataset["image_sha256"].nunique()


@pytest.mark.long
def test_a_study_of_pictures_has_its_page(pictures):
    pictures.snakemake("results/pictures/report/index.html")
    results = pictures.folder / "results/pictures"
    summary = json.loads((results / "layers/1.json").read_text(encoding="utf-8"))
    assert {probe["condition"] for probe in summary["probes"]} == {"prompt", "caption"}
    stereotype = json.loads((results / "gender/stereotype.json").read_text(encoding="utf-8"))
    assert stereotype["languages"].keys() == {"en", "ar"}
