"""Taking out what must be forgotten: the list of erasures, and lines without it, before anything else sees them."""
