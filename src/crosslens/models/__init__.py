"""Language models: loading, their inputs, and reading or editing what passes through their blocks."""
