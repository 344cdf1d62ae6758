"""Answers in, numbers and a report out."""
