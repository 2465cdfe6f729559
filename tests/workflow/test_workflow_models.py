"""Studies of texts that the model writes, of sites without SAEs, of GGUF files, and without gender."""

import html
import json
import re
import shutil
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from checkouts import ANSWERS, ANSWERS_PAGE, MINI, REPOSITORY, TOY, UNGENDERED, write_tiny_gguf

from crosslens.artifacts.table import Studies, Table
from crosslens.errors import InputError
from crosslens.sources.plan import DEBIAN_FONT
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

ON_GENDER = {
    "gender",
    "gender_robustness",
    "gendered_examples",
    "probe_codes",
    "probe_activations",
    "probe_words",
    "measure_words",
    "cross_lingual",
    "gender_transfer",
    "generate_captions",
    "measure_stereotype",
    "gender_layer_figures",
    "gender_figures",
}
"""What a study without gender neither makes nor names."""
CHAIN = {"extract", "train_saes", "apply_saes", "analyse_codes", "layer_summary"}


# texts that the model writes


def test_a_generation_study_has_its_page_and_what_was_generated(answered_once):
    results = answered_once.folder / "results/answers"
    metadata = json.loads((results / "texts/metadata.json").read_text(encoding="utf-8"))
    prompts = ANSWERS["source"]["prompts"]
    assert [text["prompt"] for text in metadata["texts"]] == [p for p in prompts for _ in range(4)]
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert all(prompt in page for prompt in prompts)
    shown = html.unescape(re.sub("<[^>]+>", "", page))
    assert any(text["generated_text"] in shown for text in metadata["texts"])
    assert not (results / "gender").exists()


def test_a_repeat_of_a_generation_study_does_nothing(answered_once):
    assert answered_once.planned(ANSWERS_PAGE) == {}


def test_a_changed_prompt_is_answered_and_extracted_again(answered):
    answered.configure(
        "answers", {**ANSWERS, "source": {"prompts": [*ANSWERS["source"]["prompts"][:3], "نعم"]}}
    )
    work = answered.work(ANSWERS_PAGE)
    assert work["generate_texts"] == work["extract"] == 1
    assert CHAIN | {"build_report"} <= work.keys()


def test_a_setting_of_the_sae_generates_nothing(answered):
    answered.configure("answers", {**ANSWERS, "sae": {**ANSWERS["sae"], "k": 5}})
    work = answered.work(ANSWERS_PAGE)
    assert work["train_saes"] == 1
    assert not {"generate_texts", "extract"} & work.keys()


def test_an_edit_that_writes_the_same_texts_extracts_nothing(answered):
    before = answered.digests()
    answered.append("src/crosslens/generation/texts.py", "\nUNUSED = 1\n")
    target = "results/answers/activations/ar/layer_1/part_0000.zarr"
    assert answered.run(target)["generate_texts"] == 1
    log = (answered.folder / "logs/answers/extract_ar_0000.log").read_text()
    assert "computed" not in log and "reused, its inputs are the same bytes" in log
    assert answered.digests() == before


def test_generation_is_a_job_of_the_gpu_partition(fresh):
    fresh.configure("answers", ANSWERS)
    # a dry run says the messages of its jobs, but not their partitions
    fresh.edit(
        "rules/data.smk", "the model answers the prompts [", "answers on {resources.slurm_partition} ["
    )
    fresh.edit("rules/report.smk", ': the report"', ': report on {resources.slurm_partition}"')
    said = fresh.snakemake("--profile", "slurm", "-n", ANSWERS_PAGE)
    assert "answers: answers on gpu [1 GPU, " in said and "answers: report on cpu" in said
    assert "train_saes" in said


# sites without SAEs


def test_a_site_without_sae_is_extracted_and_summarised(answered_once):
    results = answered_once.folder / "results/answers"
    assert (results / "activations/ar/layer_2/part_0000.zarr").is_dir()
    with_sae, without = (json.loads((results / f"layers/{site}.json").read_text()) for site in ("1", "2"))
    assert len(with_sae["saes"]) == 1 and not {"saes", "training", "rankings"} & without.keys()
    for folder in ("sae", "codes", "features", "quality", "figures"):
        found = {path.name.removesuffix(path.suffix) for path in (results / folder).rglob("layer_*")}
        assert found == {"layer_1"}, folder


@pytest.mark.long
def test_a_site_without_sae_is_probed_and_compared(built):
    sae = {**TOY["sae"], "sites": ["1"]}
    built.configure("toy", {**TOY, "sites": ["1", "2"], "sae": sae})
    work = built.work()
    assert "train_saes" not in work and "apply_saes" not in work
    assert work["analyse_activations"] == 1
    built.snakemake("results/toy/layers/2.json")
    summary = json.loads((built.folder / "results/toy/layers/2.json").read_text())
    assert not {"saes", "gender"} & summary.keys()
    assert {(probe["corpus"], probe["language"]) for probe in summary["probes"]} == {
        ("activations", language) for language in TOY["languages"]
    }
    assert all(summary[name] for name in ("transfer", "directions", "retrieval", "cka"))


# captions without gender


