"""`start_snakemake.py PYTHON ARGUMENT…`: snakemake, whose jobs are run by that interpreter."""

import sys

from snakemake.cli import main

sys.executable = sys.argv.pop(1)
main()
