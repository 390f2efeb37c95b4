-- Of what was received before this moment no content is left; the landing zone was looked through, beginning then.
update erasure_state
set content_before = greatest(content_before, %(before)s), content_swept = %(began)s;
