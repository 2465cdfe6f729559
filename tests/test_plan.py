"""What `crosslens plan` foretells, against a small real run of the embedded model and against hand computation."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkouts import START, Checkout
from PIL import Image

from crosslens import cli
from crosslens.artifacts.table import Studies, Table
from crosslens.errors import InputError
from crosslens.planning.outline import Outline, _read_config, outline
from crosslens.planning.plan import make_plan
from crosslens.planning.rates import Rate, Rates, load_rates
from crosslens.planning.show import as_document, as_text
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study
from crosslens.tables.tokens import read_tokens

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/study.schema.yaml"
WORK = {script.stem for script in (ROOT / "workflow/scripts").glob("*.py")} - {"link", "link_pages"}
WORK |= {"apply_swept_sae", "splice_swept_saes"}
"""The rules that compute; the others name or collect."""
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
    yield Study("small", folder, SCHEMA, FileDigests(folder / "files.json"))
    patch.undo()


@pytest.fixture(scope="module")
def plan(study):
    return make_plan(study, load_rates())


@pytest.fixture(scope="module")
def toy(built_once):
    """The plan of the study that was built, and its results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(built_once.folder)
        patch.setattr("crosslens.planning.rates.SHIPPED", ROOT / "resources/rates.json")
        built = Study("toy", Path("config/studies"), SCHEMA, FileDigests(built_once.folder / "files.json"))
        yield make_plan(built, load_rates()), built_once.folder / "results/toy"


def on_disk(paths):
    """Files below the paths and their bytes."""
    files = [file for path in paths for file in path.rglob("*") if file.is_file()]
    return len(files), sum(file.stat().st_size for file in files)


def foretold(plan, what):
    return next(stored for stored in plan.stored if stored.what == what)


def test_rows_are_those_of_the_run(toy):
    plan, results = toy
    for language in STUDY["languages"]:
        paths = sorted((results / f"activations/{language}/tokens").iterdir())
        assert plan.rows[language] == len(read_tokens(paths))
        assert len(plan.counts[language].all) == 60
        assert plan.counts[language].basis.startswith("counted")


def test_activations_take_the_files_and_bytes_foretold(toy):
    plan, results = toy
    for language in STUDY["languages"]:
        folder = results / f"activations/{language}"
        files, size = on_disk((folder / "layer_1").iterdir())
        stored = foretold(plan, f"activations {language}")
        assert (stored.count, stored.files) == (2, files)
        assert stored.bytes == pytest.approx(size, rel=0.15)
        assert foretold(plan, f"tokens {language}").files == on_disk((folder / "tokens").iterdir())[0]


def test_saes_and_codes_take_the_files_and_bytes_foretold(toy):
    plan, results = toy
    files, size = on_disk([results / "sae/joint/layer_1/seed_0"])
    stored = foretold(plan, "SAEs")
    assert (stored.count, stored.files) == (1, files)
    assert stored.bytes == pytest.approx(size, rel=0.15)
    files, size = on_disk((results / "codes/joint").rglob("layer_1.zarr"))
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
    # Each of the six parts is one batch.
    start = (shipped.find("job_start").value + shipped.find("batch").value) / 3600
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


ODD = {
    **STUDY,
    "sites": ["2", "3", "4"],
    "source": {"captions": "captions.csv"},
    "sae": {
        "corpora": ["joint", "ar"],
        "sites": ["2", "4"],
        "seeds": [0, 1],
        "k": 8,
        "pretrained": {"other": {"3": "captions.csv", "4": "captions.csv"}},
    },
    "sweep": {"k": [4, 8, 16]},
    "tokens": {"texts": [{"language": "en", "text": "A man."}]},
    "compare": {"with": ["answers"]},
}
"""SAEs of others, two seeds, a sweep, chosen tokens, and another model that has one of its two languages."""
ANSWERS = {
    "model": {"id": "package:smollm2-135m-instruct"},
    "languages": ["en"],
    "source": {"prompts": ["Who?", "What?", "Where?"]},
    "gender": None,
    "sites": ["1", "2"],
    "activations": {"roles": ["prompt", "generated"], "part_rows": 2},
    "sae": {"sites": ["1"], "roles": ["generated"]},
}


