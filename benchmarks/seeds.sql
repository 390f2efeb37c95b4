-- What days are made of, in the place of the loaded events: those, in the order of their receipt, each with a text of
-- random syllables, and the third of them with a thumbnail, which no compression makes smaller than its bytes. The
-- indexes of events that no snapshot reads go, so that millions of rows are made in minutes.
select setseed(0.5);

create table seeds with (toast_tuple_target = 8160) as
select (row_number() over (order by landing_key, landing_line) - 1)::integer as number,
       type, group_id, participant_id, participant_jid, payload, payload_sanitized, body_sha256, undecrypted, words,
       thumbnail
from whatsapp_events,
     lateral (
         select string_agg(syllable || case when random() < 0.4 then ' ' else '' end, '') as words
         from (
             select (string_to_array('a o de que va mos por to ca ra mi gos sa be lo cê nha ção men te dos pra es ti co não '
                                     'sem pre ho je', ' '))[1 + floor(random() * 30)::integer] as syllable
             from generate_series(1, 20 + get_byte(body_sha256, 0) / 2)
         ) as syllables
     ) as texts,
     lateral (
         select string_agg(encode(sha256((event_id::text || part)::bytea), 'base64'), '') as thumbnail
         from generate_series(1, case when get_byte(body_sha256, 1) < 85 then 12 else 0 end) as part
     ) as thumbnails
order by number;

truncate whatsapp_events cascade;

drop index whatsapp_events_type_idx, whatsapp_events_type_occurred_at_idx, whatsapp_events_group_id_occurred_at_idx,
           whatsapp_events_participant_id_occurred_at_idx;
