"""What a picture or text may be labelled."""

GENDERS = ("female", "male", "unknown")