@pytest.fixture(scope="module")
def nothing_built(tmp_path_factory):
    """A folder that has studies and what they need, and no results."""
    folder = tmp_path_factory.mktemp("nothing")
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text("run: [planted]\n")
    (folder / "resources").symlink_to(ROOT / "resources")
    studies = folder / "config/studies"
    studies.mkdir()
    for shipped in (ROOT / "config/studies").glob("*.yaml"):
        (studies / shipped.name).symlink_to(shipped)
    for name, settings in {"odd": ODD, "answers": ANSWERS}.items():
        (studies / f"{name}.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    rows = [
        f"{i},a {who} reads {i},شخص يقرأ {i},{gender}"
        for i in range(20)
        for who, gender in [(("man", "m"), ("woman", "f"))[i % 2]]
    ]
    rows = ["image_id,english_prompt,arabic_prompt,ground_truth_gender", *rows]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def table(folder: Path, *, data_needed: bool = True) -> Table:
    """The artifacts of the studies in `folder`."""
    digests = FileDigests(Path("/nowhere/files.json"))
    return Table(Studies(lambda name: Study(name, folder, SCHEMA, digests, data_needed=data_needed)))


@pytest.mark.workflow
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("name", ["odd", "answers"])
def test_jobs_are_those_of_a_dry_run(nothing_built, monkeypatch, name):
    monkeypatch.chdir(nothing_built)
    said = subprocess.run(
        [Checkout.python, START, sys.executable, "-s", ROOT / "Snakefile", "-n", "--config", f"run={name}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout
    stats = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)^total", said, re.MULTILINE | re.DOTALL)
    assert stats, said
    lines = [line.split() for line in stats[1].splitlines()]
    declared = table(Path("config/studies"))
    truth = Counter({rule: int(count) for rule, count in lines if rule in declared.works})
    assert declared.jobs(declared.everything(name)) == truth


def test_memory_of_an_extraction_holds_the_pictures_that_are_read_ahead(monkeypatch):
    """gemma3_4b: 8,192 tokens a batch are 32 pictures of 896 x 896 x 3, each 35 MiB as read, as float32 and cast."""
    monkeypatch.chdir(ROOT)
    declared = table(ROOT / "config/studies", data_needed=False)
    one, four = (declared.megabytes("extract", {"study": "gemma3_4b"}, threads=threads) for threads in (1, 4))
    assert four - one == pytest.approx(3 * 32 * 34.4, rel=0.01)
    weights = 4 * 4_300_079_472 / 2**20
    assert one == pytest.approx(weights + 1500 + 4 * 8192 * 2560 * 8 * 4 / 2**20 + 3 * 32 * 34.4, rel=0.01)
    text = {"study": "brain_surgery"}
    assert declared.megabytes("extract", text, threads=8) == declared.megabytes("extract", text)


def own_captions(folder, captions, **settings):
    """A study of these English captions, in the embedded model: its declarations, and itself."""
    rows = "".join(f"{number},{caption}\n" for number, caption in enumerate(captions))
    (folder / "captions.csv").write_text(f"image_id,en_caption\n{rows}", encoding="utf-8")
    own = {
        "languages": ["en"],
        "source": {"captions": str(folder / "captions.csv")},
        "prompts": {"en": ""},
        "gender": None,
        "lexicons": {},
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(STUDY | own | settings), encoding="utf-8")
    read = Study("own", folder, SCHEMA, FileDigests(folder / "files.json"))
    return table(folder), read


def test_memory_of_an_extraction_is_bounded_by_the_rows_that_there_are(tmp_path, monkeypatch):
    """Twelve captions of 40 letters: batches of 16 times as many tokens ask for no more."""
    monkeypatch.chdir(ROOT)
    memory = []
    for batch_tokens in (16384, 262_144):
        stored = {"part_rows": 2000, "batch_tokens": batch_tokens}
        declared, _ = own_captions(tmp_path, ["a" * 40] * 12, activations=stored)
        place = {"study": "own", "language": "en", "part": "0000"}
        memory.append(declared.megabytes("extract", place) - 1500)
    weights = 2 * (ROOT / "resources/planted/model.safetensors").stat().st_size / 2**20
    d_model, heads, length, sites = 128, 4, 40 + 128, 2
    values = 4 * 4 * 12 * length * d_model * sites
    scores = 3 * 4 * heads * 12 * length**2
    assert memory[0] == memory[1] == pytest.approx(weights + (values + scores) / 2**20, abs=2)


def test_pictures_that_keep_their_size_are_bounded_by_their_own_pixels(tmp_path, monkeypatch):
    """Twelve of 280 x 560 in Qwen2-VL: 10 x 20 tokens each, a token 28 x 28 pixels, twice, as float32 and cast."""
    monkeypatch.chdir(ROOT)
    pictures, model = tmp_path / "pictures", tmp_path / "model"
    pictures.mkdir()
    model.mkdir()
    for number in range(12):
        Image.new("RGB", (560, 280 if number else 28)).save(pictures / f"{number}.png")
    sizes = {"hidden_size": 128, "num_hidden_layers": 7, "num_attention_heads": 4, "vocab_size": 300}
    config = {"model_type": "qwen2_vl", **sizes, "vision_config": {"patch_size": 14, "spatial_merge_size": 2}}
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (model / "model.safetensors").write_bytes(b"0" * 2**20)
    source = {"captions": str(tmp_path / "captions.csv"), "images": str(pictures)}

    def asked(batch_tokens, **said):
        (model / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
        declared, _ = own_captions(
            tmp_path,
            ["a" * 40] * 12,
            model={"id": str(model)},
            source=source,
            activations={"part_rows": 2000, "batch_tokens": batch_tokens},
        )
        place = {"study": "own", "language": "en", "part": "0000"}
        return declared.megabytes("extract", place, threads=1) - 1500 - 2

    length, sites = 40 + 128 + 200, 2
    values, scores = 4 * 4 * 12 * length * 128 * sites, 3 * 4 * 4 * 12 * length**2
    pixels = 12 * (3 * 280 * 560 + 8 * 2 * 3 * 200 * 28**2)
    few = (values + scores + pixels) / 2**20
    assert asked(16384) == asked(262_144) == pytest.approx(few, abs=2)
    # scaled down to 5 x 10 tokens; all that waits is no more than the tokens of three batches
    assert asked(16384, max_pixels=50 * 28**2) < few / 2
    assert asked(400, max_pixels=50 * 28**2) < asked(16384, max_pixels=50 * 28**2)


def test_nothing_asks_for_much_more_than_the_model_where_there_are_few_rows(tmp_path, monkeypatch):
    """Twelve short captions with pictures in gemma-3-4b-it: every rule of all that a study can ask for.

    5.5 GB beside the model are its logits, SAEs, a batch; a tuned lens besides has seven maps of d x d in each of 34 blocks.
    """
    monkeypatch.chdir(ROOT)
    said = ((number, *(("woman", "امرأة") if number % 2 else ("man", "رجل"))) for number in range(12))
    rows = "".join(f"{number},a {english} reads,{arabic} تقرأ\n" for number, english, arabic in said)
    (tmp_path / "captions.csv").write_text(f"image_id,en_caption,ar_caption\n{rows}", encoding="utf-8")
    for number in range(12):
        Image.new("RGB", (64, 48), (20 * number, 90, 30)).save(tmp_path / f"{number}.png")
    own = yaml.safe_load((ROOT / "config/studies/planted_full.yaml").read_text(encoding="utf-8")) | {
        "model": {"id": "google/gemma-3-4b-it"},
        "source": {"captions": str(tmp_path / "captions.csv"), "images": str(tmp_path)},
        "lexicons": {language: f"resources/lexicons/gender_{language}.yaml" for language in ("en", "ar")},
        "sites": ["14", "17"],
        "sweep": {"k": [16, 32]},
        "controls": [],
    }
    own["steering"] |= {"sites": ["17"]}
    # of its claims one is asked of this study too
    (tmp_path / "planted_control.yaml").write_bytes(
        (ROOT / "config/studies/planted_control.yaml").read_bytes()
    )
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own, allow_unicode=True), encoding="utf-8")
    declared, asked = table(tmp_path), {}
    for kind, wildcards in declared.everything("own"):
        rule = declared.kinds[kind].by
        asked[rule] = max(asked.get(rule, 0), declared.megabytes(rule, wildcards))
    on_model = {
        "extract",
        "splice_saes",
        "steer_features",
        "patch_activations",
        "patch_features",
        "generate_captions",
    }
    assert on_model | {"ablate_features", "substitute_features", "measure_attention", "read_lenses"} < {
        *asked
    }
    weights, maps = 4 * 4_300_079_472 / 2**20, 34 * 7 * 2560**2 * 4 / 2**20
    assert weights + maps < asked.pop("fit_lenses") < weights + maps + 5500
    assert max(asked.values()) < weights + 5500, asked


