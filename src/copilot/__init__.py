"""Tech Clarity Copilot: technical documentation in, four clear sections out."""

__version__ = "0.1.0"
