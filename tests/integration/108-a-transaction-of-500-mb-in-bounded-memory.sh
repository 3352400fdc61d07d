#!/bin/bash
# Goal: one transaction of ${LARGE_MB:-30} MB, 500 in `make soak`, is answered,
# pushed, spooled where the store is away, pulled and restored, by us and by
# Litestream, and no worker has ever held more than 64 MB for it.
. "$(dirname "$0")/lib.sh"
large_mb=${LARGE_MB:-30}
export HOLDFAST_STATEMENT_TIMEOUT_MS=60000 HOLDFAST_MAX_DB_BYTES=4GiB HOLDFAST_MAX_WAL_BYTES=16MiB
start_stack

# The most that any worker of the current host has had resident, in MB.
most_memory() {
	local pid most=0 kb

	for pid in $(workers); do
		kb=$(sed -n 's/^VmHWM:[ \t]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
		[ "$kb" -le "$most" ] || most=$kb
	done
	echo $((most / 1024))
}

expect_little_memory() {
	local mb

	mb=$(most_memory)
	echo "$1: ${large_mb} MB, $(($(now_ms) - began)) ms, workers at most $mb MB" | tee -a "$stack/measured"
	[ "$mb" -lt 64 ] || fail "a worker has had $mb MB, $1"
}

# insert_large: randomblob() cannot be compressed, so the object is as large as the transaction.
insert_large() {
	began=$(now_ms)
	sequence alice "BEGIN; WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < $large_mb)
		INSERT INTO note(filling) SELECT randomblob(1000000) FROM n; COMMIT"
}

execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, filling)"
wait_until 10 sync_clean alice
insert_large
expect_little_memory "the transaction"
wait_until 120 sync_clean alice
expect_little_memory "until it was stored"
store_objects_are 2 alice || fail "it is $(store_object_keys alice | wc -l) objects"
rows=$large_mb

# An outage: the WAL is far above its limit at once, and goes to the spool.
store_answers refused
insert_large
rows=$((rows + large_mb))
wait_until 60 grep -q wal.spooled "$stack/here/holdfast.log"
expect_little_memory "until it was spooled"
began=$(now_ms)
store_answers normally
wait_until 120 sync_clean alice
expect_little_memory "from the spool to the store"

began=$(now_ms)
expect_restored_equals_local alice
echo "restored in $(($(now_ms) - began)) ms"
stop_holdfast
wipe_disk
start_holdfast
began=$(now_ms)
wait_until 120 is_served alice
expect_little_memory "pulled (twice as much)"
expect_rows alice "SELECT count(*), sum(length(filling)) FROM note" "$rows|${rows}000000"
expect_litestream_restores alice
finish
