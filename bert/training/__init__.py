"""Fine-tuning and what all training shares: the update, workers, progress, evaluation."""
