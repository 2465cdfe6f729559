"""The `crosslens` command: care for the store. Everything else is a Snakemake target."""

import argparse
import json
import sys
from pathlib import Path

from crosslens.errors import InputError
from crosslens.store import maintenance
from crosslens.store.store import Store


def _verify(args: argparse.Namespace) -> int:
    faults = maintenance.verify(Store())
    print("\n".join(faults) or "every object is what its name says")
    return 1 if faults else 0


def _gc(args: argparse.Namespace) -> int:
    garbage = maintenance.find_garbage(Store(), grace_seconds=args.grace_hours * 3600)
    for place in garbage.places:
        print(place)
    if not args.dry_run:
        maintenance.collect_garbage(garbage)
    verb = "would free" if args.dry_run else "freed"
    print(f"{verb} {garbage.bytes / 1e6:,.1f} MB in {len(garbage.places)} places")
    return 0


def _forget(args: argparse.Namespace) -> int:
    for place in maintenance.forget(args.path, Store()):
        print(f"removed {place}")
    return 0


def _explain(args: argparse.Namespace) -> int:
    print(json.dumps(maintenance.explain(args.path), ensure_ascii=False, indent=1))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line of `crosslens`."""
    top = argparse.ArgumentParser(prog="crosslens", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    store = commands.add_parser("store", help="care for the artifact store")
    verbs = store.add_subparsers(required=True, metavar="VERB")
    verify = verbs.add_parser("verify", help="compare every object's bytes with its digest")
    verify.set_defaults(run=_verify)
    gc = verbs.add_parser("gc", help="remove what no registered checkout links to")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    gc.add_argument(
        "--grace-hours",
        type=float,
        default=24.0,
        help="keep what is younger than this (default: %(default)s)",
    )
    gc.set_defaults(run=_gc)
    forget = verbs.add_parser("forget", help="remove one artifact, so that `snakemake PATH` makes it anew")
    forget.add_argument("path", type=Path, help="its path under results/")
    forget.set_defaults(run=_forget)
    explain = verbs.add_parser("explain", help="print how one artifact was made, as JSON")
    explain.add_argument("path", type=Path, help="its path under results/")
    explain.set_defaults(run=_explain)
    return top


def main() -> None:
    """Run the command; bad input is told in one line on stderr with exit status 2."""
    args = parser().parse_args()
    try:
        sys.exit(args.run(args))
    except InputError as error:
        print(f"crosslens: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
