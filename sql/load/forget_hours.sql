-- Forget noted UTC hours. What a listing has noted since a load of them began may be something else, and stays.
delete from pending_hours where hour = any(%(hours)s) and noted_at < coalesce(%(began)s, clock_timestamp());
