#!/bin/bash
# Goal: C5: a host that is brought up to what another has written dies at any
# point of it, one worker or all of it: afterwards it has that history, and what
# it writes goes on from there.
HOLDFAST=$(dirname "$0")/../../build/faults/holdfast
# Two scenarios need it, and may run beside each other.
flock "$(dirname "$0")" make -s -C "$(dirname "$0")/../.." B=build/faults
. "$(dirname "$0")/lib.sh"

users=()
for point in forward.after_unlink pull.before_record pull.after_record pull.after_rename; do
	users+=("$point@worker" "$point@all")
done

start_stack
for user in "${users[@]}"; do
	sequence "$user" "CREATE TABLE note(text); INSERT INTO note VALUES ('here')"
	wait_until 10 sync_clean "$user"
done
stop_holdfast

# With a table more: a page of it would be missing where this was not taken.
start_host there
for user in "${users[@]}"; do
	sequence "$user" "CREATE TABLE big(filling); INSERT INTO big VALUES (randomblob(100000));
		INSERT INTO note VALUES ('there')"
	wait_until 10 sync_clean "$user"
done
stop_holdfast
on_host here

died() {
	[ -e "$stack/died" ]
}

# has_notes USER NOTES; a predicate
has_notes() {
	execute "$1" "SELECT group_concat(text), (SELECT count(*) FROM big) FROM note"
	[ "$STATUS" = 200 ] && [ "$(jq -r '.result.rows[0] | map(.value) | join("|")' "$BODY")" = "$2|1" ]
}

for user in "${users[@]}"; do
	rm -f "$stack/died"
	FAULT=${user%@*} FAULT_ONCE=$stack/died start_holdfast
	is_served "$user" || true
	wait_until 10 died
	[ "${user#*@}" = worker ] || {
		kill_holdfast_hard
		start_holdfast
	}
	wait_until 10 has_notes "$user" here,there
	execute "$user" "INSERT INTO note VALUES ('here again')"
	expect_status 200
	wait_until 10 sync_clean "$user"
	expect_restored_equals_local "$user"
	expect_rows_in "$restored" "SELECT group_concat(text) FROM note" "here,there,here again"
	stop_holdfast
done
finish
