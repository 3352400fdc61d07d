#!/bin/bash
# Goal: a stream with an open transaction that is idle, lasts too long or loses its
# worker is rolled back; its client hears STREAM_EXPIRED, and nobody waits for it longer.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_STREAM_IDLE_MS=1500 HOLDFAST_STREAM_MAX_MS=3000
start_stack
execute alice "CREATE TABLE note(text)"
expect_status 200

# begin: a stream of alice that holds the write lock
begin() {
	stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('lost')"
	expect_result 1 ''
}

expect_expired() {
	stream_go_on alice "COMMIT"
	expect_refused 400 STREAM_EXPIRED
	expect_rows alice "SELECT count(*) FROM note WHERE text = 'lost'" 0
}

# A writer gets the lock as soon as an idle stream has lost it.
begin
execute alice "INSERT INTO note VALUES ('after the idle one')"
expect_status 200
expect_faster_than 3000
[ "$MS" -ge 1000 ] || fail "the writer waited $MS ms only for a stream that is idle for 1500"
expect_expired

# Busy all the time, but for longer than a stream may.
begin
began=$(now_ms)
while [ "$STATUS" = 200 ] && [ $(($(now_ms) - began)) -lt 10000 ]; do
	baton=$BATON
	stream_go_on alice "SELECT 1"
done
[ $(($(now_ms) - began)) -ge 2500 ] || fail "a busy stream ended after $(($(now_ms) - began)) ms"
expect_refused 400 STREAM_EXPIRED
BATON=$baton
expect_expired

# Of a worker that was killed.
begin
baton=$BATON
before=$(workers)
kill_worker_serving alice
wait_until 10 is_served alice
BATON=$baton
stream_go_on alice "COMMIT"
# In the moment before the master has noticed the answer is lost.
[ "$STATUS" = 400 ] || expect_refused 500 OUTCOME_UNKNOWN
BATON=$baton
expect_expired
[ "$before" != "$(workers)" ] || fail "no worker was replaced"
execute alice "INSERT INTO note VALUES ('after the killed one')"
expect_status 200

# After a restart nothing is known of it, and that is what its client hears.
begin
baton=$BATON
stop_holdfast
[ "$MS" -lt 10000 ] || fail "an open stream held the end up for $MS ms"
start_holdfast
BATON=$baton
expect_expired
expect_rows alice "SELECT text FROM note" 'after the idle one
after the killed one'
finish
