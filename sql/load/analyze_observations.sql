-- Tell the planner how much was staged: without it the steps fall into nested loops.
analyze staged_jids, staged_pairs, staged_groups;
