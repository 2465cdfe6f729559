"""What would be computed again after a change: artifacts whose keys are others. A few also run, in tests/workflow."""

import copy
import json
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import yaml
from checkouts import MINI, TOY

from crosslens.artifacts import recipes
from crosslens.artifacts.table import Studies, Table
from crosslens.store.digests import FileDigests
from crosslens.store.fingerprint import closure
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
ARCHITECTURES = "crosslens.sae.architectures."
FIGURES = {"draw_layer_figures", "draw_study_figures"}


class Change:
    """The studies `toy` and `mini` before and after a change of their settings or of a copy of the library."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.patch = folder, monkeypatch
        self.source = folder / "src"
        self.studies = {"toy": copy.deepcopy(TOY), "mini": copy.deepcopy(MINI)}
        self.before = self._table()
        self.keys = {study: self._keys(self.before, study) for study in self.studies}

    def _table(self) -> Table:
        for name, settings in self.studies.items():
            text = yaml.safe_dump(settings, allow_unicode=True)
            (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        digests, schema = FileDigests(self.folder / "files.json"), Path("workflow/schemas/study.schema.yaml")
        return Table(Studies(lambda name: Study(name, self.folder, schema, digests)))

    @staticmethod
    def _keys(table: Table, study: str) -> dict[tuple, str]:
        return {(kind, *sorted(w.items())): table.key(kind, w) for kind, w in table.everything(study)}

    def code(self) -> Path:
        """A copy of the library, to be edited; later keys are those of it."""
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        self.patch.setattr(recipes, "closure", partial(closure, src=self.source))
        return self.source / "crosslens"

    def edit(self, file: str, more: str = "\nUNUSED = 1\n") -> None:
        """Something added to a file of a copy of the library."""
        path = self.code() / file
        path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")

    def settings(self, study: str = "toy", **sections) -> None:
        """Some keys of some sections of a study's settings."""
        for name, change in sections.items():
            self.studies[study][name] = (
                {**self.studies[study].get(name, {}), **change} if isinstance(change, dict) else change
            )

    def work(self, study: str = "toy", *kinds: str) -> Counter:
        """Jobs of each rule that are to be run, for these kinds alone where some are named."""
        table = self._table()
        changed = [
            need
            for need in table.everything(study)
            if self.keys[study].get((need[0], *sorted(need[1].items()))) != table.key(*need)
        ]
        return table.jobs([need for need in changed if not kinds or need[0] in kinds])


