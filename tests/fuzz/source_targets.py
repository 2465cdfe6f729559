"""Files of a user's sources and adapters."""

import sys
from pathlib import Path

from mutations import bytes_alone, json_too, text_too
from target import Target

from crosslens.models.adapters import declare
from crosslens.sources.catalogues import read_catalogue, sample_messages
from crosslens.store.imports import imported_beside

sys.path.insert(0, str(Path(__file__).parents[1] / "sources"))
from catalogue_files import write_catalogues

MESSAGES = {f"Copy {word} files": f"نسخ {word} الملفات من هنا" for word in ("all", "some", "both")}


def message_manifest(folder: Path) -> Target:
    write_catalogues(folder, {"pkg": MESSAGES})
    return Target(folder / "manifest.json", json_too, lambda: sample_messages(folder, count=2, seed=0))


def message_catalogue(folder: Path) -> Target:
    """As it is read where it is fetched, before there is a digest of it."""
    write_catalogues(folder, {"pkg": MESSAGES})
    (file,) = folder.rglob("*.mo")
    return Target(file, bytes_alone, lambda: list(read_catalogue(file)))


ADAPTER = """import math
from crosslens.models.adapters import Adapter, register

@register("fuzzed")
class Fuzzed(Adapter):
    @property
    def decoder(self):
        return self.model.model

    def attn_out(self, block):
        return block.self_attn

    def mlp_out(self, block):
        return block.mlp
"""


def adapter(folder: Path) -> Target:
    """Its keys, and what it declares."""
    file = folder / "adapter.py"
    file.write_text(ADAPTER)

    def read() -> None:
        try:
            imported_beside(file)
        except (SyntaxError, ValueError):
            pass  # told by the study, in a line
        declare(file)

    return Target(file, text_too, read)


SOURCES = {target.__name__: target for target in (message_manifest, message_catalogue, adapter)}
