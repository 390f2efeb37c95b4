"""Checks of what is stored against what was signed and landed. Changes nothing."""
