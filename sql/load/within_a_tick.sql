-- So that a tick that meets a rebuild, or a long load, doesn't wait for its end: a run does.
set statement_timeout = '10s';
