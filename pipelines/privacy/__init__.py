"""Forgetting: who is meant, what there is of them in every place, taking it out of each, and the proof."""
