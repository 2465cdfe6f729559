"""Bad input through the command that a user types, and Zarr groups that lost a file or a part of one."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
import zarr
from checkouts import START, Checkout
from PIL import Image
from scipy.sparse import csr_array

from crosslens import cli
from crosslens.errors import InputError
from crosslens.store.digests import digest
from crosslens.store.store import Store
from crosslens.tables.activations import Activations, create_activations
from crosslens.tables.arrays import create_rows
from crosslens.tables.codes import Codes, write_codes
from crosslens.tables.tokens import TokenTable, read_tokens, write_tokens

TESTS = Path(__file__).parent


# a user's own captions and pictures, through snakemake

STUDY = {
    "model": {"id": "nobody/none", "revision": "0" * 40},
    "languages": ["en", "ar"],
    "source": {"captions": "captions.csv", "images": "images"},
    "prompts": {"en": "Describe the picture.", "ar": "صف الصورة."},
    "lexicons": {
        language: str(TESTS.parent / f"resources/lexicons/planted_{language}.yaml")
        for language in ("en", "ar")
    },
    "sites": ["1"],
}


class Project:
    """A folder of a user, with a study `mine`."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "config/studies").mkdir(parents=True)
        (folder / "config/config.yaml").write_text("run: [mine]\n")
        (folder / "config/studies/mine.yaml").write_text(yaml.safe_dump(STUDY, allow_unicode=True))
        (folder / "images").mkdir()
        self.header = ["image_id", "english_prompt", "arabic_prompt", "ground_truth_gender"]
        genders = ("male", "female", "unknown")
        self.rows = [[f"p{i}", f"picture {i}", f"صورة {i}", genders[i % 3]] for i in range(12)]
        for i, row in enumerate(self.rows):
            Image.new("RGB", (4, 4), (20 * i, 0, 0)).save(folder / f"images/{row[0]}.png")

    def snakemake(self, *args: str) -> subprocess.CompletedProcess:
        """`snakemake` in the user's folder, after the captions were written."""
        with (self.folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.header, *self.rows])
        known = {name: value for name, value in os.environ.items() if name != "CROSSLENS_STORE"}
        return subprocess.run(
            [
                Checkout.python,
                START,
                Checkout.python,
                "-s",
                TESTS.parent / "Snakefile",
                "--cores",
                "1",
                *args,
            ],
            cwd=self.folder,
            env=known | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def project(source, tmp_path):
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda project: project.header.__setitem__(2, "arabisch"),
            "header: found columns image_id, english_prompt, arabisch, .*a column 'arabic_prompt'",
        ),
        (
            lambda project: project.rows[4].__setitem__(3, "maybe"),
            "row 5, column 'ground_truth_gender': found 'maybe'; expected male, ",
        ),
    ],
    ids=["column", "gender"],
)
def test_a_bad_table_ends_the_plan_with_one_message(project, spoil, said):
    spoil(project)
    ended = project.snakemake("-n")
    assert ended.returncode and re.search(rf"captions\.csv, {said}.*To mend: ", ended.stdout)
    assert ended.stdout.count("To mend: ") == 1 and "Traceback (most" not in ended.stdout


def test_an_unreadable_picture_is_in_no_language_and_is_listed(project):
    (project.folder / "images/p3.png").write_bytes(b"no picture")
    tables = [f"results/mine/dataset/{language}.parquet" for language in ("en", "ar")]
    ended = project.snakemake("results/mine/dataset/summary.json", *tables)
    assert ended.returncode == 0, ended.stdout
    for table in tables:
        rows = pq.read_table(project.folder / table)["image_id"].to_pylist()
        assert len(rows) == 11 and "p3" not in rows
    summary = json.loads((project.folder / "results/mine/dataset/summary.json").read_text())
    assert summary["quarantine"] == [{"image_id": "p3", "reason": "p3.png is not an image (10 bytes)"}]
    assert "quarantined 1 images" in (project.folder / "logs/mine/build_dataset.log").read_text()

    for picture in (project.folder / "images").iterdir():
        picture.write_bytes(b"no picture")
    ended = project.snakemake("results/mine/dataset/summary.json")
    log = (project.folder / "logs/mine/build_dataset.log").read_text()
    assert ended.returncode and "not one of 12 images that opens (p0: p0.png is not an image" in log
    assert "To mend: " in log and "Traceback" not in log


# Zarr groups that lost a file or a part of one


def make_activations(path: Path) -> None:
    group = create_activations(
        path, d_model=4, dtype="bfloat16", shard_bytes=4096, site="1", layer=1, language="en", model="m"
    )
    group["values"].resize((3 * group["values"].shards[0], 4))
    group["values"][:] = 1
    group["norm"].resize((group["values"].shape[0],))
    group["norm"][:] = 0


