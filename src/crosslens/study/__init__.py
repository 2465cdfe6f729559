"""A study: its settings, and what they say about model, texts and SAEs. Imports nothing heavy: each job's start reads it."""
