#!/bin/bash
# Goal: somebody writes to the databases with the sqlite3 tool, while the
# program is stopped or running, with or without checkpoints that take away what
# the WAL held.  Nobody is reported as in step before it is in the store, and
# where the chain is broken every page goes out.
. "$(dirname "$0")/lib.sh"
start_stack

# The store's TXID grows, what it has is what is here, and all tools agree.
expect_brought_up_to_date() {
	wait_until 10 sync_clean "$1"
	txid_reaches "$2" "$1" || fail "$1 is said to be in step at $(jq .remote_txid "$BODY"), want $2"
	expect_rows "$1" "SELECT text FROM note ORDER BY id DESC LIMIT 1" "foreign $writes"
	expect_restored_equals_local "$1"
	# Litestream reads no chain whose page size changes before the next snapshot.
	[ "$1" = pagesize ] || expect_litestream_restores "$1"
	holdfast verify "$1" >"$stack/verify" || fail "verify: $(cat "$stack/verify")"
}

# foreign_write USER [SQL]: one row, which is neither in page 1 nor makes the file grow.
writes=0
foreign_write() {
	sqlite3 "$(local_file "$1")" "UPDATE note SET text = 'foreign $writes'
		WHERE id = (SELECT max(id) FROM note); ${2:-}" >"$stack/foreign" 2>&1 ||
		fail "the tool: $(cat "$stack/foreign")"
}

# The row is in a WAL that two checkpoints have taken away.
twice_restarted="PRAGMA wal_checkpoint(RESTART); UPDATE note SET filling = random() WHERE id = 1;
	PRAGMA wal_checkpoint(RESTART); UPDATE note SET filling = random() WHERE id = 1"

users=(wal pulled checkpointed mode pagesize killed)
running=(appended truncated restarted fetched)
for user in "${users[@]}" "${running[@]}"; do
	sequence "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text, filling);
		INSERT INTO note VALUES (1, 'one', NULL), (2, 'two', NULL)"
	wait_until 10 sync_clean "$user"
done
for user in checkpointed restarted; do
	sequence "$user" "WITH n(i) AS (VALUES(3) UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
		INSERT INTO note SELECT i, 'many', randomblob(4000) FROM n"
	wait_until 10 sync_clean "$user"
	wait_until 10 grep -q '^armed 1' "$(dirname "$(local_file "$user")")/sync"
done
stop_holdfast
rm -rf "$(data)"/users/*/pulled "$(data)"/users/*/fetched
start_holdfast
for user in pulled fetched; do
	expect_rows "$user" "SELECT count(*) FROM note" 2
	wait_until 10 sync_clean "$user"
done

# ---- while it is stopped: the tool is alone, and takes the WAL away with it
stop_holdfast
for user in wal pulled checkpointed; do
	foreign_write "$user"
	[ ! -e "$(local_file "$user")-wal" ] || fail "the tool has left the WAL of $user"
done
foreign_write mode "PRAGMA journal_mode = DELETE; UPDATE note SET filling = 'x' WHERE id = 1"
foreign_write pagesize "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM"
# One that was killed: its commit is in the WAL, and goes on from ours.
sqlite3 -cmd ".dbconfig no_ckpt_on_close on" "$(local_file killed)" \
	"UPDATE note SET text = 'foreign 0' WHERE id = 2" >/dev/null
start_holdfast
for user in "${users[@]}"; do
	case $user in
	checkpointed) expect_brought_up_to_date "$user" 3 ;;
	*) expect_brought_up_to_date "$user" 2 ;;
	esac
	told=$(grep -c "push.gap user=$user " "$stack/here/holdfast.log") || true
	[ "$told" = "$([ "$user" = killed ] && echo 0 || echo 1)" ] ||
		fail "$user: the log says $told times that the chain is broken"
done

# ---- while it runs, and has the files open
for user in "${running[@]}"; do
	expect_rows "$user" "SELECT count(*) > 0 FROM note" 1
	wait_until 10 sync_clean "$user"
done
foreign_write appended
foreign_write truncated "PRAGMA wal_checkpoint(TRUNCATE)"
foreign_write fetched "PRAGMA wal_checkpoint(TRUNCATE)"
foreign_write restarted "$twice_restarted"
for user in appended truncated fetched; do
	expect_brought_up_to_date "$user" 2
done
expect_brought_up_to_date restarted 3

# A write of our own comes first: it takes the foreign one along.
writes=1
foreign_write appended
foreign_write truncated "PRAGMA wal_checkpoint(TRUNCATE)"
foreign_write restarted "$twice_restarted"
for user in appended truncated restarted; do
	execute "$user" "UPDATE note SET filling = 'ours' WHERE id = 1"
	expect_status 200
done
expect_brought_up_to_date appended 3
expect_brought_up_to_date truncated 3
expect_brought_up_to_date restarted 4

# Nobody asks for it: the command does.
writes=2
foreign_write appended
holdfast push appended >"$stack/push" || fail "push: $(cat "$stack/push")"
[ "$(cat "$stack/push")" = "ok appended txid=4" ] || fail "push: $(cat "$stack/push")"
expect_brought_up_to_date appended 3
finish
