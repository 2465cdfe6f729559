"""Do the languages share what they represent of gender?"""

from collections.abc import Iterator

from crosslens.report.answers.base import Answer, Dot
from crosslens.report.leaks import read_all_the_same
from crosslens.report.numbers import bracketed, level_words, plain
from crosslens.report.sections.base import Record, Results, both_names, by_languages, languages_of
from crosslens.summary.claims import found, transfers
from crosslens.summary.conditions import condition_name
from crosslens.summary.names import corpus_name, in_groups, pair_name, short_name, site_name

ORDER = 20
QUESTION = "Do the languages share it?"
METHOD = "difference_of_means"
"""Of the figure: the plainer of the two."""


def answer(results: Results) -> Answer:
    """By whether the gender direction of one language tells the genders apart in the other, label words masked."""
    pairs = [across for (across,) in by_languages(of_masked(results))]
    if not pairs:
        return Answer(QUESTION, "warning", "Not asked: gender was not compared between two languages.")
    tested = results.tested([row for across in pairs for row in across])
    carried = [row for row in tested if transfers(row, results.level)]
    best = [rows for rows in map(nearest, pairs) if rows]
    where = " ".join(_where(rows, carried, results) for rows in best)
    what = "the gender direction of one language tells gender in the other"
    if carried:
        level = level_words(results.level)
        kind, verdict = (
            "found",
            f"Yes: in {len(carried)} of {len(tested)} cases (q ≤ {level}) {what}. {where}",
        )
    elif tested:
        kind, verdict = "null", f"Not beyond chance: in none of {len(tested)} cases {what}. {where}"
    else:
        because = results.reasons([row for across in pairs for row in across])
        kind, verdict = "warning", f"Not tested, because {because}."
    lines = [results.words["shared"]] if carried else []
    lines += [*read_all_the_same(carried, results.records("words")), *_features(results)]
    if best:
        lines.append(
            "Told is the layer and condition in which the weaker of both ways is strongest; in itself: the language's own "
            "direction."
        )
    dots = [auroc_dot(row, _named(row)) for rows in best for row in [*rows, *_itself(rows, results)]]
    return Answer(QUESTION, kind, verdict, list(filter(None, lines)), dots, "AUROC", "transfer")


def of_masked(results: Results) -> list[Record]:
    """Transfer between languages without the words that state the gender."""
    return [
        row for row in results.records("transfer") if not row["lexical"] and row["source"] != row["target"]
    ]


def nearest(across: list[Record]) -> list[Record]:
    """Both ways at the layer and in the condition in which the weaker is strongest, by METHOD; none where there are none."""
    places: dict[tuple[str, str], list[Record]] = {}
    for row in across:
        if row["method"] == METHOD and row["auroc"] is not None:
            places.setdefault((row["site"], row["condition"]), []).append(row)
    both = [rows for rows in places.values() if len(rows) == 2]
    return max(both, key=lambda rows: min(row["auroc"] for row in rows), default=[])


def _itself(rows: list[Record], results: Results) -> list[Record]:
    """What the own directions of both languages read at the same place."""
    place = {name: rows[0][name] for name in ("site", "condition", "method")}
    return [
        row
        for row in results.records("transfer")
        if row["source"] == row["target"] and row["source"] in languages_of(rows[0])
        if row["auroc"] is not None and place.items() <= row.items()
    ]


def _where(rows: list[Record], carried: list[Record], results: Results) -> str:
    """Both ways at one layer, with what the model had read there: before a caption that is the picture and a prompt."""
    read, told = condition_name(rows[0]["condition"], []), [_auroc(row, carried, results) for row in rows]
    return f"At {site_name(rows[0]['site'])}, {read}: {'; '.join(told)}; {_counted(rows, results)}."


def _auroc(row: Record, carried: list[Record], results: Results) -> str:
    """With what it is worth by itself: where some cases carry the answer this one need not be one of them."""
    told = [] if row["null_high"] is None else [f"random directions to {plain(row['null_high'], 2)}"]
    if results.untested(row):
        told.append("not tested")
    elif carried and row not in carried:
        told.append("not beyond chance")
    pair = pair_name(row["source"], row["target"])
    return f"{pair} AUROC {plain(row['auroc'], 2)}{bracketed(row, 'auroc', 2)}" + (
        f" ({', '.join(told)})" if told else ""
    )


def _counted(rows: list[Record], results: Results) -> str:
    fewest = min(rows, key=lambda row: row["n"])
    return f"n = {plain(fewest['n'])} test {results.words['units']}{in_groups(fewest['n'], fewest['groups'])}"


def auroc_dot(row: Record, name: str) -> Dot:
    """A record of transfer in the figure, in the colour of the language that it is tried in."""
    chance = None if row["null_low"] is None else (row["null_low"], row["null_high"])
    return Dot(name, row["auroc"], row["auroc_low"], row["auroc_high"], chance, row["target"])


def _named(row: Record) -> str:
    itself = row["source"] == row["target"]
    return f"{short_name(row['source'])} in itself" if itself else pair_name(row["source"], row["target"])


def _features(results: Results) -> Iterator[str]:
    """Features of an SAE of all languages that fire in both for the same texts."""
    for (rows,) in by_languages(results.tested(results.records("sharing"))):
        best = max(rows, key=lambda row: row["found"] / max(row["features"], 1))
        beyond = "" if found(best, results.level) else ": no more than chance gives"
        yield (
            f"{both_names(best)}, {corpus_name(best['corpus'])} at {site_name(best['site'])}: {plain(best['found'])} of "
            f"{plain(best['features'])} features fire alike in both, {plain(best['chance'], 1)} by chance (q = "
            f"{plain(best['q'])}; the largest share of {len(rows)} cases){beyond}."
        )
