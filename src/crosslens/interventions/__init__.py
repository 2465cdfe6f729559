"""What changes when a model runs with a feature taken away or put in another's place."""
