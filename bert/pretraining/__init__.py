"""Pre-training: text to masked instances, shards, streams of batches, and the loop."""
