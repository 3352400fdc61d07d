#!/bin/bash
# Goal: with a healthy store the WAL of a user who writes a lot stays bounded: at
# what is checkpointed in a pause if there are short ones, at 64 MB if there is
# none at all, from two clients at once.  Neither costs a write its answer.
. "$(dirname "$0")/lib.sh"
start_stack

insert() {
	jq -cn --argjson bytes "$1" '{stmt: {sql: "INSERT INTO note(filling) VALUES (randomblob(\($bytes)))"}}'
}

wal_mb() {
	echo $(($(stat -c %s "$(local_file "$1")-wal") / 1000000))
}

expect_all_stored() {
	wait_until 60 sync_clean "$1"
	expect_restored_equals_local "$1"
	expect_rows_in "$restored" "SELECT count(*) FROM note" "$2"
}

for user in pauses none; do
	execute "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, filling)"
done

# 5,000 commits of 2 pages: 40 MB if nothing is ever checkpointed.
for ((n = 0; n < 50; n++)); do
	post_times 100 pauses /v1/execute "$(insert 100)"
	sleep 0.05
done
[ "$(wal_mb pauses)" -le 10 ] || fail "the WAL has $(wal_mb pauses) MB though there were pauses"
expect_all_stored pauses 5000

# 5,000 commits of 5 pages: 100 MB.
post_times 2500 none /v1/execute "$(insert 15000)" &
first=$!
post_times 2500 none /v1/execute "$(insert 15000)" &
wait_all "$first" $!
[ "$(wal_mb none)" -le 64 ] || fail "the WAL has $(wal_mb none) MB"
expect_all_stored none 5000
finish
