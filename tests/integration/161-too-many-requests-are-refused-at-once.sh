#!/bin/bash
# Goal: of a user's requests so many may wait; the next gets 429 and Retry-After at once,
# others are served meanwhile, and a killed worker's do not count any more.  When nobody
# takes requests and the backlog is full, that is said at once, too.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_REQUESTS=3 HOLDFAST_LOCK_WAIT_MS=20000
STORE='file'
start_stack

execute alice "CREATE TABLE note(text)"
expect_status 200
stream_begin alice "BEGIN IMMEDIATE"
expect_status 200

# wait_for_lock NAME: a write of alice's that waits; its status goes to a file.
wait_for_lock() {
	(
		execute alice "INSERT INTO note VALUES ('$1')"
		echo "$STATUS" >"$stack/$1"
	) &
	waiting+=($!)
}

is_refused() {
	execute alice "INSERT INTO note VALUES ('refused')"
	[ "$STATUS" = 429 ]
}

waiting=()
for name in one two three; do
	wait_for_lock $name
done
# Those three are on their way: until they are in line this would join it.
wait_until 10 requests_are_in 3
wait_until 10 is_refused
expect_refused 429 TOO_MANY_REQUESTS
expect_header Retry-After 1
expect_faster_than 1000
execute alice "SELECT 1"
expect_status 200
execute bob "CREATE TABLE note(text)"
expect_status 200

stream_go_on alice COMMIT "$close_stream"
expect_status 200
wait_all "${waiting[@]}"
for name in one two three; do
	[ "$(cat "$stack/$name")" = 200 ] || fail "who waited got $(cat "$stack/$name")"
done
expect_rows alice "SELECT count(*) FROM note" 3

# The line dies with the worker, and so does its count.
stream_begin alice "BEGIN IMMEDIATE"
waiting=()
for name in four five six; do
	wait_for_lock $name
done
wait_until 10 requests_are_in 3
wait_until 10 is_refused
kill_workers
wait "${waiting[@]}" || true
wait_until 10 is_served alice
stream_begin alice "BEGIN IMMEDIATE"
expect_status 200
waiting=()
wait_for_lock seven
wait_until 10 requests_are_in 1
stream_go_on alice COMMIT "$close_stream"
wait_all "${waiting[@]}"
[ "$(cat "$stack/seven")" = 200 ] || fail "the dead still count: $(cat "$stack/seven")"

# Nobody accepts: two backlogs of 512, of many users, since nginx lets no token have more
# than 128.
for pid in $(workers); do
	kill -STOP "$pid"
done
for i in 1 2 3 4 5 6 7 8 9; do
	curl -s --parallel --parallel-immediate --parallel-max 130 --max-time 20 -o /dev/null \
		-H "Authorization: Bearer $i" "$(url)/v1/sync?[1-127]" 2>/dev/null &
	full+=($!)
done
backlogs_are_full() {
	[ "$(grep -c " 0[23] .* $stack/$host/run/app" /proc/net/unix)" -ge 1024 ]
}
token carol >/dev/null
wait_until 14 backlogs_are_full
get carol /v1/sync
expect_refused 503 BUSY
expect_header Retry-After 1
expect_faster_than 1000
for pid in $(workers); do
	kill -CONT "$pid"
done
wait "${full[@]}" || true
wait_until 10 is_served carol
finish
