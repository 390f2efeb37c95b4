-- So that who shows figures doesn't wait for a database that is busy, or for a lock.
set statement_timeout = '5s';
