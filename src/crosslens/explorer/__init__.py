"""A page for every feature of a study, and one table to find it in: a folder that a browser opens from the disk."""
