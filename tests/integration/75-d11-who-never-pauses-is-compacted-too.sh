#!/bin/bash
# Goal: a user whose pushes never end with nothing left gets snapshots all the same, of a
# state that some push reached, while no commit waits for them longer than for another.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETENTION_S=0

has_snapshot() {
	store_object_keys alice | grep -q /0009/
}

row='{"stmt": {"sql": "INSERT OR REPLACE INTO note(id, text) VALUES (abs(random()) % 500, randomblob(8000))"}}'

start_stack
execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
wait_until 10 sync_clean alice
post_times 2500 alice /v1/execute "$row" &
first=$!
post_times 2500 alice /v1/execute "$row" &
second=$!
wait_until 60 has_snapshot
kill -0 "$first" 2>/dev/null || kill -0 "$second" 2>/dev/null || fail "the snapshot came after the writes"
wait_all "$first" "$second"
wait_until 30 sync_clean alice
expect_restored_equals_local alice
expect_litestream_restores alice

# A snapshot is the state of its transaction, which the pushes before it make, too.
txid=$((16#$(store_object_keys alice | sed -n 's|.*/0009/0*1-\(.*\)\.ltx|\1|p' | tail -n 1)))
holdfast restore alice --txid "$txid" -o "$stack/then.db"
expect_rows_in "$stack/then.db" "PRAGMA integrity_check" ok
finish
