"""The embedded stack: every service that `wpp-lake up` and `wpp-lake demo` run on one machine, without Docker.

Belongs here: starting, supervising and showing PostgreSQL, an S3 server and the project's own processes on 127.0.0.1.
Not: anything that production needs; it runs the same processes against real services and doesn't install this package.
"""
