"""The stage `written_dataset`: the model's own captions as a dataset, their words that tell a gender known as such."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crosslens.data.agreeing import agreeing_spans, merged
from crosslens.data.labels import find_gendered
from crosslens.data.lexicons import load_lexicon
from crosslens.errors import InputError
from crosslens.tables.documents import read_table, write_table

log = logging.getLogger(__name__)


def mask_captions(
    *, dataset: Path, written: Sequence[Path], lexicon: Path | None, mask: str, language: str, out: Path
) -> None:
    """Write the table of kind `dataset` whose captions are those of `written`, the parts in order; one row an image.

    Gender, category, split and group are the picture's, as `dataset` has them. label_spans: of the lexicon's words in
    what the model wrote and, where mask is `agreement`, of what agrees with a person (see `agreeing_spans`); nothing
    without a lexicon. Raises InputError for a caption of no sample of the dataset.
    """
    samples = read_table(dataset, "dataset").set_index("sample_id", drop=False)
    own = pd.concat([read_table(part, "written", ["sample_id", "image_id", "caption"]) for part in written])
    # the captions of an image that two parts share are the same: greedy, to one prompt
    own = own.drop_duplicates("image_id")
    if strange := sorted(set(own["sample_id"]) - set(samples.index)):
        raise InputError(
            written[0],
            found=f"a caption of {strange[0]} ({len(strange)} such)",
            expected="samples of the dataset",
            mend="let the captions be written again",
        )
    table = samples.loc[own["sample_id"]].reset_index(drop=True)
    texts = own["caption"].tolist()
    table["caption"], table["label_spans"] = texts, [json.dumps([]) for _ in texts]
    if lexicon is not None:
        known = load_lexicon(lexicon, language)
        agreeing = agreeing_spans(texts, language) if mask == "agreement" else [[] for _ in texts]
        table["label_spans"] = [
            json.dumps(
                merged([(start, end) for start, end, _ in find_gendered(text, language, known)[0]], more)
            )
            for text, more in zip(texts, agreeing, strict=True)
        ]
    log.info("%s: %d own captions", language, len(table))
    write_table(out, "dataset", table)
