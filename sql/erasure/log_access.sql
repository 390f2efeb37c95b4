-- Somebody looks at somebody's data.
insert into access_log (by, action, subject, reference)
values (%(by)s, %(action)s, %(subject)s, %(reference)s);
