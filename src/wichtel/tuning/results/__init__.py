"""What is left of a study: its result, where it is kept, and how it is read, ranked, reported and exchanged with Optuna."""
