"""Retrain a planted model, evaluate it on held-out scenes, write its card; exit 1 if a target is missed."""

import argparse
import logging
import sys
from pathlib import Path

from crosslens.planted.card import write_card
from crosslens.planted.evaluation import evaluate, failures
from crosslens.planted.recipe import Recipe, train

log = logging.getLogger("crosslens.planted")


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m crosslens.planted", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must be new or empty")
    parser.add_argument("--seed", type=int, default=0, choices=(0, 1, 2), help="seed of the recipe")
    parser.add_argument("--control", action="store_true", help="plant .5 everywhere")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"--out {options.out}: expected a new or empty folder; name another or empty it")
    options.out.mkdir(parents=True, exist_ok=True)
    training = train(Recipe(seed=options.seed, control=options.control), options.out)
    figures = evaluate(options.out, control=options.control)
    missed = failures(figures, control=options.control)
    write_card(options.out, training, figures, missed)
    for words in missed:
        log.error("target missed: %s", words)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
