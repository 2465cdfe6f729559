"""What is computed again, and what is not, by real runs; tests/artifacts/test_rerun.py asks the keys alone."""

import os
import re
import shutil

import pytest
from checkouts import MINI_SAE, TOY, Checkout

from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens


def without(settings: dict, **sections) -> dict:
    """The settings with some keys of some sections changed."""
    return settings | {
        name: {**settings[name], **change} if isinstance(change, dict) else change
        for name, change in sections.items()
    }


def test_a_repeat_does_nothing_and_says_so(built):
    said = built.snakemake()
    assert "Nothing to be done (all requested files are present and up to date)." in said


def test_every_row_of_the_table_has_its_tokens(built_once):
    """Parts are named by rows of the source, tables by position: an off-by-one would lose samples in silence."""
    results = built_once.folder / "results/toy"
    for language in TOY["languages"]:
        expected = list(read_table(results / f"dataset/{language}.parquet", "dataset")["sample_id"])
        parts = [read_tokens(part) for part in sorted((results / f"activations/{language}/tokens").iterdir())]
        assert sorted(name for part in parts for name in part.sample_ids) == sorted(expected)
        assert len(parts) == 2 and len(expected) == TOY["source"]["planted"]["images"]


@pytest.mark.long
def test_a_value_switched_and_back_relinks_only(built):
    """Also where gc runs between the plan and the links: what is to be linked again may be old."""
    shutil.rmtree(built.stored / "checkouts")  # the one that this is a copy of keeps the same artifacts
    before, target = built.digests(), "results/toy/sae/joint/layer_1/seed_0/training.json"
    built.configure("toy", without(TOY, sae={"k": 7}))
    assert built.run(target)["train_saes"] == 1
    assert built.digests()[target] != before[target]
    built.configure("toy", TOY)
    for path in built.stored.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert built.work() == {}
    assert built.crosslens("gc").returncode == 0
    assert not {"train_saes", "apply_saes"} & built.run().keys()
    assert built.digests() == before


def test_a_lost_artifact_is_not_shown_by_another_of_its_name(built):
    """Of other settings: it would lie beside the codes and analyses of the lost one."""
    before, target = built.digests(), "results/toy/sae/joint/layer_1/seed_0/training.json"
    assert built.crosslens("forget", target).returncode == 0
    built.configure("toy", without(TOY, sae={"k": 7}))
    built.snakemake(target)
    built.configure("toy", TOY)
    assert "lost or forgotten" in built.snakemake()
    assert built.digests().items() <= before.items() and target not in built.digests()
    assert built.run(target)["train_saes"] == 1
    assert built.digests() == before


def test_a_model_folder_by_another_name_makes_the_page_alone(built):
    shutil.copytree(built.folder / "resources/planted", built.folder / "mine")
    built.configure("toy", without(TOY, model={"id": "mine"}))
    assert built.work() == {"build_report": 1}


def test_without_snakemakes_records_old_results_are_not_up_to_date(built):
    before = built.digests()
    kept = built.copy(built.folder.with_name("kept"))
    shutil.rmtree(built.folder / ".snakemake")
    # a link may be made anew: by dates alone it can be older than what it is made from
    assert built.work(MINI_SAE) == {}
    for checkout in (kept, built):
        checkout.edit("config/studies/mini.yaml", "k: 8", "k: 7")
    assert built.planned(MINI_SAE) == kept.planned(MINI_SAE) == {"train_saes": 1, "sae": 1}
    assert built.digests() == before
    built.snakemake(MINI_SAE)
    assert [path for path, sha256 in built.digests().items() if sha256 != before[path]] == [
        MINI_SAE,
        *(MINI_SAE.replace("cfg.json", file) for file in ("sae_weights.safetensors", "training.json")),
    ]


def test_a_second_checkout_with_a_shared_store_computes_nothing(built_once, source, tmp_path):
    own = tmp_path / "own"
    checkout = Checkout.create(tmp_path / "second", source, store=f"{own}:{built_once.stored}")
    before = sorted(path for path in built_once.stored.rglob("*") if "checkouts" not in path.parts)
    assert not checkout.run().keys() & checkout.work().keys()
    assert not list(own.glob("objects/*/*")) and not list(own.glob("partial/*"))
    toy = {path: sha256 for path, sha256 in built_once.digests().items() if path.startswith("results/toy/")}
    assert checkout.digests() == toy
    assert sorted(path for path in built_once.stored.rglob("*") if "checkouts" not in path.parts) == before


