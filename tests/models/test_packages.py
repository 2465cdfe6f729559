"""Models in packages: found, joined in order, checked."""

import hashlib
import subprocess
import sys

import pytest

from crosslens.errors import InputError
from crosslens.models.packages import PACKAGED, PackagedModel, join, notices, packaged, parts

FIRST, SECOND = b"GGUF" + bytes(range(256)) * 9000, b"the rest"


def install(site, name, **files):
    """A distribution as pip leaves it in `site`, with those files in its one package."""
    package, info = site / name.replace("-", "_"), site / f"{name.replace('-', '_')}-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    for file, content in files.items():
        (package / file).write_bytes(content)
    (info / "RECORD").write_text("".join(f"{package.name}/{file},,\n" for file in files))


@pytest.fixture
def model(tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    install(site, "some-model", TERMS=b"be good")
    install(site, "some-model-b", part0=FIRST)
    install(site, "some-model-a", part1=SECOND)
    return PackagedModel(
        name="some",
        distributions=("some-model", "some-model-a", "some-model-b"),
        install="pip install some-model==1.0",
        files=("part0", "part1"),
        notices=("TERMS",),
        sha256=hashlib.sha256(FIRST + SECOND).hexdigest(),
        terms="be good",
        config={},
    )


def test_parts_are_joined_in_their_order(model, tmp_path):
    join(model, tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == FIRST + SECOND
    assert [path.read_bytes() for path in notices(model)] == [b"be good"]


def test_an_edited_part_is_refused(model, tmp_path):
    (_, second) = parts(model)
    second.write_bytes(b"the test")
    with pytest.raises(InputError, match=r"sha256.*pip install some-model==1\.0 --force-reinstall"):
        join(model, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


def test_a_missing_part_and_a_missing_package_name_the_command(model):
    parts(model)[1].unlink()
    with pytest.raises(InputError, match=r"no part1.*pip install some-model==1\.0"):
        parts(model)
    with pytest.raises(InputError, match=r"no part0.*pip install some-model==1\.0"):
        parts(model._replace(distributions=("some-model-of-which-there-is-none",)))


def test_an_unknown_name():
    with pytest.raises(InputError, match="package:gemma-3-270m or package:smollm2-135m-instruct"):
        packaged("gpt-5")


@pytest.mark.parametrize("name", PACKAGED)
def test_what_is_installed_has_the_known_digest(name, tmp_path):
    try:
        parts(packaged(name))
    except InputError as error:
        pytest.skip(str(error))
    join(packaged(name), tmp_path / "model.gguf")
    assert all(path.stat().st_size for path in notices(packaged(name)))


def test_the_table_can_be_read_without_torch():
    code = "import sys, crosslens.models.packages; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
