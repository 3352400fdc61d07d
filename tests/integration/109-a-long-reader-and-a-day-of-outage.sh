#!/bin/bash
# Goal: a transaction that reads for long, in another process, keeps the WAL from
# being checkpointed and nothing else: writes and pushes go on, and the WAL is
# short again once the reader has ended.  After a day of outage, spooled in part,
# a start and the first request are as fast as on any day.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_WAL_BYTES=4MiB
start_stack

wal_frames() {
	local file

	file=$(local_file "$1")
	sed -n 's/^frame //p' "$(dirname "$file")/sync"
}

wal_mb() {
	echo $(($(stat -c %s "$(local_file "$1")-wal") / 1000000))
}

insert=$(jq -cn '{stmt: {sql: "INSERT INTO note(filling) VALUES (randomblob(15000))"}}')

for user in alice bob; do
	execute "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, filling)"
	wait_until 10 sync_clean "$user"
done

# ---- the reader: it keeps its snapshot until its input ends
mkfifo "$stack/reader"
sqlite3 -cmd '.dbconfig no_ckpt_on_close on' "$(local_file alice)" \
	<"$stack/reader" >"$stack/reader.out" 2>&1 &
reader=$!
exec 7>"$stack/reader"
echo "BEGIN; SELECT count(*) FROM note;" >&7
wait_until 5 grep -q '^0$' "$stack/reader.out"
for _ in 1 2 3; do
	post_times 400 alice /v1/execute "$insert"
	wait_until 20 sync_clean alice
done
grown=$(wal_mb alice)
[ "$grown" -ge 15 ] || fail "the WAL has $grown MB: the reader did not hold it"
grep -qE "(wal|checkpoint).failed|push.failed" "$stack/here/holdfast.log" && fail "the reader was taken for a failure"
expect_restored_equals_local alice
echo "SELECT count(*) FROM note; COMMIT;" >&7
exec 7>&-
wait "$reader" || fail "the reader failed: $(cat "$stack/reader.out")"
[ "$(tail -n 1 "$stack/reader.out")" = 0 ] || fail "the reader saw $(tail -n 1 "$stack/reader.out") rows"
# The next push checkpoints, the one after it starts the WAL over.
for _ in 1 2; do
	post alice /v1/execute "$insert"
	wait_until 10 sync_clean alice
done
[ "$(wal_frames alice)" -lt 100 ] || fail "the record is at frame $(wal_frames alice): nothing was checkpointed"
expect_restored_equals_local alice

# ---- the outage: a part is in the spool, a part as long as may be in the WAL
opening_ms() {
	stop_holdfast
	start_holdfast
	execute "$1" "SELECT count(*) FROM note"
	expect_status 200
	opened=$MS
}
opening_ms bob
usual=$opened
store_answers refused
for _ in {1..15}; do
	execute bob "INSERT INTO note(filling) VALUES (randomblob(1000000))"
	expect_status 200
done
wait_until 20 test -n "$(find "$(data)"/users/*/bob/spool -name '*.ltx')"
[ "$(wal_mb bob)" -le 16 ] || fail "the WAL has $(wal_mb bob) MB in an outage"
kill_holdfast_hard
began=$(now_ms)
start_holdfast
started=$(($(now_ms) - began))
execute bob "SELECT count(*) FROM note"
expect_status 200
expect_header X-Sync-Status failed
echo "opened in $MS ms, on a usual day $usual ms; started in $started ms; WAL $(wal_mb bob) MB," \
	"spool $(find "$(data)"/users/*/bob/spool -name '*.ltx' | wc -l) files"
expect_faster_than $((usual + 100))
store_answers normally
wait_until 30 sync_clean bob
expect_restored_equals_local bob
expect_litestream_restores bob
finish
