#!/bin/bash
# Goal: /v3/cursor answers with a line for each row, also when they are many and within
# bounded memory; its baton is good for pipelines and back; a worker that is killed
# while it answers is an error for the client.
. "$(dirname "$0")/lib.sh"
start_stack
sequence alice "CREATE TABLE r(a INTEGER, b REAL)"

# cursor USER STEPS [CURL_ARGUMENTS...]: with BATON, and sets it.
cursor() {
	post "$1" /v3/cursor "$(jq -cn --arg baton "$BATON" --argjson steps "$2" \
		'{baton: (if $baton == "" then null else $baton end), batch: {steps: $steps}}')" "${@:3}"
	BATON=
	[ "$STATUS" != 200 ] || BATON=$(head -n 1 "$BODY" | jq -r .baton)
}

# expect_lines JSON...: behind the first one, each on a line of its own.
expect_lines() {
	local seen want

	expect_status 200
	want=$(printf '%s\n' "$@")
	seen=$(tail -n +2 "$BODY")
	[ "$seen" = "$want" ] || fail "the lines are: $seen; want: $want"
	[ "$(tail -c 1 "$BODY" | xxd -p)" = 0a ] || fail "the last line is not ended"
	[ "$(head -n 1 "$BODY" | jq -c 'keys')" = '["base_url","baton"]' ] || fail "the first line"
	[ ${#BATON} = 64 ] || fail "the baton is '$BATON'"
}

BATON=
cursor alice '[{"stmt":{"sql":"INSERT INTO r VALUES (?,?)","args":[{"type":"integer","value":"7"},
	{"type":"float","value":1.5}],"want_rows":true}},{"stmt":{"sql":"SELECT 1","want_rows":false},
	"condition":{"type":"is_autocommit"}}]'
expect_lines '{"type":"step_begin","step":0,"cols":[]}' \
	'{"type":"step_end","affected_row_count":1,"last_insert_rowid":"1"}' \
	'{"type":"step_begin","step":1,"cols":[{"name":"1","decltype":null}]}' \
	'{"type":"step_end","affected_row_count":0,"last_insert_rowid":null}'

# A step that fails, one that is skipped, one that fails among its rows.
cursor alice '[{"stmt":{"sql":"SELECT nowhere"}},{"stmt":{"sql":"SELECT 2"},"condition":{"type":"ok","step":0}},
	{"stmt":{"sql":"SELECT abs(a - 9223372036854775807 - 1) FROM (SELECT 8 AS a UNION ALL SELECT 0)"}},
	{"stmt":{"sql":"SELECT a, b FROM r"}}]'
grep -q '"step_error","step":0,"error":{"message":"SQLite error: no such column: nowhere"' "$BODY" ||
	fail "step 0 does not fail"
grep -q '"step":1' "$BODY" && fail "step 1 is not skipped"
[ "$(jq -rc 'select(.type == "step_error" and .step == 2).error.message' "$BODY")" = \
	"SQLite error: integer overflow" ] || fail "step 2 does not fail among its rows"
[ "$(jq -rc 'select(.step == 3).cols[1].decltype' "$BODY")" = REAL ] || fail "step 3 has no columns"
[ "$(jq -rc 'select(.type == "row").row[0].value' "$BODY" | tail -n 1)" = 7 ] || fail "no row of step 3"

# To a pipeline and back, with a transaction.
cursor alice '[{"stmt":{"sql":"BEGIN IMMEDIATE"}},{"stmt":{"sql":"INSERT INTO r VALUES (8, 8)"}}]'
stream_go_on alice "INSERT INTO r VALUES (9, 9)" '{"type":"get_autocommit"}'
expect_json '.results[1].response.is_autocommit' false
cursor alice '[{"stmt":{"sql":"SELECT count(*) FROM r"}},{"stmt":{"sql":"ROLLBACK"}}]'
[ "$(jq -rc 'select(.type == "row").row[0].value' "$BODY")" = 3 ] || fail "the stream did not go on"
expect_rows alice "SELECT count(*) FROM r" 1
request alice GET /v3/cursor
expect_refused 405 METHOD_NOT_ALLOWED
BATON=nonsense
cursor alice '[]'
expect_refused 400 BATON_INVALID

# Many rows: 10 MB of them cost a worker a fraction of that.
numbers='WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i LIMIT 100000)'
peak() {
	local pid most=0 now

	for pid in $(workers); do
		now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")
		[ "$now" -le "$most" ] || most=$now
	done
	echo "$most"
}
before=$(peak)
BATON=
cursor alice "[{\"stmt\":{\"sql\":\"$numbers SELECT n, printf('%060d', n) FROM i\"}}]"
expect_status 200
[ "$(grep -c '"type":"row"' "$BODY")" = 100000 ] || fail "$(grep -c row "$BODY") rows"
bytes=$(stat -c %s "$BODY")
expect_header Content-Length "$bytes"
[ "$bytes" -gt 8000000 ] || fail "only $bytes bytes"
after=$(peak)
[ $((after - before)) -lt 4096 ] || fail "memory grew by $((after - before)) kB for $bytes bytes"
tail -n 1 "$BODY" | grep -q step_end || fail "the answer has no end"

# More than a result may have.
cursor alice "[{\"stmt\":{\"sql\":\"$numbers SELECT n, printf('%0400d', n) FROM i\"}}]"
expect_status 200
[ "$(tail -n 1 "$BODY" | jq -rc '[.type, .error.code] | join(" ")')" = "step_error RESPONSE_TOO_LARGE" ] ||
	fail "it ends with $(tail -n 1 "$BODY" | head -c 300)"

# Killed in the middle.
endless='WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i) SELECT max(n) FROM i'
BATON=
cursor alice "[{\"stmt\":{\"sql\":\"SELECT 1\"}},{\"stmt\":{\"sql\":\"$endless\"}}]" &
asking=$!
runs() {
	local pid

	for pid in $(workers); do
		[ "$(awk '{ print $3 }' "/proc/$pid/stat")" = R ] && return 0
	done
	return 1
}
wait_until 5 runs
kill_worker_serving alice
wait "$asking" || true
asked=$stack/http/$asking.headers
[ -f "$asked" ] || fail "there is no answer of $asking"
grep -q '^HTTP/1.1 500' "$asked" || fail "the answer of a killed worker: $(head -n 1 "$asked")"
finish
