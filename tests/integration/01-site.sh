#!/bin/bash
# Goal: every answer that nginx gives by itself is one that a client can read,
# across origins too (S10), and what is for the operator alone is not there.
. "$(dirname "$0")/lib.sh"
start_stack

expect_error() {
	expect_status "$1"
	expect_header Content-Type application/json
	expect_header Cache-Control no-store
	expect_header Access-Control-Expose-Headers 'X-Sync-Status, Preference-Applied'
	expect_json .code "$2"
	expect_json 'has("message") and has("error")' true
}

origin=(-H 'Origin: https://app.example.com')
get - /healthz "${origin[@]}"
expect_status 200
expect_header Access-Control-Allow-Origin https://app.example.com
expect_header Access-Control-Expose-Headers 'X-Sync-Status, Preference-Applied'

request - OPTIONS /v2/pipeline "${origin[@]}" -H 'Access-Control-Request-Method: POST' \
	-H 'Access-Control-Request-Headers: authorization, content-type, prefer'
expect_status 204
expect_header Access-Control-Allow-Origin https://app.example.com
expect_header Access-Control-Allow-Headers 'authorization, content-type, prefer, x-libsql-client-version'
expect_header Access-Control-Allow-Methods 'GET, POST, PUT, OPTIONS'

for path in /metrics /x/../metrics /%6detrics //metrics; do
	get alice "$path"
	expect_error 404 NOT_FOUND
done

head -c 5000000 /dev/zero >"$stack/large"
request alice POST /v1/execute --data-binary @"$stack/large"
expect_error 413 TOO_LARGE
request alice POST /v1/execute -H 'Transfer-Encoding: chunked' --data-binary @"$stack/large"
expect_error 413 TOO_LARGE
get - / -H "X-Large: $(head -c 40000 /dev/zero | tr '\0' x)"
expect_error 400 MALFORMED

# Files for browsers: public, typed, asked for again each time.
for path in / /web/ /web/index.html; do
	get - "$path" "${origin[@]}"
	expect_status 200
	expect_header Content-Type 'text/html; charset=utf-8'
	cmp "$BODY" "$root/app/web/index.html" || fail "that is another page"
	expect_header Cache-Control no-cache
	expect_header X-Content-Type-Options nosniff
	expect_header Referrer-Policy no-referrer
	expect_header Access-Control-Allow-Origin https://app.example.com
	header Content-Security-Policy | grep -q "^default-src 'none'; script-src 'self'; " ||
		fail "the policy is '$(header Content-Security-Policy)'"
	get - "$path" -H "If-None-Match: $(header ETag)"
	expect_status 304
done
post alice / '{}' "${origin[@]}"
expect_error 405 METHOD_NOT_ALLOWED
expect_header Allow 'GET, HEAD'
for path in /web /web/no-such-file /web/../main.c /web/%2e%2e/main.c; do
	get alice "$path" "${origin[@]}"
	expect_error 404 NOT_FOUND
done

# What the program says it says once, though nginx has a word for it too.
store_answers refused
execute bob 'SELECT 1' "${origin[@]}"
expect_status 503
expect_header Access-Control-Allow-Origin https://app.example.com
[ "$(grep -ci '^cache-control:' "$HEADERS")" = 1 ] || fail "Cache-Control is there twice"
[ "$(grep -ci '^retry-after:' "$HEADERS")" = 1 ] || fail "Retry-After is there twice"

get - /readyz
expect_status 200
kill_holdfast_hard
get - /readyz
expect_error 503 BUSY
post alice /v1/execute '{}' "${origin[@]}"
expect_error 503 BUSY
expect_header Retry-After 1
expect_header Access-Control-Allow-Origin https://app.example.com
finish
