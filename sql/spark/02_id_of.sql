-- The id of what a name names in a table.
create or replace temporary function id_of(kind string, name string) returns string
return id_of_digest(sha1(concat(x'6ba7b8119dad11d180b400c04fd430c8', encode(concat(kind, '/', name), 'utf-8'))));
