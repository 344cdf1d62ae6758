"""The language model: examples in, an adapter or text out."""