def test_a_layer_added_is_extracted_alone_in_one_pass(built):
    built.configure("toy", without(TOY, sites=["1", "2", "3.attn_out"]))
    work = built.work("all_activations", "all_saes")
    assert work == {"extract": 4, "train_saes": 2}

    target = "results/toy/activations/en/layer_2/part_0000.zarr"
    old = {record["object"] for record in built.records()}
    assert built.run(target)["extract"] == 1
    log = (built.folder / "logs/toy/extract_en_0000.log").read_text()
    assert re.findall(r"results/(\S+): already in the store", log) == [
        "toy/activations/en/tokens/part_0000.zarr",
        "toy/activations/en/layer_1/part_0000.zarr",
        "toy/activations/en/text_alone/layer_1/part_0000.zarr",
    ]
    computed = re.findall(r"results/(\S+): computed", log)
    assert computed == [
        f"toy/activations/en/{kind}layer_{site}/part_0000.zarr"
        for kind in ("", "text_alone/")
        for site in ("2", "3.attn_out")
    ]
    assert len({record["object"] for record in built.records()} - old) == 4


def test_a_family_and_an_architecture_that_are_not_used_plan_no_job_and_dry_runs_remember(built):
    """One that is used is seen by the same dry run."""
    for unused in ("models/adapters/qwen.py", "sae/architectures/gated.py"):
        built.append(f"src/crosslens/{unused}", "\nUNUSED = 1\n")
    memory = built.folder / "results/.store"
    for file in memory.glob("code-*.json"):
        file.unlink()
    assert built.planned() == {}
    assert list(memory.glob("code-*.json"))
    built.append("src/crosslens/sae/architectures/topk.py", "\nUNUSED = 1\n")
    work = built.work()
    assert "train_saes" in work and "extract" not in work


def test_early_cutoff_a_refactoring_of_extraction_retrains_nothing_in_the_same_run(built):
    before = built.digests()
    built.append("src/crosslens/activations/plan.py", "\nUNUSED = 1\n")
    done = built.run(MINI_SAE)
    assert done["extract"] == done["train_saes"] == 1
    assert (
        "reused, its inputs are the same bytes" in (built.folder / "logs/mini/train_saes_1.log").read_text()
    )
    assert built.digests() == before


def test_activations_gone_and_saes_kept_nothing_is_extracted_again(built):
    built.drop("toy", "activations")
    for folder in (built.folder / "results").glob("*/activations/*/layer_*"):
        shutil.rmtree(folder)
    assert built.planned() == {}
    assert re.search(
        r"toy: \d+ of its artifacts, lost or forgotten, .*`snakemake PATH`", built.snakemake("-n")
    )
    built.append("src/crosslens/gender/effects.py", "\nUNUSED = 1\n")
    shutil.rmtree(built.folder / "results/toy/sae")
    assert built.planned("all_saes") == {"sae": 1}
    work = built.work()
    assert "analyse_codes" in work and not {"extract", "train_saes", "apply_saes"} & work.keys()


def test_lost_links_are_made_anew_by_a_plain_run(built):
    """No matter that everything made from them is there."""
    before, lost = (
        built.digests(),
        ["layers/1.json", "codes/joint/en/layer_1.zarr", "features/joint/en/layer_1"],
    )
    for place in lost:
        link = built.folder / "results/toy" / place
        shutil.rmtree(link) if not link.is_symlink() else link.unlink()
    assert {"layer", "codes", "features"} <= built.planned().keys() and built.work() == {}
    built.snakemake()
    assert built.digests() == before
    assert built.planned() == {}


def test_one_layers_target_builds_its_own_chain_only(fresh):
    fresh.configure("toy", without(TOY, sites=["1", "2"]))
    work = fresh.work("results/toy/layers/2.json")
    assert work["train_saes"] == work["layer_summary"] == 1
    assert not [
        rule for rule in work if rule.startswith(("draw_layer", "draw_study", "build_report", "generate"))
    ]
