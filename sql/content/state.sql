-- Before when no content is left, and since when landing files weren't looked through for it.
select content_before, content_swept from erasure_state;
