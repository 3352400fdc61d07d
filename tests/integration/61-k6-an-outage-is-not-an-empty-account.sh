#!/bin/bash
# Goal: with the disk wiped and the store down, in whatever way, every request of
# a user is a 503 with Retry-After; nothing is created, and it works without a
# restart when the store is back (K6).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SILENCE_TIMEOUT_MS=1000 HOLDFAST_CONNECT_TIMEOUT_MS=1000
start_stack
execute alice "CREATE TABLE note(text)"
execute alice "INSERT INTO note VALUES ('precious')"
wait_until 10 sync_clean alice
keys=$(store_object_keys)
stop_holdfast
wipe_disk
start_holdfast

expect_unavailable() {
	expect_status 503
	expect_json .code STORE_UNREACHABLE
	[ "$(header Retry-After)" -gt 0 ] || fail "Retry-After is '$(header Retry-After)'"
}

for weather in refused unreachable silent resets 500 503 403 400; do
	store_answers "$weather"
	for user in alice newcomer; do
		execute "$user" "SELECT * FROM note"
		expect_unavailable
		execute "$user" "CREATE TABLE IF NOT EXISTS note(text)"
		expect_unavailable
		post "$user" /v1/batch '{"batch":{"steps":[]}}'
		expect_unavailable
	done
	[ -z "$(find "$(data)" -name 'db.sqlite*')" ] || fail "a database was created, $weather"
	[ "$(store_object_keys)" = "$keys" ] || fail "something was put in the store, $weather"
done

store_answers normally
wait_until 5 is_served alice
expect_no_header X-Sync-Status
expect_rows alice "SELECT text FROM note" precious
wait_until 5 is_served newcomer
expect_rows newcomer "SELECT count(*) FROM sqlite_schema" 0
execute alice "INSERT INTO note VALUES ('more')"
wait_until 10 sync_clean alice
expect_restored_equals_local alice
finish
