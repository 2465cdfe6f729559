"""The three kinds of pages as a reader meets them: the report, the features and the model, with hostile texts in all of them."""

import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

from explored_study import HOSTILE
from result_files import arguments, change, example, write_study

from crosslens.report.build import build_report
from crosslens.tables.scripts import copy_page, write_script

LONG = "w" * 10_000
ZALGO = "z" + "".join(map(chr, range(0x300, 0x370))) * 3 + "a"
WORST = [*HOSTILE, LONG, ZALGO]
ARABIC = "هذه ممرضةٌ تحمل كتابا أحمر في المطبخ"


def write_hostile_report(folder: Path) -> None:
    """`folder/index.html`: hostile texts as captions, categories, warnings, reasons, model and study."""
    files = write_study(folder / "in")
    for path in [path for site in files.rankings.values() for path in site.values()]:
        change(path, "rankings", _hostile_examples)
    change(files.dataset, "dataset_summary", _hostile_data)
    given = arguments(files, folder, source={"name": " ".join(WORST)})
    given["files"] |= {"feature_pages": {"": folder}}
    build_report(**given, out=folder / "index.html")


def _hostile_data(document: dict[str, Any]) -> None:
    document["quarantine"] += [{"image_id": text, "reason": text} for text in WORST]
    document["warnings"] += [{"code": "no_hits", "message": text, "languages": []} for text in WORST]


def _hostile_examples(document: dict[str, Any]) -> None:
    texts = [*WORST, ARABIC]
    for i, entry in enumerate(document["examples"]["features"][:3]):
        entry["examples"] = [
            example("en", entry["feature"], k, texts[(i + k) % len(texts)]) for k in range(3)
        ]
    for row in document["specialists"]["features"][:3]:
        row["category"] = texts[row["feature"] % len(texts)]


def write_live(folder: Path) -> None:
    """The page of the model without the model: what a reader sees before it is started, hostile labels and prompts."""
    copy_page("crosslens.report.live", folder)
    rgb = b64encode(bytes(range(48))).decode()
    pictures = [
        {"id": f"p{i}", "label": text, "gender": "unknown", "prompts": {"en": text, "ar": ARABIC}, "rgb": rgb}
        for i, text in enumerate(WORST)
    ]
    language = {"proclitics": [], "pairs": [], "gendered": []}
    languages = {
        "en": {"name": "English", "short": "English", "direction": "ltr"} | language,
        "ar": {"name": "Arabic (العربية)", "short": "Arabic", "direction": "rtl"} | language,
    }
    sae = {"name": "joint.4", "file": "sae_0", "label": "block 4, joint SAE", "features": 8, "gendered": 0}
    study = {"pictures": pictures, "languages": languages, "saes": [sae | {"languages": [*languages]}]}
    study |= {"pixels": {"size": 4}, "config": {"text_config": {"num_hidden_layers": 8}}}
    write_script(folder, "Live.provide", "study", study | {"bytes": 5_000_000, "note": WORST[1]})


def write_pages(folder: Path, features: Path) -> Path:
    """All of them below `folder`, as a study has them; features: of the study in explored_study."""
    folder.mkdir(parents=True)
    write_hostile_report(folder)
    write_live(folder / "live")
    shutil.copytree(features, folder / "features")
    return folder
