"""What the gendered features fire on: their top examples, which the rankings of a layer need not hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crosslens.errors import InputError
from crosslens.features.examples import COLUMNS, codes_of_features, top_examples
from crosslens.pooling.pool import without_sinks
from crosslens.pooling.rows import aligned
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, read_table, write_json
from crosslens.tables.tokens import read_tokens


def gendered_examples(
    *,
    dataset: Path,
    tokens: Sequence[Path],
    codes: Path,
    gender: Path,
    corpus: str,
    language: str,
    features: int,
    count: int,
    out: Path,
) -> None:
    """Write JSON of kind `gendered_examples`: top examples on test of the top features of every condition and side.

    gender: the document of `gender_effects` made from the same codes; its first `features` of each `top_female` and
    `top_male` are shown with at most `count` examples each. `examples` is as in kind `rankings`. Raises InputError
    where codes and gender are of different SAEs: an id means nothing in another dictionary.
    """
    effects, store = read_json(gender, "gender"), Codes(codes)
    if effects["sae"] != store.attributes["sae"]:
        raise InputError(
            gender,
            found=f"features of the SAE {effects['sae']}",
            expected=f"those of {store.attributes['sae']}, as in {codes}",
            mend="rebuild both from one SAE",
        )
    wanted = {
        entry["feature"]
        for condition in effects["conditions"].values()
        for side in ("top_female", "top_male")
        for entry in condition[side][:features]
    }
    ids = np.array(sorted(wanted), dtype=np.int64)
    frame, table = read_table(dataset, "dataset"), read_tokens(tokens)
    is_test = (aligned(table, frame, "split") == "test")[table.sample[store.token]]
    is_test = without_sinks(store.norm, table.role[store.token], is_test)
    values = codes_of_features(store, is_test, ids)
    found = top_examples(ids, values, store.token[is_test], table, frame, count)
    document = {"corpus": corpus, "language": language}
    document |= {name: store.attributes[name] for name in ("site", "sae")}
    document["examples"] = {"split": "test", "columns": COLUMNS, "features": found}
    write_json(out, "gendered_examples", document)
