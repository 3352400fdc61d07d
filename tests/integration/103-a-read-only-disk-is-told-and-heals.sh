#!/bin/bash
# Goal: the data directory, or a user's folder in it, turns read-only, before the
# start or under open databases.  The start and the commands say which path; the
# user's requests fail or the push is flagged, nobody else's are, and it heals
# without a restart.
. "$(dirname "$0")/lib.sh"
with_own_mounts
start_stack
for user in alice bob; do
	sequence "$user" "CREATE TABLE note(text); INSERT INTO note VALUES ('one')"
	wait_until 10 sync_clean "$user"
done
folder=$(dirname "$(local_file alice)")

# A mount of its own on top, so that what is open stays open.
make_read_only() {
	mount --bind "$1" "$1"
	mount -o remount,bind,ro "$1"
}

# expect_refusal WORDS COMMAND...: of the program, which must say the words.
expect_refusal() {
	local words=$1 status=0

	shift
	holdfast "$@" >"$stack/refusal" 2>&1 || status=$?
	[ "$status" = 1 ] || fail "$1 ends with $status"
	grep -q "$words" "$stack/refusal" || fail "$1 does not say '$words': $(cat "$stack/refusal")"
}

stop_holdfast
make_read_only "$(data)"
expect_refusal "path=$(data)/node error=\"Read-only file system\"" serve
expect_refusal "cannot write to '$(data)': Read-only file system" check
expect_refusal "^failed alice (disk)" push --all
expect_refusal "^failed alice" verify --all
umount "$(data)"

# ---- from the start on, for one user
make_read_only "$folder"
start_holdfast
execute alice "SELECT text FROM note"
expect_status 500
execute alice "INSERT INTO note VALUES ('refused')"
expect_status 500
grep -q "path=$folder/.*Read-only file system" "$stack/here/holdfast.log" || fail "the log does not name the path"
execute bob "INSERT INTO note VALUES ('two')"
expect_status 200
wait_until 10 sync_clean bob
umount "$folder"
execute alice "INSERT INTO note VALUES ('two')"
expect_status 200
wait_until 10 sync_clean alice
expect_rows alice "SELECT group_concat(text) FROM note" one,two

# ---- under the open databases: a write is answered, and its push cannot be recorded
store_answers slowly 300
execute alice "INSERT INTO note VALUES ('three')"
expect_status 200
make_read_only "$folder"
wait_until 10 sync_failed alice
expect_json .last_error disk
expect_rows alice "SELECT group_concat(text) FROM note" one,two,three
sync_clean bob || fail "bob is not in step"
store_answers normally
umount "$folder"
wait_until 10 sync_clean alice

# ---- a user who is not here yet
wait_until 10 is_served bob
make_read_only "$(data)/users"
execute newcomer "SELECT 1"
expect_status 503
expect_json .code DISK_FAILED
[ "$(header Retry-After)" -gt 0 ] || fail "Retry-After is '$(header Retry-After)'"
umount "$(data)/users"
wait_until 5 is_served newcomer
for user in alice bob; do
	expect_restored_equals_local "$user"
done
finish
