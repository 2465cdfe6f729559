"""Real bilingual sources in the user's own format: names of emoji, and messages of translated software."""
