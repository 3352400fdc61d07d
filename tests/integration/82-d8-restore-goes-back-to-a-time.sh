#!/bin/bash
# Goal: `restore --at` gives back what was in the store at that time by the
# store's clock, whatever the way the time is written; when what leads there has
# been deleted it says which transaction is the earliest it can restore.
. "$(dirname "$0")/lib.sh"
start_stack

# The store's clock is this machine's.
moment() {
	date -u +%Y-%m-%dT%H:%M:%S.%3NZ
}

expect_refused_with() {
	[ "$STATUS" = 1 ] || fail "status is $STATUS, want 1"
	grep -q "$1" "$stack/restored/alice.out" || fail "it says: $(cat "$stack/restored/alice.out")"
	[ ! -e "$restored" ] || fail "a file was made"
}

before=$(moment)
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
for n in 2 3 4 5; do
	at[n - 1]=$(moment)
	execute alice "INSERT INTO note VALUES ('$n')"
	wait_until 10 sync_clean alice
done
after=$(moment)
expect_json .remote_txid 5

for n in 2 3 4; do
	restore alice --at "${at[n]}"
	[ "$STATUS" = 0 ] || fail "restore: $(cat "$stack/restored/alice.out")"
	grep -q ": transaction $n," "$stack/restored/alice.out" || fail "$(cat "$stack/restored/alice.out")"
	expect_sound "$restored"
	expect_rows_in "$restored" "SELECT max(text), count(*) FROM note" "$n|$((n - 1))"
done
expect_restored_equals_local alice --at "$after"
expect_restored_equals_local alice --at "2199-01-01 00:00:00"
# The same moment elsewhere.
restore alice --at "$(TZ=XXX-5:30 date -d "${at[3]}" +%Y-%m-%dT%H:%M:%S.%3N+05:30)"
expect_rows_in "$restored" "SELECT max(text) FROM note" 3

restore alice --at "$before"
expect_refused_with "the earliest transaction that it can restore is 1$"
restore nobody --at "$after"
[ "$STATUS" = 1 ] || fail "somebody unknown has a past"
for wrong in yesterday 2026-02-30T00:00:00Z "$after --txid 3"; do
	# shellcheck disable=SC2086
	STATUS=0 && holdfast restore alice -o "$stack/never" --at $wrong 2>/dev/null || STATUS=$?
	[ "$STATUS" = 2 ] || fail "'$wrong' is status $STATUS, want 2"
done

# A snapshot, as compaction leaves it: older pushes go, those after it stay.
object() {
	printf 'u/alice/%s/%016x-%016x.ltx' "$1" "$2" "$3"
}
s3 get "$(object 0000 1 1)" >"$stack/first"
s3 put "$(object 0009 1 1)" <"$stack/first"
snapshot=$(moment)
s3 delete "$(object 0000 1 1)"
restore alice --at "${at[3]}"
expect_rows_in "$restored" "SELECT max(text) FROM note" 3
restore alice --at "${at[1]}"
expect_refused_with "the earliest transaction that it can restore is 1$"
expect_restored_equals_local alice --at "$snapshot"

s3 delete "$(object 0000 3 3)"
restore alice --at "${at[4]}"
expect_refused_with "cannot lead there any more; the earliest transaction that it can restore is 1$"
finish
