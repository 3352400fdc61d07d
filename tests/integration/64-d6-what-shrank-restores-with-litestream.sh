#!/bin/bash
# Goal: a database that has shrunk, by DELETE and VACUUM or by incremental and
# full auto_vacuum, restores byte for byte with the official Litestream reader, at
# every step (D6).
. "$(dirname "$0")/lib.sh"
start_stack

pages() {
	query "$1" 'PRAGMA page_count'
}

fill="WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
	INSERT INTO note(filling) SELECT randomblob(7000) FROM n"

expect_stored_and_smaller_than() {
	wait_until 20 sync_clean "$2"
	[ "$(pages "$2")" -lt "$1" ] || fail "$2 has $(pages "$2") pages, want less than $1"
	expect_litestream_restores "$2"
	expect_restored_equals_local "$2"
	cmp "$restored" "$stack/litestream/$2.db" || fail "Litestream restores other bytes of $2"
	[ "$(stat -c %s "$restored")" = $(($(pages "$2") * 4096)) ] || fail "$2 is not as large as it should be"
}

for user in vacuum incremental full; do
	case $user in
	vacuum) mode=0 ;;
	full) mode=1 ;;
	incremental) mode=2 ;;
	esac
	sequence "$user" "PRAGMA auto_vacuum = $mode; VACUUM;
		CREATE TABLE note(id INTEGER PRIMARY KEY, filling); $fill"
	wait_until 20 sync_clean "$user"
	expect_rows "$user" 'PRAGMA auto_vacuum' "$mode"
	before=$(pages "$user")
	[ "$before" -gt 500 ] || fail "$user has only $before pages"

	sequence "$user" "DELETE FROM note WHERE id > 20"
	case $user in
	vacuum) sequence "$user" VACUUM ;;
	incremental)
		sequence "$user" "PRAGMA incremental_vacuum(100)"
		expect_stored_and_smaller_than $((before - 90)) "$user"
		sequence "$user" "PRAGMA incremental_vacuum"
		;;
	esac
	expect_stored_and_smaller_than 100 "$user"

	# Grown again, in pages that were cut off before; and shrunk within one push.
	sequence "$user" "$fill"
	wait_until 20 sync_clean "$user"
	[ "$(pages "$user")" -gt 500 ] || fail "$user has not grown"
	expect_litestream_restores "$user"
	store_answers slowly 500
	execute "$user" "DELETE FROM note WHERE id % 2"
	sequence "$user" "DELETE FROM note WHERE id > 9"
	sequence "$user" "PRAGMA incremental_vacuum; VACUUM; INSERT INTO note VALUES (10, 'last')"
	store_answers normally
	expect_stored_and_smaller_than 100 "$user"
	expect_rows_in "$restored" 'SELECT count(*), max(id) FROM note' '5|10'
done
finish