def test_what_is_wrong_with_the_data_is_known_to_the_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, own = own_captions(tmp_path, ["the same"] * 12)
    plan = make_plan(own, load_rates())
    assert [warned.code for warned in plan.warnings] == ["equal_captions", "small_test"]
    assert f"Note: {plan.warnings[0].message}" in as_text(plan)
    assert as_document(plan)["warnings"][0]["code"] == "equal_captions"
    gender = {
        "gender": {"conditions": ["caption"]},
        "lexicons": {"en": "resources/lexicons/gender_en.yaml"},
        "splits": {"train": 0.4, "select": 0.3, "test": 0.3},
    }
    captions = [f"a {('woman', 'man')[i % 2]} {i}" for i in range(20)]
    (small,) = make_plan(own_captions(tmp_path, captions, **gender)[1], load_rates()).warnings
    assert small.code == "small_test" and "3 female and 3 male texts" in small.message
    captions = [f"a woman {i}" for i in range(20)]
    (one,) = make_plan(own_captions(tmp_path, captions, **gender)[1], load_rates()).warnings
    assert one.code == "one_gender"


def test_without_lexicons_nothing_is_captioned_that_they_would_count(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    kinds = {}
    for name, lexicons in (("with", STUDY["lexicons"]), ("without", {})):
        (tmp_path / f"{name}.yaml").write_text(
            yaml.safe_dump(STUDY | {"lexicons": lexicons}), encoding="utf-8"
        )
        kinds[name] = {kind for kind, _ in table(tmp_path).everything(name)}
    assert kinds["with"] - kinds["without"] == {"generated", "stereotype"}


def test_a_text_that_is_too_long_is_told_by_the_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, own = own_captions(tmp_path, ["a short one", "word " * 10_000, *(f"another {i}" for i in range(10))])
    with pytest.raises(InputError, match=r"sample 1#0: found [\d,]+ tokens.*at most 512 tokens in each"):
        make_plan(own, load_rates())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("google--gemma-3-4b-it", 4_300_079_472), ("google--gemma-3-1b-it", 999_885_952)],
)
def test_shipped_sizes_say_how_many_parameters_they_make(name, parameters):
    file = ROOT / f"resources/architectures/{name}.json"
    assert json.loads(file.read_text())["parameters"] == parameters
    assert Outline("nobody/nothing", _read_config(file), "nowhere/at-all", "").parameters == parameters


