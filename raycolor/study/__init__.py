"""The study without Ray: its journal, decisions, suggestions, and what is derived from them."""
