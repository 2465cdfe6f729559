"""MT-GenEval's sentences in two genders and several languages, and messages to train on (see crosslens.sources.mt_geneval)."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.sources import plan
from crosslens.sources.mt_geneval import GENDERS, PIVOT, Sentence, files_of, image_id, read_sentences
from crosslens.store.digests import digest
from crosslens.study.sources.base import Source, Text, Texts, shares_of
from crosslens.study.sources.names import MESSAGES, Names

SETTINGS = {
    "mt_geneval": {
        "description": "MT-GenEval (Currey et al. 2022): sentences in two genders that differ in their tagged words, in English "
        "and other languages. Its dev trains and selects, its test reports; the tags say what is masked.",
        "type": "object",
        "additionalProperties": False,
        "required": ["folder"],
        "properties": {
            "folder": {
                "description": "A clone of github.com/amazon-science/machine-translation-gender-eval, or a folder of its "
                "annotated files.",
                "type": "string",
            },
            "messages": MESSAGES
            | {
                "description": "Messages of translated software beside them, of no gender and all in train: more for SAEs to "
                "learn from, in English and Arabic."
            },
        },
    }
}


class MtGenEval(Source):
    kind = "mt_geneval"

    @property
    def folder(self) -> Path:
        """As the study names it."""
        return Path(self.settings["folder"])

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Those that every language of the study has."""
        return read_sentences(self.folder, self.whole["languages"])[0]

    @property
    def _found(self) -> list[Sentence]:
        """The same; none where the files are not there yet."""
        try:
            return self.sentences
        except InputError:
            return []

    @property
    def n_messages(self) -> int:
        """Rows behind the sentences."""
        return self.settings["messages"]["count"] if self.settings["messages"] else 0

    @property
    def n_rows(self) -> int:
        return len(GENDERS) * len(self.sentences) + self.n_messages

    @cached_property
    def identity(self) -> Any:
        return {
            "languages": self.whole["languages"],
            "files": {
                path.name: self.digests(path) for path in files_of(self.folder, self.whole["languages"])
            },
            "messages": self._messages(self.digests),
        }

    def _messages(self, digests: Any) -> Any:
        messages = self.settings["messages"]
        return messages and plan.identity({"emoji": None, "messages": messages}, digests)["messages"]

    @property
    def files(self) -> list[Path]:
        found = files_of(self.folder, self.whole["languages"])
        self._messages(lambda path: found.append(path) or "")
        return found

    def _rows(self, language: str) -> list[Text]:
        prompt = self.whole["prompts"].get(language, "")
        return [
            Text(
                f"{unit}#0", sentence.versions[language][gender].text, prompt, "", unit, gender, sentence.use
            )
            for sentence in self.sentences
            for gender in GENDERS
            for unit in [image_id(sentence, gender)]
        ]

    def block_identity(self, first: int, last: int, language: str) -> Any:
        rows = self._rows(language)
        told: list[Any] = [digest([[row.sample_id, row.caption] for row in rows[first - 1 : last]])]
        if last > len(rows) and self.n_messages:
            start, stop = max(first - len(rows), 1), min(last - len(rows), self.n_messages)
            messages = self._messages(self.digests)
            told.append(["messages", messages["seed"], messages["catalogues"], start, stop])
        return told

    def extent(self, first: int, last: int, language: str) -> tuple[float, int | None]:
        if not self._found:
            return last - first + 1, None
        rows = self._rows(language)
        # Nobody has read the messages.
        longest = (
            max(len(f"{row.prompt}{row.caption}".encode()) for row in rows) if last <= len(rows) else None
        )
        return min(last, self.n_rows) - first + 1, longest

    def texts(self, language: str) -> Texts | None:
        """Messages that were not fetched yet are left out."""
        # Here: it reads catalogues with a package that the rest does without.
        from crosslens.sources.catalogues import sample_messages

        if not self._found:
            return None
        rows, messages = self._rows(language), self.settings["messages"]
        try:
            drawn = sample_messages(**messages) if messages else []
        except InputError:
            return Texts(rows, "sentences of MT-GenEval, without the messages (not fetched yet)")
        prompt = self.whole["prompts"].get(language, "")
        rows += [
            Text(f"{each.image_id}#0", getattr(each, language), prompt, "", each.image_id, "unknown", "train")
            for each in drawn
        ]
        return Texts(rows, "sentences of MT-GenEval" + (" and messages" if drawn else ""))

    @property
    def shares(self) -> dict[str, float] | None:
        if not (found := self._found):
            return None
        return shares_of([*(each.use for each in found for _ in GENDERS), *["train"] * self.n_messages])

    @property
    def tagged(self) -> dict[str, int]:
        return dict.fromkeys(self.whole["languages"], len(GENDERS) * len(self._found))

    @property
    def units(self) -> Iterable[str]:
        return (sentence.name for sentence in self.sentences)

    def faults(self) -> Iterator[InputError]:
        yield from super().faults()
        languages = self.whole["languages"]
        if languages == [PIVOT]:
            yield self.whole.fault(
                "languages",
                languages,
                "a language besides English: the files come in pairs",
                "name another that the folder has",
            )
        if self.n_messages and (other := [name for name in languages if name not in Names.languages]):
            yield self.whole.fault(
                "source.mt_geneval.messages",
                f"messages, which are English and Arabic, and the languages {', '.join(other)}",
                "texts in every language of the study",
                "take out `messages`",
            )

    def file_faults(self) -> Iterator[InputError]:
        if self.whole["languages"] == [PIVOT]:
            return
        try:
            self.sentences  # noqa: B018
        except InputError as error:
            yield self.whole.fault(
                "source.mt_geneval.folder", f"{error.where}: {error.found}", error.expected, error.mend
            )


SOURCE = MtGenEval
