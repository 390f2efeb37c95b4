copy landed_lines (event_id, landing_key, line_number) from stdin (format binary);
