-- From here on no load stores anything that hasn't read the list of erasures as it is now, or later.
update erasure_state
set announced = %(revision)s
where announced is null or announced < %(revision)s;
