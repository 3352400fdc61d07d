#!/bin/bash
# Goal: a restored file needs no -wal beside it, and it is at the position that
# was asked for; a position that is not there gives an error and no file (D3).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
for n in 2 3 4 5; do
	execute alice "INSERT INTO note VALUES ('$n')"
	expect_status 200
	wait_until 10 sync_clean alice
	get alice /v1/sync
	expect_json .remote_txid "$n"
done

for n in 1 2 3 4 5; do
	restore alice --txid "$n"
	[ "$STATUS" = 0 ] || fail "restore --txid $n: $(cat "$stack/restored/alice.out")"
	grep -q "transaction $n," "$stack/restored/alice.out" || fail "it does not say transaction $n"
	[ "$(ls "$stack/restored")" = $'alice.db\nalice.out' ] || fail "there is more than the file"
	mkdir "$stack/alone"
	mv "$restored" "$stack/alone/moved.db"
	expect_sound "$stack/alone/moved.db"
	expect_rows_in "$stack/alone/moved.db" \
		"SELECT count(*), coalesce(group_concat(text, ''), '') FROM note" \
		"$((n - 1))|$(seq -s '' 2 "$n")"
	# It goes on as a database of its own.
	sqlite3 "$stack/alone/moved.db" "INSERT INTO note VALUES ('own')"
	rm -r "$stack/alone"
done

restore alice --txid 6
[ "$STATUS" = 1 ] || fail "restore of a transaction to come: status $STATUS"
restore nobody
[ "$STATUS" = 1 ] || fail "restore of nobody: status $STATUS"
[ "$(ls "$stack/restored")" = $'alice.out\nnobody.out' ] || fail "a failed restore leaves a file"
finish
