"""SAEs of other tools: read into the canonical form of `sae.model`, and written for them."""
