"""MT-GenEval's sentences in two genders and several languages, as its repository has them (Currey et al., EMNLP 2022).

The folder is a clone of it, or holds its files `geneval-sentences-{feminine,masculine}-{dev,test}.en_{xx}.{en,xx}`
themselves: line n of all files of a split is one sentence, in English and in the language `xx`, written of a woman and of a
man; the words that say so stand in `<F>…</F>` or `<M>…</M>`. Standard library only, as the Snakefile asks.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crosslens.errors import InputError

GENDERS = {"female": "F", "male": "M"}
FILES = {"female": "feminine", "male": "masculine"}
SPLITS = ("test", "dev")
PIVOT = "en"
SELECT = 4
"""One sentence of so many of dev chooses features, the others train: by a hash of its English, whatever else is read."""
_CLONED = "data/sentences/{split}/annotated"
_TAG = re.compile(r"</?[FM]>")
_REMAINS = re.compile(r"</?[FM]\b|\b/?[FM]>")


class Tagged(NamedTuple):
    """A sentence without its tags, and the characters that stood in them."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Start and end of every tagged stretch in `text`, without the white space at its ends; ascending, apart."""


class Sentence(NamedTuple):
    """One sentence, in every language and both genders."""

    split: str
    """dev or test."""
    line: int
    """From 1, in the files of the first pair of languages."""
    versions: dict[str, dict[str, Tagged]]
    """language -> gender -> what is written."""
    key: str
    """sha256 of the English of a woman, in hexadecimal."""

    @property
    def name(self) -> str:
        """What its two genders have in common."""
        return f"{self.split}_{self.line:04d}"

    @property
    def use(self) -> str:
        """train, select or test."""
        if self.split == "test":
            return "test"
        return "train" if int(self.key, 16) % SELECT else "select"


def image_id(sentence: Sentence, gender: str) -> str:
    """Of one version of a sentence: it has no image."""
    return f"{sentence.name}_{gender}"


class LeftOut(NamedTuple):
    """A sentence that cannot be used, and why."""

    split: str
    line: int
    language: str
    why: str


def file_of(folder: Path, gender: str, split: str, other: str, language: str) -> Path:
    """One file of the pair English and `other`."""
    name = f"geneval-sentences-{FILES[gender]}-{split}.{PIVOT}_{other}.{language}"
    # A clone has files without tags of the same names one folder above.
    cloned = folder / _CLONED.format(split=split)
    return (cloned if cloned.is_dir() else folder) / name


def pairs_of(languages: Sequence[str]) -> list[str]:
    """The languages that are paired with English in the files that are read for `languages`."""
    others = [language for language in languages if language != PIVOT]
    if not others:
        raise InputError(
            "languages",
            found=", ".join(languages),
            expected="a language besides English: the files come in pairs",
            mend=f"name one that the folder has, `languages: [{PIVOT}, ar]`",
        )
    return others


def files_of(folder: Path, languages: Sequence[str]) -> list[Path]:
    """Every file that is read for `languages`."""
    return [
        file_of(folder, gender, split, other, language)
        for other in pairs_of(languages)
        for split in SPLITS
        for gender in GENDERS
        for language in (PIVOT, other)
    ]


def parse(line: str, gender: str) -> Tagged | str:
    """The sentence of a line whose tags are those of `gender`, or what is wrong with it.

    Tags may lie in each other. White space around a sentence goes.
    """
    mark, depth, at, start = GENDERS[gender], 0, 0, 0
    text, spans = "", []
    for tag in _TAG.finditer(line):
        if tag.group()[-2] != mark:
            return f"{tag.group()} in a sentence of the {gender} files"
        text += line[at : tag.start()]
        at = tag.end()
        if "/" not in tag.group():
            if depth == 0:
                start = len(text)
            depth += 1
            continue
        depth -= 1
        if depth < 0:
            return f"{tag.group()} closes nothing"
        if depth == 0:
            spans.append((start, len(text)))
    text += line[at:]
    if depth or _REMAINS.search(text):
        return "a tag is not closed, or lacks a bracket"
    before = len(text) - len(text.lstrip())
    trimmed = [_trim(text, *span) for span in spans]
    return Tagged(text.strip(), tuple((a - before, b - before) for a, b in trimmed if b > a))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), end - (len(inside) - len(inside.rstrip()))


