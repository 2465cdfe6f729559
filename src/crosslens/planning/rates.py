"""How fast a machine is and how well data compress: numbers with the device and the measurement they come from."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crosslens.errors import InputError
from crosslens.store.checkout import checkout
from crosslens.tables.documents import read_json

SHIPPED = checkout() / "resources/rates.json"
VARIABLE = "CROSSLENS_RATES"


class Rate(NamedTuple):
    """One number."""

    device: str
    """"gpu" or "cpu" and what it is ("gpu: NVIDIA A100"), or "any"."""
    what: str
    value: float
    unit: str
    basis: str
    """"measured on …" or "assumed: …"."""


class Rates:
    """Rates by name; the first that fits counts, so a user's own come before the shipped ones."""

    def __init__(self, rates: Sequence[Rate]):
        self.rates = list(rates)

    def find(self, what: str, kind: str = "any") -> Rate:
        """The rate `what` of a device of `kind` ("gpu", "cpu"), or of any; InputError where there is none."""
        for rate in self.rates:
            if rate.what == what and rate.device.split(":")[0] in (kind, "any"):
                return rate
        raise InputError(
            "rates",
            found=f"no rate {what!r} for {kind}",
            expected=f"one in {SHIPPED} or in the file that {VARIABLE} or --rates names",
            mend=f"measure it: python tests/benchmarks/caption_study.py --write-rates {SHIPPED}",
        )


def load_rates(own: Path | None = None) -> Rates:
    """The rates of `own`, or of the file that CROSSLENS_RATES names, before those that are shipped."""
    named = own or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    found: list[Rate] = []
    for path in filter(None, (named, SHIPPED)):
        if not path.is_file():
            raise InputError(
                path,
                found="no such file",
                expected="a file of rates",
                mend="correct the path, or run at the root",
            )
        found += [Rate(**entry) for entry in read_json(path, "rates")["rates"]]
    return Rates(found)
