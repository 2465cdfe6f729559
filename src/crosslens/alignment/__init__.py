"""How alike two languages, models or seeds represent the same samples."""
