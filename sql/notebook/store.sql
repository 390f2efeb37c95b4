-- The object store and its keys, for s3:// addresses. Times are shown in UTC.
set TimeZone = 'UTC';
create secret (
    type s3, key_id $key, secret $secret, session_token $token, region $region,
    endpoint $endpoint, use_ssl $ssl, url_style 'path'
);
