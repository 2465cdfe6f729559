"""`python -m snakemake`, as a script."""

from snakemake.cli import main

main()
