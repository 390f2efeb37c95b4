"""An invented community: its people, its weeks, and the signed requests that a collector would have sent of them.

Belongs here: a sample as large as wanted, always the same for the same dates. Not: sending it (demo).
"""
