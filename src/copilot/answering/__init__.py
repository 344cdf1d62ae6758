"""Question to hits to prompt to text to a checked Answer."""
