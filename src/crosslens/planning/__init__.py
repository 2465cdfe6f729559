"""What a study will take, told before anything runs: rows, bytes, files, memory and hours, each with its basis."""
