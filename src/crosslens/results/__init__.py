"""A built study, opened for people: notebooks, and exports to other tools (see `crosslens.open_study`)."""
