"""Text to token ids: vocabularies, tokenizers, and cutting to the model's length."""
