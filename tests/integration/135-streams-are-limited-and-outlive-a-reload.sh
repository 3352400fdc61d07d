#!/bin/bash
# Goal: a user has so many streams with state and not one more, in all workers
# together; a reload lets a transaction come to its end.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_STREAMS=3
start_stack
sequence alice "CREATE TABLE note(text)"
for i in 1 2 3 4 5 6 7 8; do
	holdfast token alice --ttl "${i}h" >"$stack/token.$i"
done

declare -a batons
for i in 1 2 3; do
	cp "$stack/token.$i" "$stack/tokens/alice"
	stream_begin alice "BEGIN" "SELECT count(*) FROM note"
	expect_result 1 0
	batons[i]=$BATON
done
for i in 4 5 6 7 8; do
	cp "$stack/token.$i" "$stack/tokens/alice"
	stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('too many')"
	expect_refused 429 TOO_MANY_STREAMS
	expect_header Retry-After 1
done
# Without state there is no limit, and others have their own.
stream_begin alice "INSERT INTO note VALUES ('no state')"
expect_result 0 ''
stream_begin bob "BEGIN IMMEDIATE"
expect_result 0 ''
BATON=${batons[1]}
stream_go_on alice "$close_stream"
stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('begun')"
expect_result 1 ''

pids=$(workers)
reload_holdfast
is_replaced() {
	local pid left=0

	for pid in $pids; do
		kill -0 "$pid" 2>/dev/null && left=$((left + 1))
	done
	[ "$left" -le 3 ]
}
wait_until 15 is_replaced
stream_go_on alice "INSERT INTO note VALUES ('after the reload')"
expect_result 0 ''
stream_go_on alice "COMMIT" "$close_stream"
expect_result 0 ''
expect_rows alice "SELECT text FROM note" 'no state
begun
after the reload'
BATON=${batons[2]}
stream_go_on alice "SELECT count(*) FROM note" "$close_stream"
expect_result 0 0
finish
