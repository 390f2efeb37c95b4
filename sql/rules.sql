-- The oldest version of the rules that a landing file was loaded by; null where none is loaded.
select min(rules) from landing_files;
