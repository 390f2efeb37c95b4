-- Nothing of an earlier batch is staged: within one transaction, a rebuild has many.
truncate staged_events, staged_jids, staged_pairs, staged_groups,
    staged_owners, staged_moves, staged_contested, staged_days;
