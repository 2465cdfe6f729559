"""What `crosslens plan` foretells, against a small real run of the embedded model and against hand computation."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from crosslens import cli
from crosslens.activations.extract import extract
from crosslens.data.dataset import build_dataset
from crosslens.errors import InputError
from crosslens.features.encode import encode
from crosslens.planning.outline import Outline, outline
from crosslens.planning.plan import make_plan
from crosslens.planning.rates import Rate, Rates, load_rates
from crosslens.planning.show import as_text
from crosslens.planted.source import write_source
from crosslens.sae.training import train_saes
from crosslens.store.digests import FileDigests
from crosslens.study import Study
from crosslens.tables.tokens import read_tokens

ROOT = Path(__file__).parents[1]
STUDY = {
    "model": {"id": "resources/planted"},
    "languages": ["en", "ar"],
    "source": {"planted": {"images": 60, "seed": 7}},
    "prompts": {"en": "Describe the picture.", "ar": "صف الصورة."},
    "lexicons": {language: f"resources/lexicons/planted_{language}.yaml" for language in ("en", "ar")},
    "sites": ["2", "4"],
    "activations": {"part_rows": 25, "shard_mb": 1},
    "sae": {"corpora": ["joint"], "sites": ["4"], "k": 8, "epochs": 1, "batch_tokens": 256},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study, read at the root of this checkout."""
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    folder = tmp_path_factory.mktemp("studies")
    (folder / "small.yaml").write_text(yaml.safe_dump(STUDY, allow_unicode=True), encoding="utf-8")
    schema = ROOT / "workflow/schemas/study.schema.yaml"
    yield Study("small", folder, schema, FileDigests(folder / "files.json"))
    patch.undo()


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    """The stages that store much, as their rules call them: language → paths; and the SAE."""
    folder = tmp_path_factory.mktemp("run")
    write_source(folder / "source", images=60, seed=7)
    settings = study.settings
    data = {language: folder / f"{language}.parquet" for language in study.languages}
    build_dataset(
        captions=folder / "source/captions.csv",
        images=folder / "source/images",
        columns=None,
        prompts=settings["prompts"],
        lexicons={language: Path(file) for language, file in settings["lexicons"].items()},
        splits={name: settings["splits"][name] for name in ("train", "select", "test")},
        seed=0,
        out=data,
        out_summary=folder / "summary.json",
    )
    stored = settings["activations"]
    tokens = {language: [] for language in study.languages}
    sites = {language: {site: [] for site in study.sites} for language in study.languages}
    for language in study.languages:
        for part in study.parts:
            place = folder / language / part
            place.mkdir(parents=True)
            tokens[language].append(place / "tokens.zarr")
            paths = {site: place / f"{site}.zarr" for site in study.sites}
            for site, path in paths.items():
                sites[language][site].append(path)
            extract(
                dataset=data[language],
                images=folder / "source/images",
                rows=study.part_rows(part),
                model={"id": "resources/planted", "device": "cpu"},
                sites=paths,
                tokens=tokens[language][-1],
                batch_tokens=stored["batch_tokens"],
                shard_bytes=round(stored["shard_mb"] * 2**20),
                language=language,
            )
    sae = folder / "sae" / "seed_0"
    sae.parent.mkdir()
    identity = {
        "study": "small",
        "corpus": "joint",
        "site": "4",
        "seed": "0",
        "model": "planted",
        "revision": "",
    }
    train_saes(
        datasets=data,
        tokens=tokens,
        activations={language: sites[language]["4"] for language in study.languages},
        saes=[
            {
                "identity": identity,
                "settings": {"k": 8, "batch_tokens": 256},
                "languages": study.languages,
                "out": sae,
            }
        ],
        device="cpu",
    )
    codes = [folder / f"codes_{language}.zarr" for language in study.languages]
    for language, out in zip(study.languages, codes, strict=True):
        encode(
            sae=sae,
            tokens=tokens[language],
            activations=sites[language]["4"],
            roles=("prompt", "caption"),
            out=out,
        )
    return {"tokens": tokens, "sites": sites, "sae": sae, "codes": codes}


@pytest.fixture(scope="module")
def plan(study):
    return make_plan(study, load_rates())


def on_disk(paths):
    """Files below the paths and their bytes, without what extraction keeps beside its outputs."""
    files = [file for path in paths for file in path.rglob("*") if file.is_file()]
    return len(files), sum(file.stat().st_size for file in files)


def foretold(plan, what):
    return next(stored for stored in plan.stored if stored.what == what)


def test_rows_are_those_of_the_run(plan, run):
    for language, paths in run["tokens"].items():
        assert plan.rows[language] == len(read_tokens(paths))
        assert len(plan.counts[language].all) == 60
        assert plan.counts[language].basis.startswith("counted")


