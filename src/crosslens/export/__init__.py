"""A built study in the files of other tools."""
