-- Until the transaction ends, nobody else changes the alarms: two listings at once can't deadlock.
lock table landing_alarms in share row exclusive mode;
