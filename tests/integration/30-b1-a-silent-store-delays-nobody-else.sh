#!/bin/bash
# Goal: with a silent store, more uploads stuck than there are workers and eight first
# accesses waiting, others read and write as ever: p99 below 200 ms, no answer but 200 (B1).
. "$(dirname "$0")/lib.sh"
WORKERS=4

# expect_swift FILE: of what time_posts has printed.
expect_swift() {
	local p99

	[ "$(cut -d ' ' -f 1 "$1" | sort -u)" = 200 ] ||
		fail "${1##*/}: $(cut -d ' ' -f 1 "$1" | sort | uniq -c | xargs)"
	# shellcheck disable=SC2046
	p99=$(percentile 99 $(cut -d ' ' -f 2 "$1"))
	[ "$p99" -lt 200 ] || fail "${1##*/}: p99 is $p99 ms of $(wc -l <"$1")"
}

start_stack
for user in stuck{1..12} reader{1..3} writer{1..3}; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
done
for user in stuck{1..12} reader{1..3} writer{1..3}; do
	wait_until 10 sync_clean "$user"
done

store_answers '{"action":"silent","path":"/"}'
for user in stuck{1..12}; do
	execute "$user" "INSERT INTO note VALUES ('unstored')"
	expect_status 200
done
wait_until 10 store_calls_reach 12 PUT /u/stuck
for user in new{1..8}; do
	token "$user" >/dev/null
	(execute "$user" "SELECT 1" && expect_status 503) &
	first+=($!)
done
wait_until 10 store_calls_reach 8 GET ''
stuck=$(store_calls_open PUT /u/stuck)
[ "$stuck" -gt "$WORKERS" ] || fail "$stuck uploads are stuck, want more than $WORKERS"

# For 5 s, so that the first stuck uploads are given up and tried again meanwhile.
for user in reader{1..3}; do
	time_posts 600 "$user" /v1/execute '{"stmt":{"sql":"SELECT count(*) FROM note"}}' \
		--rate 120/s >"$stack/reads-of-$user" &
	load+=($!)
done
for user in writer{1..3}; do
	time_posts 300 "$user" /v1/execute '{"stmt":{"sql":"INSERT INTO note VALUES (1)"}}' \
		--rate 60/s >"$stack/writes-of-$user" &
	load+=($!)
done
wait_all "${load[@]}"
cat "$stack"/reads-of-* >"$stack/reads"
cat "$stack"/writes-of-* >"$stack/writes"
[ "$(wc -l <"$stack/reads") $(wc -l <"$stack/writes")" = "1800 900" ] || fail "not all were answered"
expect_swift "$stack/reads"
expect_swift "$stack/writes"
wait_all "${first[@]}"

store_answers normally
for user in new1 stuck{1..12} writer{1..3}; do
	wait_until 20 sync_clean "$user"
done
expect_restored_equals_local stuck7
expect_restored_equals_local writer1
finish