@pytest.mark.long
def test_a_caption_study_without_gender_has_no_gender_jobs(built):
    built.configure("mini", UNGENDERED | {"lexicons": MINI["lexicons"]})
    done = built.run("results/mini/report/index.html")
    assert not ON_GENDER & done.keys()
    assert done["analyse_codes"] == done["build_report"] == 1
    results = built.folder / "results/mini"
    summary = json.loads((results / "layers/1.json").read_text())
    assert summary["saes"] and not {"gender", "probes", "transfer"} & summary.keys()
    assert not (results / "gender").exists() and not (results / "figures/probes.png").exists()


# a model in a GGUF file


@pytest.mark.long
def test_a_gguf_file_is_converted_once_and_an_edit_that_gives_the_same_bytes_is_cut_off(fresh):
    pytest.importorskip("gguf", reason="GGUF files are written with the package gguf")
    write_tiny_gguf(fresh.folder / "data/tiny.gguf")
    table = ["image_id,english_prompt,ground_truth_gender"]
    table += [f"i{i},A {word} holds a book.,unknown" for i, word in enumerate(["nurse", "cook", "pilot"] * 4)]
    (fresh.folder / "data/captions.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    of_texts = UNGENDERED | {
        "model": {"id": "data/tiny.gguf"},
        "source": {"captions": "data/captions.csv"},
    }
    fresh.configure("first", {**of_texts, "sites": ["1"]})
    fresh.configure("second", {**of_texts, "sites": ["2"]})
    first, second = (
        f"results/{study}/activations/en/layer_{site}/part_0000.zarr"
        for study, site in (("first", "1"), ("second", "2"))
    )
    done = fresh.run(first)
    assert done["prepare_model"] == done["extract"] == 1
    assert fresh.work(second) == {"extract": 1}
    fresh.snakemake(second)
    assert sum(record["recipe"]["kind"] == "model" for record in fresh.records()) == 1

    before = fresh.digests()
    fresh.append("src/crosslens/models/gguf.py", "\nUNUSED = 1\n")
    done = fresh.run(first)
    assert done["prepare_model"] == done["extract"] == 1
    assert re.search(
        r"model/tiny: computed", (fresh.folder / "logs/first/prepare_model_tiny.log").read_text()
    )
    log = (fresh.folder / "logs/first/extract_en_0000.log").read_text()
    assert "computed" not in log and "reused, its inputs are the same bytes" in log
    assert fresh.digests() == before
    assert "prepare_model" not in fresh.work(second)


# the studies of the repository


def test_studies_of_the_repository_plan_or_say_what_is_missing(fresh, monkeypatch):
    """The user's own table is not there, nor, without its package or download, what names and messages need.

    Of each kind of source one is planned, by the table that Snakemake's jobs are those of (tests/test_plan.py).
    """
    for shipped in ("planted_control", "texts"):
        (fresh.folder / "resources" / shipped).symlink_to(REPOSITORY / "resources" / shipped)
    studies = {}
    for file in sorted((REPOSITORY / "config/studies").glob("*.yaml")):
        shutil.copy(file, fresh.folder / "config/studies")
        studies[file.stem] = yaml.safe_load(file.read_text(encoding="utf-8"))
    monkeypatch.chdir(fresh.folder)

    def jobs(study: str) -> Counter:
        digests = FileDigests(fresh.folder / "files.json")
        schema = Path("workflow/schemas/study.schema.yaml")
        table = Table(Studies(lambda name: Study(name, Path("config/studies"), schema, digests)))
        everything = table.everything(study)
        for need in everything:
            table.params(*need)
        return table.jobs(everything)

    def missing(study: str) -> str:
        """What its reader says; that Snakemake says that and no more, tests/test_wrong_settings.py asks."""
        with pytest.raises(InputError) as told:
            jobs(study)
        return str(told.value)

    for study in ("captions", "gemma3_4b"):
        of_table = rf"{study}\.yaml, key source\.captions: found nothing at data/captions\.csv"
        assert studies.pop(study) and re.search(of_table, missing(study))
    for study, mend in (
        ("categories", "correct the path"),
        ("mt_geneval_gemma", "clone github.com/amazon-science"),
        ("mt_geneval_controls", "clone github.com/amazon-science"),
        ("mt_geneval_interventions", "clone github.com/amazon-science"),
    ):
        assert studies.pop(study) and f"To mend: {mend}" in missing(study)
    of_names = [study for study in studies if study.startswith("emoji_")]
    if find_spec("emoji") is None:
        assert "To mend: pip install emoji" in missing(of_names[0])
        studies = {study: of for study, of in studies.items() if study not in of_names}
    else:
        assert "To mend: `crosslens source fetch-messages --to data/messages`" in missing(of_names[0])
        sys.path.insert(0, str(REPOSITORY / "tests/sources"))
        from catalogue_files import write_catalogues

        write_catalogues(fresh.folder / "data/messages", {"one": {"Show the page": "اعرض الصفحة"}})
        if not DEBIAN_FONT.is_file():
            assert "To mend: `apt install fonts-noto-color-emoji`" in missing("emoji_pictures")
            del studies["emoji_pictures"]
    of_source = {next(iter(settings["source"])): study for study, settings in reversed(studies.items())}
    assert {"planted", "prompts"} <= of_source.keys()
    for source, study in of_source.items():
        planned = jobs(study)
        assert planned["build_report"] == 1 and planned["generate_texts"] == (source == "prompts"), study
