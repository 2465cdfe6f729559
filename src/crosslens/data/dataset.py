"""The stage `dataset`: one table a language, all with the same samples in the same order, and a summary."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crosslens.data.agreeing import agreeing_spans, merged
from crosslens.data.agreement import gender_agreement
from crosslens.data.altered import altered
from crosslens.data.captions import Row, read_rows
from crosslens.data.genders import GENDERS
from crosslens.data.images import ImageFile, Quarantined, verify_images
from crosslens.data.labels import GenderCounts, find_gendered, majority
from crosslens.data.languages import language_of
from crosslens.data.lexicons import load_lexicon
from crosslens.data.masked import masked_words, told_in_train
from crosslens.data.splits import SPLITS, assign_splits, keep_together
from crosslens.data.warnings import data_warnings
from crosslens.errors import InputError
from crosslens.tables.documents import write_json, write_table

log = logging.getLogger(__name__)


def build_dataset(
    *,
    captions: Path,
    images: Path | None,
    columns: dict[str, str] | None,
    prompts: dict[str, str],
    lexicons: dict[str, Path],
    splits: dict[str, float],
    seed: int,
    languages: Sequence[str],
    out: Mapping[str, Path],
    out_summary: Path | None,
    gender: bool = True,
    mask: str = "agreement",
    text: str | None = None,
) -> None:
    """Write the dataset parquet of every language of `out` and the summary JSON, as docs/storage.md defines them.

    What is written does not depend on what else is: labels, splits and summary are those of all `languages`.
    captions: the CSV file; columns: as `read_rows` takes them; images: the folder, or
    None for a study of texts alone. prompts: language -> constant prompt. lexicons: language -> lexicon file, for the
    label words that pooling masks; an empty mapping declares that nothing tells the gender, and needs a gender column.
    Without that column an image's gender is what its captions say (`image_labels`), in every language.
    gender: False where none is asked for: lexicons and the column are not looked at, and every image is unknown.
    Images that share a value of an optional column `group`, or their bytes, are a group: they fall into one split, and
    the column `group` of the tables says so to all that counts, resamples or shuffles images.
    mask: `label_words` are the words of the lexicon alone, `agreement` beside them what agrees with a person (see
    `agreeing_spans`). Labels are read from the lexicon's words whatever is masked. Where the table has columns of label
    spans these characters are masked, and no others.
    text: what a control study does to the captions (see `altered`) once labels, splits and masks are known.
    splits: fractions of train, select, test; not used where the table has the splits. Images that do not open are
    quarantined: dropped in all languages and listed in the summary. Raises InputError on anything in the input that a user
    can mend.
    """
    rows = read_rows(captions, languages, columns)
    given = "caption" if rows[0].gender is None else "column"
    source = given if gender else "none"
    lexicons = lexicons if gender else {}
    _check_languages(languages, prompts, lexicons, source, captions)
    loaded = {language: load_lexicon(lexicons[language], language) for language in languages if lexicons}

    files, quarantine = _verify(images, rows)
    dropped = {image_id for image_id, _ in quarantine}
    rows = [row for row in rows if row.image_id not in dropped]
    if dropped:
        log.warning("quarantined %d images; the summary lists them with the reason", len(dropped))

    found = {
        language: [find_gendered(row.captions[language], language, lexicon) for row in rows]
        for language, lexicon in loaded.items()
    }
    counts = {language: [count for _, count in captions] for language, captions in found.items()}
    ids = [row.image_id for row in rows]
    derived = {language: image_labels(ids, told) for language, told in counts.items()}
    combined = combine_labels(derived)
    column = {row.image_id: row.gender for row in rows} if source == "column" else None
    unknown = {row.image_id: "unknown" for row in rows}
    genders = {"column": column, "caption": combined, "none": unknown}[source]
    groups = _groups(rows, files)
    declared = rows[0].split is not None
    assigned = _declared(captions, rows, groups) if declared else _assign(rows, groups, genders, splits, seed)

    shared = pd.DataFrame(
        {
            "sample_id": [row.sample_id for row in rows],
            "image_id": [row.image_id for row in rows],
            "row": pd.Series([row.row for row in rows], dtype="int64"),
            "gender": [genders[row.image_id] for row in rows],
            "gender_source": source,
            "category": [row.category for row in rows],
            "image": [files[row.image_id].image if files else "" for row in rows],
            "image_sha256": [files[row.image_id].sha256 if files else "" for row in rows],
            "split": [assigned[row.image_id] for row in rows],
            "group": [groups[row.image_id] for row in rows],
        }
    )
    captions_of = {language: [row.captions[language] for row in rows] for language in found}
    if tagged := gender and rows[0].label_spans is not None:
        mask = "label_spans"
    agreeing = {
        language: agreeing_spans(texts, language) if mask == "agreement" else [[] for _ in texts]
        for language, texts in captions_of.items()
    }
    hidden = {
        language: [
            merged([(start, end) for start, end, _ in spans], more)
            for (spans, _), more in zip(told, agreeing[language], strict=True)
        ]
        for language, told in found.items()
    }
    if tagged:
        hidden = {language: [row.label_spans[language] for row in rows] for language in languages}
    for language, path in out.items():
        texts, spans = zip(
            *(
                altered(row.captions[language], spans, text, language=language, sample=row.sample_id)
                for row, spans in zip(rows, hidden.get(language, [[]] * len(rows)), strict=True)
            ),
            strict=True,
        )
        table = shared.copy()
        table.insert(3, "caption", texts)
        table.insert(4, "prompt", prompts[language])
        table["label_spans"] = list(map(json.dumps, spans))
        write_table(path, "dataset", table)

    tested = {
        language: told_in_train(
            [
                " ".join(masked_words(row.captions[language], spans, language))
                for row, spans in zip(rows, of_rows, strict=True)
            ],
            *(shared[name] for name in ("image_id", "gender", "split")),
        )
        for language, of_rows in hidden.items()
    }
    warned = data_warnings(
        {language: [row.captions[language] for row in rows] for language in languages},
        genders=list(genders.items()) if gender else None,
        hits={language: sum(map(bool, spans)) for language, spans in hidden.items()}
        if tagged
        else {
            language: sum(bool(count.female or count.male) for count in told)
            for language, told in counts.items()
        },
        tested=[(groups[image], genders[image]) for image, split in assigned.items() if split == "test"],
        unit="text" if images is None else "picture",
    )
    for warning in warned:
        log.warning("%s", warning.message)
    summary = {
        "languages": list(languages),
        "rows": len(rows),
        "images": len(genders),
        "gender_source": source,
        "mask": mask if hidden else None,
        "text": text,
        "splits": None if declared else dict(splits),
        "seed": None if declared else seed,
        "counts": _counts(shared),
        "warnings": [warning._asdict() for warning in warned],
        "quarantine": [item._asdict() for item in quarantine],
        "identical_images": _identical(files),
        "agreement": gender_agreement(derived, combined, column),
        "lexicon_hits": {
            language: {
                "lexicon": Path(lexicons[language]).name,
                "entries": len(lexicon),
                "words": sum(count.words for count in counts[language]),
                "female": sum(count.female for count in counts[language]),
                "male": sum(count.male for count in counts[language]),
                "agreeing": sum(map(len, agreeing[language])),
                "agreement_known": bool(language_of(language).agreement),
                "rows_with_a_hit": sum(bool(count.female or count.male) for count in counts[language]),
            }
            for language, lexicon in loaded.items()
        },
        "masked": {
            language: {
                "rows": sum(map(bool, spans)),
                "test_images": tested[language][0],
                "test_images_told_in_train": tested[language][1],
            }
            for language, spans in hidden.items()
        },
        "sources": {
            "captions": Path(captions).name,
            "images": None if images is None else Path(images).name,
            "lexicons": {language: Path(lexicons[language]).name for language in loaded},
        },
    }
    if out_summary is not None:
        write_json(out_summary, "dataset_summary", summary)


def image_labels(image_ids: Sequence[str], counts: Sequence[GenderCounts]) -> dict[str, str]:
    """image_id -> gender that its captions in one language tell: a caption's majority is one vote, unknown is none.

    image_ids, counts: of each row, its image and the gendered words of its caption.
    """
    votes: dict[str, Counter] = {image_id: Counter() for image_id in image_ids}
    for image_id, count in zip(image_ids, counts, strict=True):
        votes[image_id][majority(count.female, count.male)] += 1
    return {image: majority(cast["female"], cast["male"]) for image, cast in votes.items()}


def combine_labels(derived: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """image_id -> what the languages say together: unknown if one says female and another male.

    A language that tells no gender does not contradict one that does; the summary counts both cases.
    """
    combined = {}
    for image in next(iter(derived.values()), ()):
        said = {labels[image] for labels in derived.values()} - {"unknown"}
        combined[image] = said.pop() if len(said) == 1 else "unknown"
    return combined


def _check_languages(
    languages: Sequence[str],
    prompts: Mapping[str, str],
    lexicons: Mapping[str, Path],
    source: str,
    captions: Path,
) -> None:
    for language in languages:
        if language not in prompts:
            raise InputError(
                "prompts",
                found=f"prompts for {', '.join(prompts) or 'no language'}",
                expected=f"one for language {language!r}",
                mend="add it under `prompts:` in the study",
            )
        if lexicons and language not in lexicons:
            raise InputError(
                "lexicons",
                found=f"lexicons for {', '.join(lexicons)}",
                expected=f"one for language {language!r}, or else its label words would not be masked",
                mend="add it under `lexicons:` in the study (resources/lexicons has some)",
            )
    if not lexicons and source == "caption":
        raise InputError(
            captions,
            found="no column 'ground_truth_gender' and no lexicon",
            expected="one of the two, to know each image's gender",
            mend="add the column, name a lexicon a language under `lexicons:` in the study, or ask for no gender: "
            "`gender: null`",
        )


def _verify(images: Path | None, rows: Sequence[Row]) -> tuple[dict[str, ImageFile], list[Quarantined]]:
    return ({}, []) if images is None else verify_images(images, [row.image_id for row in rows])


def _groups(rows: Sequence[Row], files: Mapping[str, ImageFile]) -> dict[str, str]:
    """image_id -> the least id of its group: of what the table calls one, or has the same bytes, directly or by way of others."""
    marks: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        marks[row.image_id] = [("picture", files[row.image_id].sha256)] if files else []
        marks[row.image_id] += [("group", row.group)] if row.group else []
    return keep_together(marks)


def _declared(captions: Path, rows: Sequence[Row], first_of: Mapping[str, str]) -> dict[str, str]:
    """image_id -> split, as the table has it: a group in one, and none of them empty."""
    assigned = {row.image_id: row.split for row in rows}
    for image_id, first in first_of.items():
        if assigned[image_id] != assigned[first]:
            raise InputError(
                f"{captions}, column 'split'",
                found=f"{first!r} in {assigned[first]} and {image_id!r} of the same group in {assigned[image_id]}",
                expected="one split for what the column `group` or the same picture bytes bring together",
                mend="move one of them: what is tested must not have been trained on",
            )
    if empty := [name for name in SPLITS if name not in assigned.values()]:
        raise InputError(
            f"{captions}, column 'split'",
            found=f"no image in {', '.join(empty)} ({len(assigned)} images)",
            expected="at least one image in every split",
            mend="move some there, or take the column out and let splits be drawn",
        )
    return assigned


def _assign(
    rows: Sequence[Row],
    first_of: Mapping[str, str],
    genders: Mapping[str, str],
    splits: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """image_id -> split; the images of one group stay together."""
    row_of = {row.image_id: row for row in rows}
    cells: dict[str, set[tuple[str, str]]] = {}
    for image_id, first in first_of.items():
        # Without groups a picture counts as what its first id says it is.
        if image_id == first or row_of[image_id].group:
            cells.setdefault(first, set()).add((genders[image_id], row_of[image_id].category))
    strata = {
        first: min(found) if len(found) == 1 else tuple(sorted(found)) for first, found in cells.items()
    }
    assigned = assign_splits(strata, splits, seed)
    return {image_id: assigned[first] for image_id, first in first_of.items()}


def _identical(files: Mapping[str, ImageFile]) -> list[list[str]]:
    same: dict[str, list[str]] = {}
    for image_id, file in files.items():
        same.setdefault(file.sha256, []).append(image_id)
    return sorted(sorted(group) for group in same.values() if len(group) > 1)


def _counts(shared: pd.DataFrame) -> list[dict[str, Any]]:
    """Images and rows of every split × gender × category, empty cells included."""
    rows = Counter(zip(shared["split"], shared["gender"], shared["category"], strict=True))
    once = shared.drop_duplicates("image_id")
    images = Counter(zip(once["split"], once["gender"], once["category"], strict=True))
    return [
        {"split": split, "gender": gender, "category": category, "images": images[cell], "rows": rows[cell]}
        for split in SPLITS
        for gender in GENDERS
        for category in sorted(set(shared["category"]))
        for cell in [(split, gender, category)]
    ]
