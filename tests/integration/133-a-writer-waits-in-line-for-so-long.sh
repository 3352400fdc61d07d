#!/bin/bash
# Goal: while a transaction is open, reads go on everywhere, writers wait without
# holding up a worker, come through in the order of their arrival when it ends, or hear
# SQLITE_BUSY at the lock wait limit; one that has hung up is not executed.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_LOCK_WAIT_MS=4000
start_stack
sequence alice "CREATE TABLE note(text)"

# write TEXT: in the background
write() {
	execute alice "INSERT INTO note VALUES ('$1')"
	# shellcheck disable=SC2153
	jq -r --arg status "$STATUS" --arg ms "$MS" '[$status, .code // "ok", $ms] | join(" ")' \
		"$BODY" >"$stack/wrote.$1"
}

# So many requests are with the program; a predicate
requests_are_in() {
	[ "$(grep -c " 03 .* $stack/here/run/app" /proc/net/unix)" -ge "$1" ]
}

stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('first')"
expect_result 1 ''
pids=()
for i in a b c d e f; do
	write "$i" &
	pids+=($!)
	wait_until 5 requests_are_in "${#pids[@]}"
done
# More of them than there are workers, and all workers serve.
for user in alice bob carol; do
	is_served "$user" || fail "$user is not served"
	expect_faster_than 2000
done
expect_rows alice "SELECT count(*) FROM note" 0
stream_go_on alice "COMMIT"
expect_result 0 ''
wait_all "${pids[@]}"
for i in a b c d e f; do
	read -r status code ms <"$stack/wrote.$i"
	[ "$status $code" = "200 ok" ] || fail "writer $i got $status $code"
done
expect_rows alice "SELECT group_concat(text, '') FROM note" firstabcdef

# At the limit.
stream_begin alice "BEGIN IMMEDIATE"
write late
read -r status code ms <"$stack/wrote.late"
[ "$status $code" = "503 SQLITE_BUSY" ] || fail "a late writer got $status $code"
[ "$ms" -ge 3900 ] || fail "it waited $ms ms, want 4000"
[ "$ms" -lt 5500 ] || fail "it waited $ms ms, want 4000"
stream_go_on alice '{"type":"execute","stmt":{"sql":"SELECT 1"}}'
expect_result 0 1

# A transaction that has read keeps its snapshot, and hears at once that it is stale.
baton=$BATON
stream_begin alice "BEGIN" "SELECT count(*) FROM note"
stream_go_on alice "INSERT INTO note VALUES ('stale')" "ROLLBACK" "$close_stream"
expect_result 0 SQLITE_BUSY
expect_faster_than 2000

# Who hangs up is not executed.
execute alice "INSERT INTO note VALUES ('gone')" --max-time 0.5
[ "$STATUS" = 000 ] || fail "a writer got $STATUS"
BATON=$baton
stream_go_on alice "$close_stream"
expect_status 200
execute alice "INSERT INTO note VALUES ('last')"
expect_status 200
expect_rows alice "SELECT text FROM note WHERE text > 'f' AND text <> 'first'" last
finish
