"""What all tests share: the one study that is built in a session, and which tests are chosen."""

import fcntl
import gc
import os
import sys
from pathlib import Path

import pytest

# Workers side by side: two threads each on two cores would be slower, and sums depend on how many share them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A session's jobs are forks of one process (fixture `source`), not each run's of one of its own.
os.environ["CROSSLENS_WARM"] = "0"

sys.path.insert(0, str(Path(__file__).parent / "workflow"))

from checkouts import ANSWERS, ANSWERS_PAGE, MINI_SAE, Checkout, snapshot

from crosslens.warm.start import ANALYSIS, TORCH, serving

STARTS_SNAKEMAKE = {"made_once", "project"}
"""Fixtures whose tests do, beside those of tests/workflow."""
FAULTS = {
    "test_extraction_resume",
    "test_sae_resume",
    "test_store_disk",
    "test_store_job",
    "test_store_lease",
    "test_store_maintenance",
    "test_store_publish",
    "test_workflow_faults",
}
"""Files of kills, damage and crowds beside tests/faults: part of every run, and of `-m faults` with what takes long."""
TAKE_SECONDS = {
    # files whose tests train, or run stages, again and again
    "test_ablation",
    "test_adapters",
    "test_adapters_inputs",
    "test_extraction",
    "test_extraction_resume",
    "test_gender_probes",
    "test_generation_texts",
    "test_gguf",
    "test_grafts",
    "test_language_page",
    "test_lens_planted",
    "test_model_comparison",
    "test_null_studies",
    "test_recipe",
    "test_recovery",
    "test_rerun",
    "test_retrieval",
    "test_sae_resume",
    "test_sae_stream",
    "test_shipped",
    "test_splice",
    "test_subsets",
    "test_substitution",
    "test_table",
    "test_token_inspection",
    "test_transfer_figures",
    "test_warm",
    # tests that take more than three seconds each
    "test_a_first_token_of_huge_norm_is_no_likeness_of_two_models",
    "test_a_site_of_zeros_is_written_and_drawn",
    "test_a_transcoder_reads_one_site_and_predicts_the_other",
    "test_an_sae_is_the_same_whatever_is_trained_beside_it",
    "test_arabic_captions_leak_unless_what_agrees_is_masked",
    "test_bfloat16_candidates_train_an_sae_as_good",
    "test_every_family_writes_as_in_transformers",
    "test_fewer_samples_are_drawn_with_the_seed",
    "test_hub_models_come_from_the_cache_by_revision",
    "test_keys_follow_no_place_process_seed_locale_date_or_order_of_files_and_settings",
    "test_labels_cover_neither_each_other_nor_a_point",
    "test_left_padded_generation_is_that_of_the_samples_alone",
    "test_planted_features_are_recovered",
    "test_planted_shares_are_recovered_in_both_languages",
    "test_rules_of_the_small_environment_do_without_torch",
    "test_stage_is_deterministic_and_says_what_is_missing",
    "test_stage_writes_the_same_bytes_twice",
    "test_strong_but_unrelated_directions_are_no_transfer",
    "test_the_dataset_keeps_pairs_and_tones_in_one_split",
    "test_the_harness_finds_tracebacks_hangs_memory_and_accepted_damage",
    "test_the_picture_is_not_what_the_captions_say",
    "test_trained_dictionaries_stand_between_ceiling_and_floor",
    "test_what_is_called_lacking_is_what_the_fonts_own_tables_lack",
    "test_what_the_picture_alone_finds_is_no_finding_of_the_captions",
    "test_without_bias_rejections_are_at_their_level",
}
"""Names of files and tests that the inner loop leaves out, too."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what starts Snakemake, or takes seconds, as `workflow`, and put it first, what takes longest before all.

    So no worker is left alone with it at the end. What only its marker asks for is left out unless -m names it.
    """
    for item in items:
        starts = item.path.parent.name == "workflow" or STARTS_SNAKEMAKE & set(item.fixturenames)
        if starts or TAKE_SECONDS & {item.path.stem, item.originalname}:
            item.add_marker("workflow")
        if item.path.stem in FAULTS:
            item.add_marker("faults")
    left_out = {item for item in items if _waits_to_be_asked(item, config.option.markexpr)}
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]
    items.sort(
        key=lambda item: (item.path.stem != "test_storage", not STARTS_SNAKEMAKE & set(item.fixturenames))
    )


def _waits_to_be_asked(item, expression):
    """Whether it runs for its marker alone, which -m does not name; of faults, those that take long."""
    marks = {mark for mark in ("faults", "fuzz", "long", "slurm") if item.get_closest_marker(mark)}
    return bool(marks - {"faults"}) and not any(mark in expression for mark in marks)


def pytest_collection_finish():
    """What is imported by now stays: garbage need not be looked for in it again and again."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers():
    """Each holds torch, and starts Snakemake with two cores."""
    return min(os.cpu_count(), 4)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """name, make → a folder that the first worker that asks makes; the others wait for it. Never written by a test."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def once(name, make):
        folder = root / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = folder.with_suffix(".made")
            if not made.exists():
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def source(made_once):
    """The files of the repository as they are now: all checkouts of a session are of the same state.

    Their jobs, and Snakemake where it is waited for, are forks of one process.
    """
    with pytest.MonkeyPatch.context() as patch:
        # A checkout's modules are compiled once, and not by every job.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        with serving(["snakemake.cli", *TORCH, *ANALYSIS]) as Checkout.python:
            patch.undo()
            yield made_once("snapshot", snapshot) / "source"


@pytest.fixture(scope="session")
def built_once(source, made_once):
    """A checkout in which both studies were built: toy in full, mini to its SAE. Never written by a test."""

    def build(folder):
        Checkout.create(folder, source).snakemake("all", MINI_SAE)

    return Checkout(made_once("built", build))


@pytest.fixture(scope="session")
def answered_once(built_once, made_once):
    """The same, and the generation study `answers`. Never written by a test."""

    def build(folder):
        checkout = built_once.copy(folder)
        checkout.configure("answers", ANSWERS)
        checkout.snakemake(ANSWERS_PAGE)

    return Checkout(made_once("answered", build))
