#!/bin/bash
# Goal: the worker that has an open transaction is killed while requests wait in its
# line and others are on their way to it from another worker: each gets a clear error at
# once, nothing of them is executed, and the next ones go through.
. "$(dirname "$0")/lib.sh"
WORKERS=2
export HOLDFAST_LOG=debug
start_stack
sequence alice "CREATE TABLE note(text)"
for i in $(seq 12); do
	holdfast token alice --ttl "${i}h" >"$stack/token.$i"
done

# ask NAME TOKEN PATH BODY: in the background, on a token of its own
ask() {
	curl -s --max-time 30 -D "$stack/head.$1" -o "$stack/body.$1" \
		-w '%{http_code} %{time_total}\n' -H "Authorization: Bearer $(cat "$stack/token.$2")" \
		--data-binary "$4" "$(url)$3" >"$stack/result.$1" &
	pids+=($!)
}

# expect_told NAME: that its answer is lost, or STREAM_EXPIRED, as JSON
expect_told() {
	local status code

	status=$(cut -d ' ' -f 1 "$stack/result.$1")
	code=$(jq -r .code "$stack/body.$1") || fail "the answer of $1 is no JSON"
	case "$status $code" in
	'500 OUTCOME_UNKNOWN') told_lost=$((told_lost + 1)) ;;
	'400 STREAM_EXPIRED') ;;
	*) fail "$1 got $status $code" ;;
	esac
}

requests_are_in() {
	[ "$(grep -c " 03 .* $stack/here/run/app" /proc/net/unix)" -ge "$1" ]
}

# Since it was stopped.
was_handed_over() {
	[ "$(grep -c request.handed_over "$stack/here/holdfast.log")" -gt "$handed_before" ]
}

stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('lost')"
expect_result 1 ''
owner=$(grep 'path=/v3/pipeline' "$stack/here/holdfast.log" | tail -n 1 | sed 's/.*worker\[\([0-9]*\)\].*/\1/')
pids=()
for i in 1 2 3 4; do
	ask "line.$i" "$i" /v1/execute '{"stmt":{"sql":"INSERT INTO note VALUES (1)"}}'
done
wait_until 5 requests_are_in 4
kill -STOP "$owner"
handed_before=$(grep -c request.handed_over "$stack/here/holdfast.log" || true)
for i in $(seq 12); do
	ask "way.$i" "$i" /v3/pipeline "$(jq -cn --arg baton "$BATON" \
		'{baton: $baton, requests: [{type: "execute", stmt: {sql: "COMMIT"}}]}')"
done
# nginx spreads them by their tokens: some wait in the backlog, some are handed over.
wait_until 5 was_handed_over
began=$(now_ms)
kill -KILL "$owner"
wait_all "${pids[@]}"
[ $(($(now_ms) - began)) -lt 6000 ] || fail "the last answer came after $(($(now_ms) - began)) ms"
told_lost=0
for i in 1 2 3 4; do
	expect_told "line.$i"
done
[ "$told_lost" = 4 ] || fail "$told_lost of 4 in line were told"
for i in $(seq 12); do
	expect_told "way.$i"
done
wait_until 10 is_served alice
stream_go_on alice "COMMIT"
expect_refused 400 STREAM_EXPIRED
expect_rows alice "SELECT count(*) FROM note" 0
stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('next')" "COMMIT"
expect_result 2 ''
expect_rows alice "SELECT text FROM note" next
grep -q handover.discarded "$stack/here/holdfast.log" || fail "nothing was on its way to the worker"
finish
