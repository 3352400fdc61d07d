#!/bin/bash
# Goal: every answer that nginx gives by itself is one that a client can read,
# across origins too (S10), and what is for the operator alone is not there.
. "$(dirname "$0")/lib.sh"
start_stack

expect_error() {
	expect_status "$1"
	expect_header Content-Type application/json
	expect_header Cache-Control no-store
	expect_header Access-Control-Expose-Headers X-Sync-Status
	expect_json .code "$2"
	expect_json 'has("message") and has("error")' true
}

origin=(-H 'Origin: https://app.example.com')
get - /healthz "${origin[@]}"
expect_status 200
expect_header Access-Control-Allow-Origin https://app.example.com
expect_header Access-Control-Expose-Headers X-Sync-Status

request - OPTIONS /v2/pipeline "${origin[@]}" -H 'Access-Control-Request-Method: POST' \
	-H 'Access-Control-Request-Headers: authorization, content-type, prefer'
expect_status 204
expect_header Access-Control-Allow-Origin https://app.example.com
expect_header Access-Control-Allow-Headers 'authorization, content-type, prefer, x-libsql-client-version'
expect_header Access-Control-Allow-Methods 'GET, POST, OPTIONS'

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