def test_answers_are_planned_as_the_longest_and_read_once_they_are_there(nothing_built, monkeypatch):
    """The prompt's tokens are stored too; the model's own dictionary is not here, so characters are counted."""
    monkeypatch.chdir(nothing_built)
    answers = Study("answers", Path("config/studies"), SCHEMA, FileDigests(nothing_built / "files.json"))
    planned = make_plan(answers, load_rates(), gpu=False)
    counts = planned.counts["en"]
    assert counts.stored.tolist() == [40 + 1, 40 + 2, 40 + 2] and counts.trained.tolist() == [40] * 3
    jobs = {jobs.rule: jobs.count for jobs in planned.jobs}
    assert jobs["generate_texts"] == jobs["prepare_model"] == 1 and jobs["extract"] == 2
    assert "build_dataset" not in jobs and planned.hours("gpu") == 0


def test_a_splice_is_five_passes_and_one_to_the_site(study):
    shipped = load_rates()
    rates = [Rate("any", what, 1e-30, "s", "assumed: ") for what in ("job_start", "batch")]
    rates += [Rate("any", "forward", 1.0, "FLOP/s", "assumed: "), *shipped.rates]
    found = next(jobs for jobs in make_plan(study, Rates(rates)).jobs if jobs.rule == "splice_saes")
    model = outline(study)
    samples = 60 * study.settings["splits"]["test"], 60 * study.settings["splits"]["train"]
    flops = 0.0
    for counts in make_plan(study, shipped).counts.values():
        mean = float(counts.all.mean())
        whole = model.text_flops(mean, model.depth) + model.head_flops(mean) + model.image_flops()
        flops += 5 * samples[0] * whole + samples[1] * (model.text_flops(mean, 5) + model.image_flops())
    assert found.hours * 3600 == pytest.approx(flops)


