"""Keys are the same wherever, whenever and in whichever order things lie: relations between studies, no list of keys."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from checkouts import TOY

ROOT = Path(__file__).parents[2]
KEYS = """
import json
from pathlib import Path
from crosslens.artifacts.table import Studies, Table
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

digests, schema = FileDigests(Path("files.json")), Path("workflow/schemas/study.schema.yaml")
table = Table(Studies(lambda name: Study(name, Path("."), schema, digests)))
found = {table.at(w).path((kind, w)): table.key(kind, w) for kind, w in table.everything("mine")}
print(json.dumps(found))
"""
PICTURES = {f"{folder}{n}.png": f"picture {n}" for n in range(3) for folder in ("", "sub/")}
SETTINGS = TOY | {
    "source": {"captions": "data/captions.csv", "images": "data/pictures"},
    "sae": {**TOY["sae"], "pretrained": {"theirs": {"1": "data/sae"}}},
}


def checkout(folder: Path, *, backwards: bool = False) -> Path:
    """A copy of the code and a study of a user's own; backwards: files and settings written in the other order."""
    for name in ("src", "workflow/scripts", "workflow/schemas", "resources/lexicons"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "resources/planted").symlink_to(ROOT / "resources/planted")
    names = [name.removesuffix(".png") for name in PICTURES]
    rows = [f"{name},a woman,امرأة,female" for name in names]
    header = "image_id,english_prompt,arabic_prompt,ground_truth_gender"
    files = {f"data/pictures/{name}": text for name, text in PICTURES.items()} | {
        "data/captions.csv": "\n".join([header, *rows]),
        "data/sae/cfg.json": '{"architecture": "jump_relu"}',
        "data/sae/sae.safetensors": "weights",
    }
    order = reversed if backwards else list
    for name in order(list(files)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(files[name], encoding="utf-8")
        if backwards:
            os.utime(folder / name, (1, 1))
    settings = {name: SETTINGS[name] for name in order(list(SETTINGS))}
    (folder / "mine.yaml").write_text(
        yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), encoding="utf-8"
    )
    return folder


def keys(folder: Path, **environment: str) -> dict[str, str]:
    """Shown path to key, as a process of its own finds them."""
    env = os.environ | {"PYTHONPATH": str(folder / "src")} | environment
    told = subprocess.run(
        [sys.executable, "-c", KEYS], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout)


def test_keys_follow_no_place_process_seed_locale_date_or_order_of_files_and_settings(tmp_path):
    """Of a study by another name, tests/artifacts/test_rerun.py."""
    found = keys(checkout(tmp_path / "checkout"), PYTHONHASHSEED="0")
    assert len(found) > 20 and len({*found.values()}) == len(found)
    elsewhere = checkout(tmp_path / "a place with spaces" / "other", backwards=True)
    assert keys(elsewhere, PYTHONHASHSEED="2", LC_ALL="C", TZ="Asia/Tokyo") == found
