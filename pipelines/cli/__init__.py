"""The `wpp-lake` command: its verbs, and what only they need."""