def test_names_are_read_and_only_labelled_images_are_probed(tmp_path, monkeypatch):
    """Messages that were not fetched count as long as names of emoji, and no gender is in them."""
    pytest.importorskip("emoji")
    monkeypatch.chdir(ROOT)
    names = {"emoji": {"skin_tones": False}, "messages": {"folder": str(tmp_path / "none"), "count": 100}}
    settings = {name: value for name, value in STUDY.items() if name != "source"} | {
        "source": {"names": names}
    }
    (tmp_path / "names.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    named = Study("names", tmp_path, SCHEMA, FileDigests(tmp_path / "files.json"))
    counts = make_plan(named, load_rates()).counts["en"]
    assert len(counts.all) == named.source.n_rows and counts.pictures == 0
    assert "not fetched yet" in counts.basis
    assert 0 < counts.labelled < counts.images and counts.hidden == counts.images - counts.labelled >= 100


PAGES = {"feature_pages": 200, "live": 30, "summary_tables": 30}
"""Folders whose files are as many as there are pictures, features and lists of records, and what is foretold of them."""


def test_a_whole_study_stores_what_was_foretold(built_once, toy):
    """Artifacts and files exactly, but of folders of pages no more than so many; bytes by a factor. Not hours: wall time is
    that of whatever else the machine does."""
    stored = [one for one in toy[0].stored if not one.what.startswith("checkpoints")]
    made = {
        (record["recipe"]["kind"], record["recipe"]["path"]): record["action"].resolve()
        for record in built_once.records()
        if record["recipe"]["path"].startswith("results/toy/")
    }
    assert len(made) == sum(one.count for one in stored)
    files = [file for place in made.values() for file in ([place] if place.is_file() else place.rglob("*"))]
    files = [file for file in files if file.is_file()]
    pages = {place: PAGES[kind] for (kind, _), place in made.items() if kind in PAGES}
    held = {place: sum(place in file.parents for file in files) for place in pages}
    assert pages and all(0 < held[place] <= pages[place] for place in pages)
    assert len(files) - sum(held.values()) == sum(one.files for one in stored) - sum(pages.values())
    size = sum(file.stat().st_size for file in files)
    assert sum(one.bytes for one in stored) == pytest.approx(size, rel=0.6)


def test_a_studys_controls_are_planned_with_it(tmp_path, monkeypatch):
    """Each has activations and SAEs of its own, and no page."""
    monkeypatch.chdir(ROOT)
    settings = {name: value for name, value in STUDY.items() if name != "compare"}
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump(settings | {"controls": ["random_init"]}, allow_unicode=True), encoding="utf-8"
    )
    own, control = (
        Study(name, tmp_path, SCHEMA, FileDigests(tmp_path / "files.json"))
        for name in ("own", "own__random_init")
    )
    plan = make_plan(own, load_rates(), compared=[control])
    counts = {one.what: one.count for one in plan.stored}
    for what in ("SAEs", "activations en", "codes"):
        assert counts[f"{what}, own__random_init"] == counts[what] > 0
    assert {job.rule: job.count for job in plan.jobs}["build_report"] == 1


@pytest.mark.parametrize(("name", "minutes", "most"), [("planted", 2.5, 2), ("emoji_gemma", 24, 3)])
def test_hours_are_those_of_studies_that_were_run_on_two_cores(tmp_path, monkeypatch, name, minutes, most):
    """Minutes of the whole run, as resources/examples/emoji_gemma has them too; it did not build the compared study, and
    was before version 0.2.0: without a site, grammar, representations and what the languages share."""
    monkeypatch.chdir(ROOT)
    settings = yaml.safe_load((ROOT / f"config/studies/{name}.yaml").read_text(encoding="utf-8"))
    if "names" in settings["source"]:
        pytest.importorskip("emoji")
    settings.pop("compare", None)
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    known = Study(name, tmp_path, SCHEMA, FileDigests(tmp_path / "files.json"))
    hours = make_plan(known, load_rates(), gpu=False).hours("cpu")
    assert 0.5 < hours / (2 * minutes / 60) < most
