"""The one place that knows what a question and an answer look like."""
