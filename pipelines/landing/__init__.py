"""The landing zone, read: its files, their hours, and the format of their lines. Only the receiver writes it."""