def make_codes(path: Path) -> None:
    block = csr_array(np.ones((300, 4), dtype=np.float32))
    write_codes(
        path,
        [block],
        token=np.arange(300),
        norm=np.ones(300),
        d_sae=4,
        shard_bytes=64,
        sae="0",
        roles=[],
        language="en",
    )


def make_tokens(path: Path) -> None:
    columns = {name: np.zeros(6, dtype=np.int32) for name in ("sample", "position", "token_id", "role")}
    columns |= {name: np.full(6, -1) for name in ("char_start", "char_end")}
    write_tokens(path, TokenTable(("a#0",), np.array([0, 6]), **columns), language="en")


def read_activations(path: Path) -> None:
    stored = Activations(path)
    stored.norms()
    for start in range(0, len(stored), 100_000):
        stored.read(start, min(start + 100_000, len(stored)))


GROUPS = {
    "activations.zarr": (make_activations, read_activations),
    "codes.zarr": (make_codes, lambda path: [None for _ in Codes(path).blocks(70)]),
    "tokens.zarr": (make_tokens, read_tokens),
}
FILES = [
    ("activations.zarr", "values/c/1/0"),
    ("activations.zarr", "norm/c/0"),
    *(("codes.zarr", f"{name}/c/0") for name in ("token", "indptr", "indices", "values")),
    *(
        ("tokens.zarr", f"{name}/c/0")
        for name in ("sample", "position", "token_id", "role", "char_start", "char_end", "offsets")
    ),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """One group of each kind."""
    folder = tmp_path_factory.mktemp("groups")
    for name, (make, _) in GROUPS.items():
        make(folder / name)
    return folder


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


DAMAGE = {
    "missing": (Path.unlink, "found no such file"),
    "empty": (lambda file: os.truncate(file, 0), "found an empty file"),
    "cut": (cut, "found a file that is cut short or damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_shard_that_is_lost_or_cut_short_is_refused(sound, name, file, damage):
    path = sound / name
    read = GROUPS[name][1]
    content = (path / file).read_bytes()
    spoil, said = DAMAGE[damage]
    read(path)
    spoil(path / file)
    try:
        with pytest.raises(InputError) as told:
            read(path)
    finally:
        (path / file).write_bytes(content)
    message = str(told.value)
    assert message.startswith(f"{path}/{file}: {said}")
    assert message.endswith(f"To mend: `crosslens store forget {path}`, then `snakemake {path}`")


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("zarr.json", "no description"),
        ("values/zarr.json", "no description"),
        ("values/zarr.json", "no such file"),
    ],
)
def test_a_description_that_is_lost_or_damaged_is_refused(sound, file, found):
    place = sound / "codes.zarr" / file
    content = place.read_bytes()
    place.unlink() if found == "no such file" else place.write_bytes(content[:40])
    try:
        with pytest.raises(InputError, match=rf"codes\.zarr/{file}: found {found}.*store forget"):
            Codes(sound / "codes.zarr")
    finally:
        place.write_bytes(content)


def test_a_group_that_is_not_there_or_of_another_kind_is_refused(sound):
    with pytest.raises(InputError, match=r"none\.zarr: found no Zarr group; expected a codes artifact"):
        Codes(sound / "none.zarr")
    with pytest.raises(InputError, match=r"tokens\.zarr: found header .*tokens.*kind 'codes'"):
        Codes(sound / "tokens.zarr")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float32"])
def test_zeros_are_written_out_so_that_their_file_cannot_go_unmissed(tmp_path, dtype):
    array = create_rows(zarr.create_group(tmp_path), "zeros", dtype, rows=5, shard_bytes=1)
    array[:] = np.zeros(5, dtype=dtype)
    assert (tmp_path / "zeros/c/0").is_file()


def test_the_mend_of_a_lost_shard_mends_it(tmp_path, monkeypatch, capsys):
    """What the message says to type takes the artifact away, so that the next run makes it anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSLENS_STORE", raising=False)
    store, key = Store(), digest("codes")
    shown = Path("results/toy/codes/joint/en/layer_1.zarr")

    def publish() -> None:
        with store.workspace(key) as lease:
            make_codes(lease.folder / "object.zarr")
            store.publish(key, store.commit(lease.folder / "object.zarr"))

    publish()
    shown.parent.mkdir(parents=True)
    shown.symlink_to(os.path.relpath(store.action(key), shown.parent))
    (shown / "values/c/0").unlink()
    with pytest.raises(InputError) as told:
        Codes(shown).rows(0, 3)
    command = shlex.split(re.match(r"`(.+?)`", told.value.mend)[1])
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and "removed" in capsys.readouterr().out
    assert not store.has(key)
    publish()
    assert Codes(shown).rows(0, 3).nnz == 12
