"""Pictures reach every family as its own processor sees them, and what `dataset` accepts every later reader loads."""

import random
import re
import warnings

import numpy as np
import pytest
import torch
from damage import damaged
from odd_pictures import (
    AS_THE_PROCESSOR,
    COLOURS,
    DEEP,
    EXIF_IS_IGNORED,
    GOOD,
    HIGH_BYTES,
    REFUSED,
    png,
    rows,
    saved,
)
from PIL import Image, ImageOps

from crosslens.data.images import verify_images
from crosslens.errors import InputError
from crosslens.models.inputs import Sample, build_inputs, load_images
from crosslens.pictures import load_picture

FOLDERS = {
    "same": AS_THE_PROCESSOR,
    "deep": HIGH_BYTES,
    "bad": {name: data for name, (data, _) in REFUSED.items()},
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A folder of all of them."""
    folder = tmp_path_factory.mktemp("odd")
    for files in FOLDERS.values():
        for name, data in files.items():
            (folder / name).write_bytes(data)
    return folder


def opened(path):
    """As a user loads it."""
    return ImageOps.exif_transpose(Image.open(path))


def samples(names):
    return [Sample(name, "A driver.", "Describe.", name) for name in names]


def test_pixels_are_those_of_the_families_own_processor(vision_family, odd):
    for sample in samples(AS_THE_PROCESSOR):
        ours = build_inputs(vision_family, [sample], images=odd, with_caption=True).inputs
        theirs = vision_family.processor.image_processor(
            images=[[opened(odd / sample.image)]], return_tensors="pt"
        )
        given = theirs.keys() - {"num_crops", "num_tiles"}  # which the models do not take
        assert "pixel_values" in given
        for name in given:
            assert torch.equal(ours[name], theirs[name]), (sample.image, name)


def test_deep_greys_keep_their_upper_bits(vision_family, odd):
    """Pillow's own conversion leaves them two levels: the processor's picture would be a stencil."""
    stencil = np.unique(np.asarray(Image.open(odd / "deep.png").convert("RGB")) > 127)
    assert len(stencil) == 2
    shown = Image.fromarray((DEEP // 256).astype(np.uint8))
    theirs = vision_family.processor.image_processor(images=[[shown]], return_tensors="pt")
    for sample in samples(HIGH_BYTES):
        ours = build_inputs(vision_family, [sample], images=odd, with_caption=True).inputs
        assert torch.equal(ours["pixel_values"], theirs["pixel_values"]), sample.image


def test_a_deep_grey_that_is_hidden_is_white():
    hidden = int(DEEP[5, 7])
    data = png(40, 24, 0, 16, rows(DEEP), (b"tRNS", hidden.to_bytes(2, "big")))
    expected = np.where(hidden == DEEP, 255, DEEP >> 8)
    assert np.array_equal(np.asarray(load_picture(data))[:, :, 0], expected)


@pytest.mark.parametrize("exif", EXIF_IS_IGNORED)
def test_an_exif_that_cannot_be_read_turns_nothing(exif):
    plain = saved(GOOD, "JPEG")
    length = (len(EXIF_IS_IGNORED[exif]) + 2).to_bytes(2, "big")
    data = plain[:2] + b"\xff\xe1" + length + EXIF_IS_IGNORED[exif] + plain[2:]
    with warnings.catch_warnings(action="ignore"):
        assert np.array_equal(np.asarray(load_picture(data)), np.asarray(load_picture(plain)))


def test_transparency_is_laid_on_white():
    """By hand: the colour that an editor left behind is not seen."""
    alpha = np.full((24, 40, 1), 51, dtype=np.uint8)
    shown = np.asarray(load_picture(saved(Image.fromarray(np.concatenate([COLOURS, alpha], 2)))))
    assert np.abs(shown - (0.2 * COLOURS + 0.8 * 255)).max() <= 1


def test_of_several_frames_the_first_is_shown(odd):
    for name in ("animated.png", "animated.webp", "pages.tif"):
        assert np.array_equal(np.asarray(load_picture((odd / name).read_bytes())), COLOURS), name


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_model_can_be_shown_is_dropped_by_name_and_refused_by_name(odd, vlm, name):
    files, quarantine = verify_images(odd, ["rgb.png", name])
    assert list(files) == ["rgb.png"]
    ((dropped, reason),) = quarantine
    assert dropped == name and reason.startswith(f"{name} ")
    assert re.search(REFUSED[name][1], reason), reason
    with pytest.raises(
        InputError, match=f"{name}: found a file that .*; expected the image of sample {name}"
    ):
        load_images(vlm, samples([name]), odd)


def test_what_dataset_accepts_every_later_reader_loads(load_family, tmp_path):
    """Every kind of file with flipped, lost and overwritten bytes: no error but one that names the file."""
    chance = random.Random(0)
    wholes = {**AS_THE_PROCESSOR, **HIGH_BYTES}
    for i, (name, data) in enumerate(wholes.items()):
        for k in range(6):
            (tmp_path / f"{i}_{k}_{name}").write_bytes(damaged(data, chance))
    (tmp_path / "whole.png").write_bytes(saved(GOOD))
    names = sorted(path.name for path in tmp_path.iterdir())
    loaded = load_family("qwen2_vl")
    with warnings.catch_warnings(action="ignore"):
        files, quarantine = verify_images(tmp_path, names)
        assert len(files) + len(quarantine) == len(names) and len(quarantine) > 50 and len(files) > 50
        for sample in samples(files):
            batch = build_inputs(loaded, [sample], images=tmp_path, with_caption=True)
            assert batch.inputs["pixel_values"].isfinite().all()
