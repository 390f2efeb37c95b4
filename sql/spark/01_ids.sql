-- The id of what a name names in a table, always the same: a UUIDv5 in the namespace of URLs. `id_of_digest` gives the
-- first 32 digits of a hash the form of one, with version and variant in their places.
create or replace temporary function id_of_digest(digest string) returns string
return concat(
    substr(digest, 1, 8), '-', substr(digest, 9, 4), '-5', substr(digest, 14, 3), '-',
    translate(substr(digest, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab'), substr(digest, 18, 3), '-',
    substr(digest, 21, 12)
);
