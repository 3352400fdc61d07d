#!/bin/bash
# Goal: a pull in which an object or the listing is truncated, damaged, missing,
# refused or silent is a 503 and creates nothing; only a true absence makes a new
# user (K7).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SILENCE_TIMEOUT_MS=1000
start_stack
execute alice "CREATE TABLE note(text, filling)"
execute alice "INSERT INTO note VALUES ('precious', randomblob(30000))"
wait_until 10 sync_clean alice
execute alice "INSERT INTO note VALUES ('second', NULL)"
wait_until 10 sync_clean alice
stop_holdfast
wipe_disk
start_holdfast

# An answer from memory asks nobody, so it is no answer to this fault.
refused_after_asking() {
	execute alice "SELECT text FROM note"
	expect_status 503
	store_calls_reach 1 GET "$path"
}

expect_refused() {
	store_answers "$(jq -c --arg path "$path" '. + {method: "GET", path: $path}' <<<"$1")"
	store_log_clear
	wait_until 10 refused_after_asking
	[ "$(header Retry-After)" -gt 0 ] || fail "Retry-After is '$(header Retry-After)'"
	[ -z "$(find "$(data)" -name 'db.sqlite*')" ] || fail "something was created: $1"
}

for path in '\.ltx$' '/holdfast$'; do
	expect_refused '{"action":"cut-answer","after":100}'
	expect_refused '{"action":"cut-answer","after":0,"how":"close"}'
	expect_refused '{"action":"lose-answer","how":"half-status"}'
	expect_refused '{"action":"garbage"}'
	expect_refused '{"action":"read-then-silent"}'
	for status in 403 500 503; do
		expect_refused "{\"action\":\"status\",\"status\":$status}"
	done
	for code in NoSuchKey NoSuchBucket; do
		expect_refused "{\"action\":\"status\",\"status\":404,\"code\":\"$code\"}"
	done
	expect_refused '{"action":"status","status":404,"body":"<html>no</html>","content_type":"text/html"}'
	expect_refused '{"action":"status","status":200,"body":""}'
	expect_refused '{"action":"status","status":200,"body":"<html>log in</html>","content_type":"text/html"}'
done
path='\.ltx$'
expect_refused '{"action":"corrupt-answer"}'
# A first object that is whole in itself, and a second one that is not.
path='2\.ltx$'
expect_refused '{"action":"corrupt-answer"}'

store_answers normally
answers() {
	execute alice "SELECT 1"
	[ "$STATUS" = 200 ]
}
wait_until 5 answers
expect_rows alice "SELECT text FROM note" $'precious\nsecond'
expect_sound "$(local_file alice)"
execute newcomer "CREATE TABLE note(text)"
expect_status 200
finish
