"""The stages, a file each: KINDS, what they make, and WORK, the rules that make it."""
