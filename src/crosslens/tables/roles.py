"""What a token can be, and when its norm makes it a sink. Imports nothing: the settings of studies are read with it."""

ROLES = ("bos", "special", "image", "prompt", "caption", "generated")
BOS, SPECIAL, IMAGE, PROMPT, CAPTION, GENERATED = range(len(ROLES))
TEXT_ROLES = ("prompt", "caption", "generated")
SINK_FACTOR = 10.0
"""A token whose norm is above this times the median norm is a sink, as the first token of a text may be."""
