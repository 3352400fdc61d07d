#!/bin/bash
# Goal: `holdfast restore --all` brings every user of the store to the disk of a
# new host, before its first start; what was interrupted or refused is whole or
# not there at all, and the service goes on from where the lost one was.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SILENCE_TIMEOUT_MS=400 HOLDFAST_RETRY_MAX_MS=400
start_stack

# restore_all STATUS [ARGUMENTS...]: what it says in $said, what it complains about in $stack/said.
restore_all() {
	STATUS=0
	said=$(holdfast restore --all "${@:2}" 2>"$stack/said") || STATUS=$?
	[ "$STATUS" = "$1" ] || fail "restore --all ends with $STATUS, says '$said' and '$(<"$stack/said")'"
}

expect_said() {
	[ "$(sort <<<"$said")" = "$(printf '%s\n' "$@" | sort)" ] || fail "restore --all says '$said', want '$*'"
}

expect_complaint() {
	grep -qF -- "$1" "$stack/said" || fail "restore --all complains '$(<"$stack/said")', want '$1'"
}

expect_nothing_here() {
	[ -z "$(find "$(data)" -mindepth 1 "$@")" ] || fail "something was made: $(find "$(data)" -mindepth 1)"
}

users=(alice bob carol)
for user in "${users[@]}"; do
	sequence "$user" "CREATE TABLE note(text); INSERT INTO note VALUES ('of $user')"
	wait_until 10 sync_clean "$user"
done
for number in 2 3; do
	execute alice "INSERT INTO note VALUES ('push $number')"
	wait_until 10 sync_clean alice
done
for user in "${users[@]}"; do
	local_dump "$user" >"$stack/$user.dump"
done

expect_dumps() {
	for user in "$@"; do
		expect_sound "$(local_file "$user")"
		diff "$stack/$user.dump" <(local_dump "$user") >&2 || fail "$user is not what it was"
	done
}

# Beside the service: nothing to do, and nobody is asked for but the names.
store_log_clear
restore_all 0
expect_said "here alice" "here bob" "here carol" "3 users: 0 ok, 3 here, 0 failed"
expect_store_calls 1
stop_holdfast

# A store that does not answer leaves the disk as it was.
wipe_disk
for weather in 'silent timeout' 'refused connect' '403 credentials'; do
	store_answers "${weather% *}"
	restore_all 1
	expect_complaint "cannot list the users of the store: ${weather#* }"
	expect_nothing_here
done
store_answers normally
store_rule '[{"action":"read-then-silent","method":"GET","path":"\\.ltx$"}]'
restore_all 1
expect_said "failed alice (timeout)" "failed bob (timeout)" "failed carol (timeout)" \
	"3 users: 0 ok, 0 here, 3 failed"
expect_nothing_here -name 'db.sqlite*'

# Killed while carol is on her way: who was there stays, and carol comes with the next one.
store_answers '{"action":"read-then-silent","method":"GET","path":"/carol/"}'
holdfast restore --all >"$stack/killed" 2>&1 &
killed=$!
wait_until 10 grep -q "^ok bob txid=1" "$stack/killed"
wait_until 10 grep -q "^ok alice txid=3" "$stack/killed"
program=$(stack_pids)
# shellcheck disable=SC2086
kill -KILL $program || fail "it ended before it could be killed: $(<"$stack/killed")"
wait "$killed" 2>/dev/null || true
expect_dumps alice bob
expect_nothing_here -path '*/carol/db.sqlite'
store_answers normally
store_log_clear

# Beside the service, which has not seen her yet.
start_holdfast
alice=$(stat -c '%i %y' "$(local_file alice)")
echo x | s3 put 'u/not a user/0000/1'
restore_all 0
expect_said "here alice" "here bob" "ok carol txid=1" "3 users: 1 ok, 2 here, 0 failed"
expect_complaint "'not a user/' in the store"
[ "$(stat -c '%i %y' "$(local_file alice)")" = "$alice" ] || fail "alice was touched"
expect_dumps "${users[@]}"

# Nothing to push, no conflict, and the next transaction is the next one.
for user in "${users[@]}"; do
	expect_rows "$user" "SELECT text FROM note LIMIT 1" "of $user"
	expect_no_header X-Sync-Status
	wait_until 10 sync_clean "$user"
done
expect_store_calls 0 PUT
execute alice "INSERT INTO note VALUES ('new host')"
wait_until 10 sync_clean alice
expect_json .remote_txid 4
expect_restored_equals_local alice
stop_holdfast

# A folder in which no object of a user is: no empty database.
echo x | s3 put u/dora/readme
restore_all 1
expect_said "here alice" "here bob" "here carol" "failed dora (missing)" "4 users: 0 ok, 3 here, 1 failed"
expect_nothing_here -path '*/dora/db.sqlite*'

for wrong in '--all alice' '--all -o x' '--all --txid 1'; do
	STATUS=0
	# shellcheck disable=SC2086
	holdfast restore $wrong 2>/dev/null || STATUS=$?
	[ "$STATUS" = 2 ] || fail "restore $wrong ends with $STATUS"
done

# From a folder as the store, to a data directory that is not there yet.
s3 mirror u/ "$stack/folder"
rm -r "$(data)"
restore_all 1 --store "file:$stack/folder"
expect_said "ok alice txid=4" "ok bob txid=1" "ok carol txid=1" "failed dora (missing)" \
	"4 users: 3 ok, 0 here, 1 failed"
expect_dumps bob carol
expect_sound "$(local_file alice)"
restore_all 1 --store "file:$stack/empty"
expect_complaint "has no users"

# A disk on which nobody can be restored is not tried with everybody.
for number in {1..9}; do
	cp -r "$stack/folder/bob" "$stack/folder/bob$number"
done
rm -r "$(data)/users"
touch "$(data)/users"
restore_all 1 --store "file:$stack/folder"
expect_complaint "given up after 8 failures in a row (disk), 5 users are left"
finish
