"""The notebooks, their style, and the page that each becomes: what `wpp-lake notebooks` writes from an installed wheel."""
