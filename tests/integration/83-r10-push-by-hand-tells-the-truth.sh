#!/bin/bash
# Goal: `holdfast push` brings to the store what is dirty, with the service
# stopped or beside it, and its status is 0 only if all that was asked for is
# there.
. "$(dirname "$0")/lib.sh"
start_stack

# push [ARGUMENTS...]: what it says in $said, its status in STATUS.
push() {
	STATUS=0
	said=$(holdfast push "$@" 2>>"$stack/push.log") || STATUS=$?
}

# expect_pushed STATUS WHAT [ARGUMENTS...]
expect_pushed() {
	push "${@:3}"
	expect_status "$1"
	[[ $said == *"$2"* ]] || fail "push says '$said', want '$2'"
}

execute bob "CREATE TABLE note(text)"
wait_until 10 sync_clean bob
store_log_clear
expect_pushed 0 "ok bob txid=1" bob
expect_store_calls 0

for user in alice carol; do
	sequence "$user" "CREATE TABLE note(text); INSERT INTO note VALUES ('stored')"
	wait_until 10 sync_clean "$user"
done
# What the service left behind when it was killed in an outage.
store_answers 503
for user in alice carol; do
	execute "$user" "INSERT INTO note VALUES ('late')"
	wait_until 10 sync_failed "$user"
done
kill_holdfast_hard
expect_pushed 1 "failed alice (throttled)" alice
expect_pushed 1 "3 users: 1 ok, 0 dirty, 2 failed" --all
store_answers refused
expect_pushed 1 "failed alice (connect)" alice
store_answers normally
expect_pushed 0 "ok alice txid=2" alice
expect_restored_equals_local alice
restored_has carol "SELECT count(*) FROM note" 1 || fail "carol was pushed, too"
expect_pushed 0 "3 users: 3 ok" --all
expect_restored_equals_local carol
store_log_clear
expect_pushed 0 "3 users: 3 ok"
expect_store_calls 0

# Beside the service: whoever pushes, there is one PUT, and both know of it.
start_holdfast
wait_until 10 sync_clean alice
store_answers slowly 1500
store_log_clear
execute alice "INSERT INTO note VALUES ('slow')"
wait_until 5 store_is_busy PUT
expect_pushed 1 "dirty alice (somebody else is at it)" alice --wait 1
expect_pushed 0 "ok alice txid=3" alice
expect_store_calls 1 PUT
store_answers normally
wait_until 10 sync_clean alice
expect_json .remote_txid 3
expect_restored_equals_local alice

for wrong in '--wait 0' '--wait x' '--all alice' '..' 'alice bob'; do
	# shellcheck disable=SC2086
	push $wrong
	expect_status 2
done
expect_pushed 1 "" nobody
[ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'holdfast-push.*' -newer "$stack/here/holdfast.log")" ] ||
	fail "a folder is left"
finish
