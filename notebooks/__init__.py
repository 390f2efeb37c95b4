"""The notebooks, their style, and the page that each becomes by `wpp-lake notebooks`, from an installed wheel too."""
