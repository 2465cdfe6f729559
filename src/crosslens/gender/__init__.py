"""Gender in features, in linear probes and in the model's own captions, per language and across languages."""
