-- From here on no load stores anything that hasn't read the list of erasures as it is now, or later, and no listing looks
-- for what has expired.
update erasure_state
set announced = %(revision)s, expired_below = %(expired_below)s
where announced is null or announced < %(revision)s
    or (announced = %(revision)s and expired_below is distinct from %(expired_below)s);
