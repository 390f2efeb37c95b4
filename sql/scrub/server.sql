-- The folder of the server; null where this session may not do what is done to the whole server.
select case when current_setting('is_superuser')::boolean then current_setting('data_directory') end;
