"""Answers for people in a conversation, and for programs over HTTP."""
