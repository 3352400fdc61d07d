#!/bin/bash
# Goal: during an outage the WAL stays bounded by spooling, also over a kill -9
# of everything; when the store is back, what was spooled and what came after
# is pushed in order and restores, with Litestream too.
. "$(dirname "$0")/lib.sh"

export HOLDFAST_MAX_WAL_BYTES=4MiB HOLDFAST_RETRY_MIN_MS=50 HOLDFAST_RETRY_MAX_MS=200
start_stack
execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
expect_status 200
wait_until 10 sync_clean alice

wal_bytes() {
	stat -c %s "$(local_file alice)-wal"
}

# write_for_a_while: ROUNDS transactions of 200 KB
write_for_a_while() {
	local i

	for ((i = 0; i < $1; i++)); do
		execute alice "INSERT INTO note(text) SELECT hex(randomblob(1000)) FROM
			(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100) SELECT i FROM n)"
		expect_status 200
	done
}

spool_has_files() {
	[ "$(find "$(data)"/users/*/alice/spool -name '*.ltx' | wc -l)" -ge "$1" ]
}

store_answers refused
write_for_a_while 60
wait_until 10 sync_failed alice
wait_until 10 spool_has_files 1
write_for_a_while 60
wait_until 10 spool_has_files 2
[ "$(wal_bytes)" -le $((16 * 1048576)) ] || fail "the WAL has $(wal_bytes) bytes"

kill_holdfast_hard
start_holdfast
sync_failed alice || fail "the restart has forgotten the failure"
write_for_a_while 30
before=$(query alice "SELECT count(*), sum(length(text)) FROM note")

store_answers normally
wait_until 30 sync_clean alice
spool_has_files 1 && fail "the spool is not empty"
expect_rows alice "SELECT count(*), sum(length(text)) FROM note" "$before"
expect_restored_equals_local alice
expect_litestream_restores alice
finish
