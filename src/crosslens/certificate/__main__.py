"""Put grafts into the embedded model, ask every method, write estimates.parquet, directions.parquet, calls.parquet,
certificate.json and index.html."""

import argparse
import logging
import tempfile
from pathlib import Path

import pandas as pd
import torch

from crosslens.certificate.measure import CANDIDATES, FRESH, GRAFTED, measure
from crosslens.certificate.page import write_page
from crosslens.certificate.scores import scores
from crosslens.models.load import load_model
from crosslens.tables.documents import write_json, write_table

BOOTSTRAPS = 2000
log = logging.getLogger("crosslens.certificate")


def main(arguments: list[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m crosslens.certificate", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of planted and planted_control")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seeds", type=int, default=20, help="how many grafts of each kind")
    parser.add_argument("--first", type=int, default=FRESH, help="seed of the first; below 1000 to develop")
    parser.add_argument("--cases", type=int, default=4, help="pictures, each with texts in both languages")
    parser.add_argument(
        "--ig", type=int, help="of how many seeds integrated gradients are computed; default: all"
    )
    parser.add_argument("--saes", type=int, help="of how many seeds SAEs are trained; default: all")
    options = parser.parse_args(arguments)
    if min(options.seeds, options.cases - 1) < 1:
        parser.error("--seeds: 1 or more; --cases: 2 or more")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    loaded = {
        name: load_model(str(options.models / name), device="cpu") for name in (GRAFTED, "planted_control")
    }
    parts = []
    for number in range(options.seeds):
        seed = options.first + number
        random = load_model(str(options.models / GRAFTED), device="cpu", random_init=seed)
        ig, saes = (of is None or number < of for of in (options.ig, options.saes))
        with tempfile.TemporaryDirectory() as images:
            parts.append(
                measure(
                    loaded | {"random_init": random},
                    seed,
                    number=options.cases,
                    ig=ig,
                    saes=saes,
                    images=Path(images),
                )
            )
        log.info("seed %d", seed)
        write(options.out, parts, options.first, options.cases)


def write(out: Path, parts: list[tuple[pd.DataFrame, ...]], first: int, cases: int) -> None:
    """What is known so far, of tables as `measure` gives them."""
    tables = [pd.concat(of, ignore_index=True) for of in zip(*parts, strict=True)]
    for name, table in zip(("estimates", "directions", "calls"), tables, strict=True):
        write_table(out / f"{name}.parquet", f"certificate_{name}", table)
    document = {
        "seeds": {"first": first, "last": first + len(parts) - 1},
        "cases": cases,
        "candidates": CANDIDATES,
        "bootstraps": BOOTSTRAPS,
        **scores(*tables, bootstraps=BOOTSTRAPS, seed=0),
    }
    write_json(out / "certificate.json", "certificate", document)
    write_page(out / "certificate.json", out / "index.html")


if __name__ == "__main__":
    main()
