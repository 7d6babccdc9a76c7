"""BERT itself: its configuration, encoder, heads, inputs and operators."""