def test_activations_take_the_files_and_bytes_foretold(plan, run):
    for language, sites in run["sites"].items():
        files, size = on_disk([path for paths in sites.values() for path in paths])
        stored = foretold(plan, f"activations {language}")
        assert (stored.count, stored.files) == (6, files)
        assert stored.bytes == pytest.approx(size, rel=0.15)
        assert foretold(plan, f"tokens {language}").files == on_disk(run["tokens"][language])[0]


def test_saes_and_codes_take_the_files_and_bytes_foretold(plan, run):
    files, size = on_disk([run["sae"]])
    stored = foretold(plan, "SAEs")
    assert (stored.count, stored.files) == (1, files)
    assert stored.bytes == pytest.approx(size, rel=0.15)
    files, size = on_disk(run["codes"])
    stored = foretold(plan, "codes")
    assert (stored.count, stored.files) == (2, files)
    assert stored.bytes == pytest.approx(size, rel=0.35)


def test_parameters_and_operations_by_hand():
    """gemma-3-4b-it has 4.30 billion parameters; one block's products counted matrix by matrix."""
    file = ROOT / "resources/architectures/google--gemma-3-4b-it.json"
    from transformers import AutoConfig

    sizes = json.loads(file.read_text())
    model = Outline(
        "google/gemma-3-4b-it", AutoConfig.for_model(sizes.pop("model_type"), **sizes), "nowhere/at-all", ""
    )
    assert model.parameters == pytest.approx(4.30e9, rel=1e-3)
    assert (model.d_model, len(model.adapter.blocks), model.image_tokens()) == (2560, 34, 256)
    assert model.loaded is None
    d, mlp, heads, kv, width, tokens = 2560, 10240, 8, 4, 256, 278
    products = d * width * (2 * heads + 2 * kv) + 3 * d * mlp
    attention = 2 * tokens * heads * width
    assert model.text_flops(tokens, 3) == pytest.approx(3 * 2 * tokens * (products + attention), rel=1e-3)
    patches, d, mlp = 64**2, 1152, 4304
    block = 4 * d * d + 2 * d * mlp + 2 * patches * d
    assert model.image_flops() == pytest.approx(27 * 2 * patches * block, rel=0.01)


def test_a_model_that_is_not_here_needs_its_configuration(study, monkeypatch, tmp_path):
    monkeypatch.setitem(study.settings, "model", study.settings["model"] | {"id": "nobody/nothing"})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="--config FILE"):
        outline(study)
    config = ROOT / "resources/planted/config.json"
    assert outline(study, config).d_model == json.loads(config.read_text())["text_config"]["hidden_size"]
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no configuration"):
        outline(study, tmp_path / "config.json")


def test_hours_follow_from_the_rate(study):
    shipped = load_rates()
    plans = [
        make_plan(study, Rates([Rate("gpu: x", "forward", value, "FLOP/s", "measured"), *shipped.rates]))
        for value in (1e9, 2e9)
    ]
    start = shipped.find("job_start").value / 3600
    slow, fast = (next(jobs for jobs in plan.jobs if jobs.rule == "extract") for plan in plans)
    assert slow.count == 6 and slow.hours - 6 * start == pytest.approx(2 * (fast.hours - 6 * start))
    assert slow.basis.endswith("(gpu: x): measured")


def test_own_rates_come_first_and_missing_ones_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    entry = Rate("gpu: mine", "forward", 7.0, "FLOP/s", "measured")._asdict()
    own = tmp_path / "rates.json"
    own.write_text(json.dumps({"schema": 1, "kind": "rates", "rates": [entry]}))
    assert load_rates(own).find("forward", "gpu").value == 7
    monkeypatch.setenv("CROSSLENS_RATES", str(own))
    assert load_rates().find("forward", "gpu").device == "gpu: mine"
    assert load_rates().find("forward", "cpu").device.startswith("cpu")
    with pytest.raises(InputError, match="--write-rates"):
        Rates([]).find("forward", "gpu")
    with pytest.raises(InputError, match="no such file"):
        load_rates(tmp_path / "none.json")


def test_every_figure_has_a_basis(plan):
    text = as_text(plan)
    for basis in [*(stored.basis for stored in plan.stored), *(jobs.basis for jobs in plan.jobs)]:
        assert basis and basis in text
    for rate in load_rates().rates:
        assert rate.basis.startswith(("measured on 20", "assumed: ")), rate


def test_the_real_study_without_its_data(monkeypatch, capsys):
    """No captions, no pictures, no model, no network: fp32 87 GB become at most 12 GB a language."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", ["crosslens", "plan", "gemma3_4b", "--samples", "2000", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and said["kind"] == "plan"
    assert (said["samples"], said["d_model"]) == (2000, 2560)
    size = {stored["what"]: stored["bytes"] / 1e9 for stored in said["stored"]}
    assert 0.5 < size["activations en"] < 12 and 0.5 < size["activations ar"] < 12
    assert all(np.isfinite(jobs["hours"]) and jobs["hours"] > 0 for jobs in said["jobs"])
