"""crosslens as a module of another workflow: five lines elsewhere, from a checkout and from an installed wheel."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from checkouts import COPIED, MINI, MINI_SAE, REPOSITORY, Checkout

from crosslens.store.checkout import CARRIED, checkout
from crosslens.store.fingerprint import closure

FIVE_LINES = """configfile: "config/config.yaml"
module crosslens:
    snakefile: "{entry}"
    config: config
use rule * from crosslens
"""


def elsewhere(folder: Path, entry: Path, model: Path, environment: dict[str, str]) -> Checkout:
    """A workflow of a user's own, with the study `mini` and no file of crosslens."""
    (folder / "resources").mkdir(parents=True)
    (folder / "resources/planted").symlink_to(model)
    for file in ("planted_en.yaml",):
        (folder / "resources/lexicons").mkdir()
        shutil.copy(REPOSITORY / "resources/lexicons" / file, folder / "resources/lexicons")
    (folder / "Snakefile").write_text(FIVE_LINES.format(entry=entry))
    mine = Checkout(folder)
    mine.environment |= environment
    mine.configure("mini", MINI)
    (folder / "config/config.yaml").write_text("run: [mini]\n")
    return mine


def laid_out(site: Path) -> Path:
    """Where a wheel would be installed, with what pyproject.toml puts into it."""
    shutil.copytree(
        REPOSITORY / "src/crosslens", site / "crosslens", ignore=shutil.ignore_patterns("__pycache__")
    )
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    for source, target in settings["wheel"]["force-include"].items():
        copy = shutil.copytree if (REPOSITORY / source).is_dir() else shutil.copy
        (site / target).parent.mkdir(parents=True, exist_ok=True)
        copy(REPOSITORY / source, site / target)
    return site


def test_five_lines_elsewhere_build_one_layer(built, tmp_path):
    """A folder with a space; keys are those of the checkout, whose store is the second root: what it has is only linked."""
    own = tmp_path / "my work"
    mine = elsewhere(
        own,
        built.folder / "workflow/Snakefile",
        built.folder / "resources/planted",
        {"CROSSLENS_STORE": f"{own}/store:{built.stored}"},
    )
    assert not set(mine.run(MINI_SAE)) & {"extract", "train_saes", "draw_source"}
    assert (own / MINI_SAE).resolve() == (built.folder / MINI_SAE).resolve()
    assert [*(own / "store").glob("checkouts/*")], "gc would not know of it"

    mine.configure("mini", {**MINI, "sae": {**MINI["sae"], "k": 4}})
    jobs = mine.run(MINI_SAE)
    assert jobs["train_saes"] == 1 and "extract" not in jobs
    assert yaml.safe_load((own / MINI_SAE).read_text())["k"] == 4


def test_a_wheel_carries_what_its_rules_need(tmp_path):
    """The code of every artifact is found there, and is the same: so are the keys. Packages beside it stay what they are."""
    site = laid_out(tmp_path)
    (site / "numpy").mkdir()
    (site / "numpy/__init__.py").write_text("from numpy import core\n")
    assert checkout(site) == site / CARRIED
    for path in sorted((REPOSITORY / "workflow/scripts").glob("*.py")):
        assert (site / CARRIED / "workflow/scripts" / path.name).is_file()
    for module, script in (("crosslens.sae.training", "train_saes"), ("crosslens.data.dataset", None)):
        assert closure(module, script=script, src=site) == closure(module, script=script)
    carried = {path.split("/")[0] for path in COPIED} - {"src", "profiles", "config", "claims"}
    assert {path.name for path in (site / CARRIED).iterdir()} == carried


@pytest.mark.long
def test_an_installed_wheel_builds_one_layer(tmp_path):
    """Built and installed by pip, which fetches the builder; the checkout is not there."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, REPOSITORY], check=True)
    (wheel,) = tmp_path.glob("crosslens-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    environment = {"PYTHONPATH": str(site)}
    mine = elsewhere(
        tmp_path / "mine",
        site / CARRIED / "workflow/Snakefile",
        REPOSITORY / "resources/planted",
        environment,
    )
    jobs = mine.run(MINI_SAE)
    assert jobs["extract"] == jobs["train_saes"] == 1
    assert (mine.folder / MINI_SAE).is_file()
    told = subprocess.run(
        [sys.executable, "-m", "crosslens.cli", "plan", "mini"],
        cwd=mine.folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0 and "train_saes" in told.stdout + told.stderr, told
