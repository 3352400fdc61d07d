#!/bin/bash
# Goal: the store is away and a user writes every 200 ms all the while.  `failed`
# comes within 5 s, on the writes themselves, and stays on every answer (S3).
#
#	WRITING_S=60	for how long in each weather, 10 if not set
. "$(dirname "$0")/lib.sh"
: "${WRITING_S:=10}"

# Sets told_ms, when `failed` was seen first.
keep_writing() {
	local began next pause

	began=$(now_ms)
	next=$began
	told_ms=
	while [ "$next" -lt $((began + WRITING_S * 1000)) ]; do
		execute alice "INSERT INTO note VALUES ('$next')"
		expect_status 200
		written=$((written + 1))
		if [ -n "$told_ms" ]; then
			expect_header X-Sync-Status failed
		elif [ "$(header X-Sync-Status)" = failed ]; then
			told_ms=$(($(now_ms) - began))
		fi
		next=$((next + 200))
		pause=$((next - $(now_ms)))
		[ "$pause" -le 0 ] || sleep "$(printf '0.%03d' "$pause")"
	done
}

start_stack
execute alice "CREATE TABLE note(text)"
written=0
for weather in refused silent; do
	wait_until 10 sync_clean alice
	store_answers "$weather"
	keep_writing
	[ "${told_ms:-5000}" -lt 5000 ] || fail "$weather: told after ${told_ms:-all} ms"
	expect_told_everywhere alice failed
	store_answers normally
done
wait_until 15 sync_clean alice
expect_rows alice "SELECT count(*) FROM note" "$written"
expect_restored_equals_local alice
finish
