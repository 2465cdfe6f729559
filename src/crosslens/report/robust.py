"""What is said of a feature that is named: is it gendered however one looks?"""

from typing import Any

Record = dict[str, Any]

READ = {"max": "by the strongest token instead of the mean", "last": "by the last token instead of the mean"}
"""Views that read the same SAE otherwise, in words."""


def seeds_words(named: Record) -> str:
    """`gendered in 1 of 2 other seeds` of a record of kind named; `one seed` where there are no others.

    One in which its counterpart could not be tested is none in which it is not gendered.
    """
    if not named["seeds"]:
        return "one seed: not known of others"
    others = "other seed" if named["seeds"] == 1 else "other seeds"
    untested = named["seeds"] - named["seeds_tested"]
    rest = f" (in {untested} too rare to be tested)" if untested else ""
    return f"gendered in {named['seeds_kept']} of {named['seeds']} {others}{rest}"


def readings_words(named: Record) -> str:
    """How it is gendered by its strongest and by the last token, of a record of kind named."""
    told = {True: "gendered", False: "not gendered", None: "not tested (fires too rarely)"}
    return f"{told[named['max']]} by the strongest token, {told[named['last']]} by the last"
