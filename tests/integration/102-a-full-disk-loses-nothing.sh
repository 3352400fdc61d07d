#!/bin/bash
# Goal: the disk is full before a write, during a push, a spool or a pull.  Reads
# go on, writes are refused with a clear error and have no effect, what was
# answered reaches the store or says `failed`, and with space again everything
# works with no restart.
. "$(dirname "$0")/lib.sh"
with_own_mounts
export HOLDFAST_MAX_WAL_BYTES=4MiB
start_stack
stop_holdfast
mount_disk 40m
start_holdfast
users=(alice bob carol dave)
for user in "${users[@]}" erin; do
	sequence "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text, filling);
		INSERT INTO note VALUES (1, 'one', NULL)"
	wait_until 10 sync_clean "$user"
done
insert="INSERT INTO note(text, filling) VALUES ('large', randomblob"

# fails_with ERROR USER; a predicate
fails_with() {
	sync_failed "$2" && [ "$(jq -r .last_error "$BODY")" = "$1" ]
}

# What an attempt had in a file without a name is room for the next one.
fails_for_want_of_room() {
	fill_disk
	fails_with disk "$1"
}

# ---- writes and reads, also by workers that have nothing open yet
fill_disk
execute alice "$insert(100000))"
expect_status 507
expect_json .code SQLITE_FULL
sql="BEGIN; INSERT INTO note(text) VALUES ('half'); $insert(100000)); COMMIT"
pipeline alice "$(jq -cn --arg sql "$sql" '{requests: [{type: "sequence", sql: $sql}]}')"
expect_status 200
expect_json '.results[0].error.code' SQLITE_FULL
expect_rows alice "SELECT count(*) FROM note" 1
mapfile -t before < <(workers)
kill_workers
wait_until 10 workers_replaced "${before[@]}"
for user in "${users[@]}"; do
	expect_rows "$user" "SELECT count(*) FROM note" 1
	expect_no_header X-Sync-Status
	get "$user" /v1/sync
	expect_json .status ok
done

# A user who is new here, and one whose database is in the store.
rm -r "$(data)"/users/*/erin
fill_disk
for user in newcomer erin; do
	execute "$user" "SELECT count(*) FROM note"
	expect_status 503
	expect_json .code DISK_FAILED
	[ "$(header Retry-After)" -gt 0 ] || fail "Retry-After is '$(header Retry-After)'"
	[ -z "$(find "$(data)/users" -path "*/$user/db.sqlite*")" ] || fail "something of $user was created"
done
empty_disk
execute alice "INSERT INTO note(text) VALUES ('two')"
expect_status 200
expect_no_header X-Sync-Status
wait_until 5 is_served newcomer
wait_until 5 is_served erin
expect_rows erin "SELECT text FROM note" one

# ---- the record of a push
wait_until 10 sync_clean alice
store_answers slowly 500
execute alice "INSERT INTO note(text) VALUES ('answered')"
expect_status 200
wait_until 5 store_is_busy PUT
fill_disk
wait_until 10 fails_with disk alice
store_objects_are 3 alice || fail "what was answered is not in the store"
store_answers normally
empty_disk
wait_until 10 sync_clean alice
store_objects_are 3 alice || fail "it was stored twice: $(store_object_keys alice)"

# ---- an object that needs room on the disk, and the spool
store_answers refused
execute bob "$insert(2000000))"
expect_status 200
for _ in 1 2 3 4; do
	execute dave "$insert(1000000))"
	expect_status 200
done
wait_until 10 fails_for_want_of_room bob
wait_until 10 fails_for_want_of_room dave
truncate -s -400k "$(data)/ballast"
execute dave "$insert(200000))"
expect_status 200
wait_until 10 grep -q "spool.failed .*dave" "$stack/here/holdfast.log"
[ -z "$(find "$(data)"/users/*/dave/spool -type f)" ] || fail "half a file is in the spool"
store_answers normally
expect_rows carol "SELECT count(*) FROM note" 1
expect_rows bob "SELECT count(*) FROM note" 2
expect_header X-Sync-Status failed
empty_disk
for user in "${users[@]}" erin; do
	wait_until 20 sync_clean "$user"
	expect_restored_equals_local "$user"
done
expect_rows dave "SELECT count(*) FROM note" 6
expect_litestream_restores dave
finish
