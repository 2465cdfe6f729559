"""How fast a machine is and how well data compress: numbers with the device and the measurement they come from."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crosslens.artifacts.kinds import Amount
from crosslens.errors import InputError
from crosslens.store.checkout import checkout

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

    def seconds(self, amount: Amount, kind: str) -> float:
        """What an amount takes on a device of that kind."""
        rate = self.find(amount.rate, kind)
        whole = amount.amount * rate.value if rate.unit.startswith("s ") else amount.amount / rate.value
        return whole + (amount.batches * self.find("batch", kind).value if amount.batches else 0)


def load_rates(own: Path | None = None) -> Rates:
    """The rates of `own`, or of the file that CROSSLENS_RATES names, before those that are shipped.

    Raises InputError for a file that is not there or is none of rates.
    """
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
        try:
            found += [Rate(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["rates"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                path,
                found=f"no rates ({type(error).__name__}: {error})",
                expected='{"rates": [{"device", "what", "value", "unit", "basis"}, …]}',
                mend="write it with tests/benchmarks/caption_study.py --write-rates",
            ) from None
    return Rates(found)
