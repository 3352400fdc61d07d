#!/bin/bash
# Goal: many pushes end in a snapshot, what only leads to states older than the
# retention is removed, uploads stay within twice the changes, and both readers
# restore what is left.
. "$(dirname "$0")/lib.sh"

export HOLDFAST_RETENTION_S=0
start_stack
execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
wait_until 10 sync_clean alice

snapshots() {
	store_object_keys alice | grep -c /0009/ || true
}

has_snapshots() {
	[ "$(snapshots)" -ge "$1" ]
}

# Each push is awaited, so that each is an object.
for i in $(seq 1 270); do
	execute alice "INSERT INTO note(text) VALUES ('$i')"
	expect_status 200
	wait_until 10 txid_reaches $((i + 1)) alice
done
wait_until 10 has_snapshots 1

few_objects() {
	[ "$(store_object_keys alice | wc -l)" -le 20 ]
}
wait_until 10 few_objects
expect_restored_equals_local alice
expect_litestream_restores alice

# Now by weight: pages that cannot be compressed.
for i in $(seq 1 30); do
	execute alice "INSERT INTO note(text) SELECT randomblob(100000)"
	expect_status 200
	wait_until 10 txid_reaches $((i + 271)) alice
done
wait_until 10 sync_clean alice
puts=$(store_log | jq -s '[.[] | select(.method == "PUT" and .status == 200)]')
uploaded=$(jq '[.[].body_bytes] | add' <<<"$puts")
changed=$(jq '[.[] | select(.path | contains("/0000/")) | .body_bytes] | add' <<<"$puts")
[ "$uploaded" -le $((2 * changed + 1048576)) ] || fail "uploaded $uploaded bytes for $changed of changes"
expect_restored_equals_local alice
expect_litestream_restores alice

kill_holdfast_hard
wipe_disk
start_holdfast
expect_rows alice "SELECT count(*) FROM note" 300
finish
