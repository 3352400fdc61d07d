#!/bin/bash
# Goal: a store that asks for an hour of patience is not asked meanwhile, and the WAL of a
# user who goes on writing stays bounded all the same; afterwards everything is stored.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_WAL_BYTES=4MiB

wal_bytes() {
	stat -c %s "$(local_file alice)-wal"
}

spool_files() {
	find "$(dirname "$(local_file alice)")/spool" -name '*.ltx' 2>/dev/null | wc -l
}

is_spooled() {
	[ "$(spool_files)" -gt "$1" ]
}

start_stack
execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
wait_until 10 sync_clean alice
store_answers 429 3600
execute alice "INSERT INTO note(text) VALUES ('first')"
wait_until 10 sync_failed alice
store_log_clear

for i in 1 2 3 4 5 6; do
	post_times 80 alice /v1/execute '{"stmt": {"sql": "INSERT INTO note(text) VALUES (randomblob(50000))"}}'
	wait_until 10 is_spooled $((i / 3))
done
[ "$(wal_bytes)" -le $((10 * 1048576)) ] || fail "the WAL has $(wal_bytes) bytes"
expect_store_calls 0
sync_failed alice || fail "the user is not told any more"

# The patience ends with the process, what is on disk does not.
store_answers normally
kill_holdfast_hard
start_holdfast
wait_until 30 sync_clean alice
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 481
expect_litestream_restores alice
[ "$(spool_files)" = 0 ] || fail "$(spool_files) files are left in the spool"
finish
