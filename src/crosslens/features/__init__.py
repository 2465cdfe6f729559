"""Feature codes and what is measured on them: quality, splicing, statistics, specialists, pooling."""