def read_sentences(folder: Path, languages: Sequence[str]) -> tuple[list[Sentence], list[LeftOut]]:
    """The sentences that every language of `languages` has in both genders, and those left out with the reason.

    Left out: malformed tags, nothing tagged in a language, the same text of both genders, English that another sentence
    has already (one of dev that test has, too), and with three languages or more the sentences whose English is not in all
    pairs. Test comes first. Raises InputError for files that are missing, that are not UTF-8, or that differ in their
    number of lines, and where a split has no sentence that can be used.
    """
    others = pairs_of(languages)
    found: list[Sentence] = []
    left_out: list[LeftOut] = []
    known: set[tuple[str, ...]] = set()
    for split in SPLITS:
        first, *more = (_read_pair(folder, split, other, left_out) for other in others)
        for line, versions in first.items():
            english = _texts(versions[PIVOT])
            if english in known:
                left_out.append(LeftOut(split, line, PIVOT, "another sentence has the same English"))
                continue
            whole = dict(versions)
            for other, pair in zip(others[1:], more, strict=True):
                same = [each for each in pair.values() if _texts(each[PIVOT]) == english]
                if not same:
                    left_out.append(LeftOut(split, line, other, "its English sentence is not in this pair"))
                    break
                whole[other] = same[0][other]
            else:
                known.add(english)
                key = hashlib.sha256(english[0].encode()).hexdigest()
                found.append(
                    Sentence(split, line, {language: whole[language] for language in languages}, key)
                )
    if lacking := {"train", "select", "test"} - {sentence.use for sentence in found}:
        raise InputError(
            folder,
            found=f"no sentence for {', '.join(sorted(lacking))}; {len(left_out)} are left out"
            + (f", the first because {left_out[0].why}" if left_out else ""),
            expected="tagged sentences for train, select and test",
            mend="name the clone, or the folder of its annotated files",
        )
    return found, left_out


def _texts(versions: dict[str, Tagged]) -> tuple[str, ...]:
    return tuple(versions[gender].text for gender in GENDERS)


def _read_pair(
    folder: Path, split: str, other: str, left_out: list[LeftOut]
) -> dict[int, dict[str, dict[str, Tagged]]]:
    """Line -> language -> gender -> sentence, of one pair of languages."""
    lines = {
        (language, gender): _lines(file_of(folder, gender, split, other, language))
        for language in (PIVOT, other)
        for gender in GENDERS
    }
    counts = {len(each) for each in lines.values()}
    if len(counts) > 1:
        raise InputError(
            folder,
            found=", ".join(
                f"{len(each)} lines in {file_of(folder, gender, split, other, language).name}"
                for (language, gender), each in lines.items()
            ),
            expected="as many in each: line n of all four is one sentence",
            mend="fetch the four files again, all of one revision",
        )
    sentences = {}
    for line in range(1, counts.pop() + 1):
        versions: dict[str, dict[str, Tagged]] = {PIVOT: {}, other: {}}
        wrong = None
        for (language, gender), each in lines.items():
            told = parse(each[line - 1], gender)
            if isinstance(told, str):
                wrong = LeftOut(split, line, language, told)
            else:
                versions[language][gender] = told
        wrong = wrong or _unusable(split, line, versions)
        if wrong:
            left_out.append(wrong)
        else:
            sentences[line] = versions
    return sentences


def _unusable(split: str, line: int, versions: dict[str, dict[str, Tagged]]) -> LeftOut | None:
    for language, genders in versions.items():
        if not all(told.spans for told in genders.values()):
            return LeftOut(split, line, language, "no word is tagged")
        if genders["female"].text == genders["male"].text:
            return LeftOut(split, line, language, "the same of both genders")
    return None


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            path,
            found=error.strerror,
            expected="a file of MT-GenEval",
            mend="clone github.com/amazon-science/machine-translation-gender-eval, and name its folder",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            path,
            found=f"bytes that are not UTF-8, at byte {error.start}",
            expected="the file as published",
            mend="fetch it again",
        ) from error
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines
