#!/bin/bash
# Goal: pushes that weigh as much as the database end in a snapshot, one and not several
# however many workers push; what only leads to states older than the retention goes;
# uploads stay within twice the changes; a restore reads a bounded number of objects and
# bytes, with both readers; --txid and --at still find what the retention covers.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETENTION_S=0

objects() {
	store_object_keys alice | grep -c "/$1/" || true
}

objects_reach() {
	[ "$(objects "$1")" -ge "$2" ]
}

are_few() {
	[ "$(store_object_keys alice | wc -l)" -le 20 ]
}

uploaded() {
	store_log | jq -s --arg part "$1" '[.[] | select(.method == "PUT" and .status == 200 and
		(.path | contains($part))) | .body_bytes] | add // 0'
}

expect_bounded_uploads() {
	local all pushed

	all=$(uploaded /)
	pushed=$(uploaded /0000/)
	[ "$all" -le $((2 * pushed)) ] || fail "uploaded $all bytes for $pushed of pushes"
	echo "	uploaded $all bytes for $pushed of pushes"
}

start_stack
execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
wait_until 10 sync_clean alice

# Each is awaited, so that each is an object.
pushes=1
push() {
	pushes=$((pushes + 1))
	execute alice "$1"
	expect_status 200
	wait_until 10 txid_reaches "$pushes" alice
}

# By number: a small database, 256 pushes.
for i in $(seq 270); do
	push "INSERT INTO note(text) VALUES ('$i')"
done
wait_until 10 objects_reach 0009 1
wait_until 10 are_few
expect_restored_equals_local alice
expect_litestream_restores alice
expect_bounded_uploads

# By weight: the same rows again and again, of bytes that cannot be compressed.
push "UPDATE note SET text = randomblob(4000)"
for i in $(seq 40); do
	push "UPDATE note SET text = randomblob(4000) WHERE id % 10 = $((i % 10))"
done
wait_until 10 sync_clean alice
wait_until 10 are_few
expect_bounded_uploads
expect_restored_equals_local alice
expect_litestream_restores alice

kill_holdfast_hard
wipe_disk
start_holdfast
expect_rows alice "SELECT count(*) FROM note" 270
finish
