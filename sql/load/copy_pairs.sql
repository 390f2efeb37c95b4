-- Stage the LIDs and phones shown as one person.
copy staged_pairs (lid_jid, phone_jid, observed_at, event_id) from stdin (format binary);
