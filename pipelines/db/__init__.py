"""PostgreSQL: the connection, the SQL files, binary COPY and migrations. Not: what any statement is for."""
