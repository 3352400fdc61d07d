#!/bin/bash
# Goal: a page of another origin may read X-Sync-Status, on errors too, whether the
# program or nginx gives the answer (S10).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_BODY_BYTES=65536

# ask STATUS USER METHOD PATH [CURL_ARGUMENTS...]
ask() {
	request "${@:2}" -H 'Origin: https://app.example'
	expect_status "$1"
	expect_header Access-Control-Allow-Origin https://app.example
	expect_header Access-Control-Expose-Headers 'X-Sync-Status, Preference-Applied'
	expect_header Vary Origin
	expect_header Cache-Control no-store
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
ask 200 alice GET /v1/sync
expect_no_header X-Sync-Status
store_answers refused
execute alice "INSERT INTO note VALUES ('unstored')"
wait_until 5 sync_failed alice

head -c 100000 /dev/zero >"$stack/large"
head -c 5000000 /dev/zero >"$stack/huge"
while read -r status request; do
	eval "ask $status alice $request"
	expect_header X-Sync-Status failed
done <<'END'
200 GET /v1/sync
503 POST /v1/sync
200 POST /v1/execute -d '{"stmt":{"sql":"SELECT 1"}}'
200 POST /v1/execute -d '{"stmt":{"sql":"DELETE FROM note"}}'
400 POST /v1/execute -d '{"stmt":{"sql":"SELECT nonsense"}}'
400 POST /v2/pipeline -d '{'
404 GET /no/such/path
405 DELETE /v1/sync
413 POST /v1/execute --data-binary "@$stack/large"
END

# Nobody knows yet who asks, or nginx answers by itself.
ask 401 - GET /v1/sync
ask 413 alice POST /v1/execute --data-binary "@$stack/huge"
request - OPTIONS /v1/execute -H 'Origin: https://app.example' \
	-H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: authorization'
expect_status 204
expect_header Access-Control-Allow-Origin https://app.example
header Access-Control-Allow-Headers | grep -qi authorization || fail "a token may not be sent"
stop_holdfast
ask 503 alice GET /v1/sync
finish
