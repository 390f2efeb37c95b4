"""The lake's figures, as `wpp-lake status` and the metrics show them: what waits, how late it is, how much there is.

Belongs here: asking, cheaply however old the lake is, and without Dagster's own code. Not: showing the answers, nor
deciding what is wrong (doctor).
"""
