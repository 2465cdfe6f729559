"""The tokens that features promote and suppress, as they were written (see crosslens.features.promote)."""

from pathlib import Path

from crosslens.tables.documents import read_json, read_table
from crosslens.tables.of_sae import check_of_sae


class Promoted:
    """Those of the features of one SAE."""

    def __init__(self, folder: Path):
        """folder: of the artifact `promoted`. Raises InputError of what is none."""
        self.path = Path(folder) / "promoted.json"
        self.sae: str = read_json(self.path, "promoted")["sae"]
        table = read_table(Path(folder) / "tokens.parquet", "promoted_tokens")
        self._of = table.sort_values("rank").groupby(["feature", "side"])["token"].indices
        self._tokens = table.sort_values("rank")["token"].to_numpy(dtype=object)

    def tokens(self, feature: int, side: str, count: int) -> list[str]:
        """The `count` strongest of a side (promoted, suppressed), each text once and without the spaces around it."""
        tokens = self._tokens[self._of.get((feature, side), [])]
        return list(dict.fromkeys(map(_shown, tokens)))[:count]

    def check(self, sae: str) -> None:
        """Raise InputError unless ids are those of this SAE."""
        check_of_sae(self.path, "tokens", self.sae, sae)


def _shown(token: str) -> str:
    """What nobody can see by its escapes: a line end, a control character."""
    bare = token.strip()
    return bare if bare and bare.isprintable() else repr(token)
