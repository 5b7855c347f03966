"""What a new study takes from earlier ones: which are similar, and which of their configurations are worth a try."""
