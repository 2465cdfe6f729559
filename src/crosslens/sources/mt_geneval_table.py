"""Write MT-GenEval's sentences, and messages beside them, as a data source in the user's own format."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crosslens.data.captions import SPANS_COLUMN
from crosslens.data.splits import SPLITS
from crosslens.sources.catalogues import Message, sample_messages
from crosslens.sources.mt_geneval import GENDERS, Sentence, image_id, read_sentences
from crosslens.sources.write import LICENCES, drawn_from
from crosslens.tables.documents import write_json

SENTENCES_LICENCE = (
    "MT-GenEval, CC-BY-SA-3.0 (sentences of Wikipedia): text that is shared keeps its licence and source"
)


def collect_mt_geneval(
    out: Path, *, folder: Path, languages: Sequence[str], messages: Mapping[str, Any] | None
) -> None:
    """Write `captions.csv` and `source.json` into the folder `out`: a row for each sentence and gender, then the messages.

    folder, languages: as `read_sentences` takes them. messages: of `sample_messages`, or None. The two genders of a sentence
    share `group`, test is the data set's own, and of its dev one sentence in SELECT chooses features; all messages are in
    train, of unknown gender. Raises InputError as the two do.
    """
    sentences, left_out = read_sentences(folder, languages)
    drawn = sample_messages(**messages) if messages else []
    captions = [f"{language}_caption" for language in languages]
    spans = [SPANS_COLUMN.format(language=language) for language in languages]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "captions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image_id", "ground_truth_gender", "category", "group", "split", *captions, *spans])
        writer.writerows(row for sentence in sentences for row in _sentence_rows(sentence, languages))
        writer.writerows(_message_row(message, languages) for message in drawn)
    uses = Counter(sentence.use for sentence in sentences)
    document = {
        "rows": len(GENDERS) * len(sentences) + len(drawn),
        "sentences": {split: uses[split] for split in SPLITS},
        "left_out": [each._asdict() for each in left_out],
        "messages": len(drawn),
        "packages": drawn_from(messages["folder"], drawn) if messages else [],
        "licences": {"sentences": SENTENCES_LICENCE}
        | ({"messages": LICENCES["messages"]} if messages else {}),
    }
    write_json(out / "source.json", "mt_geneval_source", document)


def _sentence_rows(sentence: Sentence, languages: Sequence[str]) -> Iterator[list[str]]:
    for gender in GENDERS:
        told = [sentence.versions[language][gender] for language in languages]
        yield [
            *(image_id(sentence, gender), gender, "sentence", sentence.name, sentence.use),
            *(each.text for each in told),
            *(json.dumps(each.spans) for each in told),
        ]


def _message_row(message: Message, languages: Sequence[str]) -> list[str]:
    texts = [getattr(message, language) for language in languages]
    return [message.image_id, "unknown", "message", "", "train", *texts, *["[]"] * len(texts)]