@pytest.fixture
def change(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return Change(tmp_path, monkeypatch)


def test_a_copy_of_the_library_elsewhere_changes_nothing(change):
    change.code()
    assert change.work() == {} and change.work("mini") == {}


def test_editing_plots_draws_and_never_retrains(change):
    change.edit("figures/style.py")
    assert change.work().keys() == FIGURES | {"build_report"}


def test_editing_the_page_builds_the_page(change):
    change.edit("report/page.css", "\nbody { margin: 1px }\n")
    assert change.work() == {"build_report": 1}


def test_a_comment_or_docstring_never_reruns_anything(change):
    for module in change.code().rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        lines = text.replace('"""', '"""Reworded. ', 1) if text.startswith('"""') else text
        module.write_text(f"# a comment\n{lines}\n# another\n", encoding="utf-8")
        (module.parent / f".{module.name}.swp").write_text("what an editor leaves")
    assert change.work() == {} and change.work("mini") == {}


def test_members_of_open_packages_that_a_study_does_not_use_are_in_none_of_its_keys(change):
    """`toy` and `mini` train topk on a model of another family; neither is Persian."""
    library = change.code()
    for unused in ("models/adapters/qwen.py", "models/adapters/gpt.py", "sae/architectures/gated.py"):
        with (library / unused).open("a") as file:
            file.write("\nUNUSED = 1\n")
    for new in ("models/adapters/new.py", "sae/architectures/new.py", "data/languages/fa.py"):
        (library / new).write_text('@register("new")\nclass New: pass\n\nREADS = ("new",)\n')
    assert change.work() == {} and change.work("mini") == {}


@pytest.mark.parametrize(
    ("file", "first"), [("models/adapters/gemma.py", "extract"), ("sae/architectures/topk.py", "train_saes")]
)
def test_those_that_it_uses_are(change, file, first):
    change.edit(file)
    assert first in change.work()
    assert ("extract" in change.work()) == (first == "extract")


def test_editing_a_language_reads_its_captions_again_and_extracts_nothing(change):
    """`mini` is English alone."""
    change.edit("data/languages/ar.py")
    work = change.work()
    assert work["build_dataset"] == 1 and not {"draw_source", "extract"} & work.keys()
    assert change.work("mini") == {}


def test_an_sae_of_a_sweep_has_the_code_of_its_own_architecture(change):
    change.settings(sweep={"architecture": ["topk", "gated", "matryoshka"], "k": [4]})
    table = change._table()
    closures = {
        w.get("variant", "own"): {
            name.rsplit(".", 1)[1] for name in table.code(kind, w).modules if ARCHITECTURES in name
        }
        for kind, w in table.everything("toy")
        if kind in ("sae", "swept_sae")
    }
    assert closures == {
        "own": {"base", "topk"},
        "topk-k_4": {"base", "topk"},
        "gated": {"base", "gated", "relu"},
        "matryoshka-k_4": {"base", "batchtopk", "matryoshka"},
    }


def test_editing_sae_code_retrains_and_what_follows(change):
    change.edit("sae/sparse.py")
    work = change.work()
    assert work["train_saes"] == 1
    assert {"apply_saes", "splice_saes", "analyse_codes", "layer_summary"} <= work.keys()
    assert (
        not {"draw_source", "build_dataset", "extract", "analyse_activations", "generate_captions"}
        & work.keys()
    )


def test_a_setting_reruns_its_own_stage_and_what_follows(change):
    change.settings(
        gender={"bootstraps": 21}, features={"top_examples": 3}, stereotype={"max_new_tokens": 13}
    )
    work = change.work()
    assert {"analyse_codes", "generate_captions", "build_report"} <= work.keys()
    assert (
        not {"draw_source", "build_dataset", "extract", "train_saes", "apply_saes", "splice_saes"}
        & work.keys()
    )


def test_the_device_is_no_part_of_any_key(change):
    change.settings(model={"device": "cpu"})
    assert change.work().keys() <= {"build_report"}  # the page shows the settings


def test_a_layer_added_is_extracted_alone(change):
    change.settings(sites=["1", "2", "3.attn_out"])
    assert change.work("toy", "tokens", "activations") == {"extract": 4}
    assert change.work("toy", "sae") == {"train_saes": 2}


def test_appended_samples_alone_are_extracted(change):
    change.settings(source={"planted": {"images": 90, "seed": 7}})
    table = change._table()
    parts = {
        (w["language"], w["part"])
        for kind, w in table.everything("toy")
        if kind == "tokens" and change.keys["toy"].get((kind, *sorted(w.items()))) != table.key(kind, w)
    }
    assert parts == {("ar", "0002"), ("en", "0002")}


def test_every_file_whose_digest_a_key_holds_is_checked_by_the_jobs_that_read_it(change):
    """And no other: a caption table may be edited while the model runs."""
    captions, adapter, sae = (change.folder / name for name in ("captions.csv", "adapter.py", "sae"))
    pictures = [change.folder / "pictures" / f"{number}.png" for number in range(3)]
    sae.mkdir()
    for file in (adapter, sae / "cfg.json", *pictures):
        file.parent.mkdir(exist_ok=True)
        file.write_text(file.name)
    rows = [f"{file.stem},a woman,امرأة,female" for file in pictures]
    header = "image_id,english_prompt,arabic_prompt,ground_truth_gender"
    captions.write_text("\n".join([header, *rows]), encoding="utf-8")
    change.studies["toy"]["source"] = {"captions": str(captions), "images": str(pictures[0].parent)}
    change.settings(model={"adapter": str(adapter)}, sae={"pretrained": {"theirs": {"1": str(sae)}}})
    table, read = change._table(), {}
    for kind, w in table.everything("toy"):
        by = table.kinds[kind].by
        job = json.loads(table.job(by, {name: w[name] for name in table.per(by)}))
        read[by] = {Path(file) for file in job["files"]}
    lexicons = {Path(file) for file in TOY["lexicons"].values()}
    model = {adapter, *read["extract"]}
    assert Path(TOY["model"]["id"], "model.safetensors") in model
    assert {rule: files for rule, files in read.items() if files} == {
        "build_dataset": {captions, *pictures, *lexicons},
        "measure_stereotype": lexicons,
        "adopt_sae": {sae / "cfg.json"},
        **dict.fromkeys(("extract", "splice_saes", "generate_captions"), model),
    }
    known = {str(file.absolute()) for files in read.values() for file in files}
    assert known == table.studies["toy"].digests.taken.keys()


def test_another_study_is_its_own(change):
    change.settings("mini", sae={"k": 7})
    assert change.work() == {} and change.work("mini", "sae") == {"train_saes": 1}


def test_the_language_of_a_chosen_text_is_in_the_key_of_its_inspection(change):
    """It may be none of the study's."""
    change.settings("mini", tokens={"texts": [{"language": "ar", "text": "كتاب"}]})
    change.keys["mini"] = change._keys(change._table(), "mini")
    change.edit("data/languages/ar.py")
    assert change.work("mini")["inspect_tokens"] == 1


def test_a_study_by_another_name_retrains_nothing(change):
    """Every key is that of the study of the same settings, up to the page, which has the name on it."""
    change.studies["renamed"] = copy.deepcopy(TOY)
    table = change._table()
    renamed, toy = change._keys(table, "renamed"), change.keys["toy"]
    differing = {
        place[0]
        for place, key in renamed.items()
        if key != toy[tuple(("study", "toy") if pair == ("study", "renamed") else pair for pair in place)]
    }
    assert len(renamed) == len(toy) and differing == {"page"}
