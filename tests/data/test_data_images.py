"""Finding and verifying images; what does not open is quarantined with its reason."""

import hashlib
from pathlib import Path

import pytest
from data_tables import write_image
from PIL import Image

from crosslens.data.images import verify_images
from crosslens.data.picture_files import find_image
from crosslens.errors import InputError


@pytest.mark.parametrize("suffix", ["", ".jpg", ".jpeg", ".png", ".webp", ".JPG", ".PNG"])
def test_an_id_is_tried_as_written_and_then_with_each_suffix(tmp_path, suffix):
    Image.new("RGB", (4, 4)).save(tmp_path / f"a{suffix}", format="PNG")
    assert find_image(tmp_path, "a") == f"a{suffix}"


def test_the_name_as_written_goes_before_a_suffix(tmp_path):
    write_image(tmp_path / "a.png", 0)
    write_image(tmp_path / "a.png.jpg", 1)
    assert find_image(tmp_path, "a.png") == "a.png"
    assert find_image(tmp_path, "b") is None


def test_good_images_have_a_path_and_a_digest(tmp_path):
    write_image(tmp_path / "sub/a.png", 0)
    files, quarantine = verify_images(tmp_path, ["sub/a", "sub/a"])
    assert quarantine == []
    digest = hashlib.sha256((tmp_path / "sub/a.png").read_bytes()).hexdigest()
    assert files == {"sub/a": ("sub/a.png", digest)}


def test_what_does_not_open_is_quarantined_with_a_reason_that_is_the_same_every_time(tmp_path):
    write_image(tmp_path / "good.png", 0)
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    ids = ["good", "cut", "text", "empty", "folder", "missing", "a" * 300, "d/" * 2100 + "x"]
    files, quarantine = verify_images(tmp_path, ids)
    assert list(files) == ["good"]
    reasons = dict(quarantine)
    assert list(reasons) == ids[1:]
    assert "cut.png does not open fully" in reasons["cut"]
    assert reasons["text"] == "text.jpg is not an image (12 bytes)"
    assert reasons["empty"] == "empty.png is not an image (0 bytes)"
    assert reasons["missing"].startswith("no file missing, nor with .jpg")
    assert not any(str(tmp_path) in reason or " at 0x" in reason for reason in reasons.values())
    assert verify_images(tmp_path, ids)[1] == quarantine


def test_a_file_that_may_not_be_read_is_quarantined(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", 0)
    write_image(tmp_path / "b.png", 1)
    read = Path.read_bytes

    def refuse(path):
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert verify_images(tmp_path, ["a", "b"])[1] == [("b", "b.png cannot be read: Permission denied")]


def test_all_in_quarantine_a_missing_folder_and_two_ids_of_one_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="not one of 5 images .*a: no file a.*…"):
        verify_images(tmp_path, "abcde")
    with pytest.raises(InputError, match="no such folder"):
        verify_images(tmp_path / "none", ["a"])
    write_image(tmp_path / "a.png", 0)
    with pytest.raises(InputError, match="'a' and 'a.png'"):
        verify_images(tmp_path, ["a", "a.png"])
