#!/bin/bash
# Goal: pushes, their bytes and failures, and where the users stand, are in
# /metrics as they are in the store and on the disk, through an outage and its
# end; and after a restart in the middle of it.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_WAL_BYTES=4MiB HOLDFAST_SILENCE_TIMEOUT_MS=1500
start_stack

push_failures() {
	metric "holdfast_push_failures_total{reason=\"$1\"}"
}

# What the users' spools take, by the disk itself.
spool_on_disk() {
	find "$(data)/users" -path '*/spool/*' -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}

# The metric is that, each user's rounded up to a KiB; a predicate
spool_is_as_on_disk() {
	local seen

	seen=$(metric holdfast_spool_bytes)
	[ "$seen" -gt 0 ] && [ $(((seen + 1023) / 1024)) = $((($(spool_on_disk) + 1023) / 1024)) ]
}

execute alice "CREATE TABLE note(text)"
execute bob "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
wait_until 10 sync_clean bob
wait_until 5 metric_is 'holdfast_users{status="ok"}' 2
expect_metric holdfast_pushes_total 2
expect_metric holdfast_pulls_total 2
expect_metric holdfast_http_writes_total 2
expect_metric holdfast_push_duration_seconds_count 2
expect_metric 'holdfast_uploaded_bytes_total{kind="push"}' \
	"$(control GET /log | jq '[.requests[] | select(.method == "PUT") | .body_bytes] | add')"
wait_until 5 metric_is holdfast_oldest_unsynced_age_seconds 0.000
wait_until 5 metric_is holdfast_spool_bytes 0

# Under way.
store_answers slowly 800
execute bob "INSERT INTO note VALUES ('slow')"
wait_until 5 metric_is 'holdfast_jobs_in_progress{job="push"}' 1
wait_until 5 metric_is 'holdfast_jobs_in_progress{job="push"}' 0
store_answers normally
wait_until 5 sync_clean bob

# A failure has a reason, and is counted as often as it was one.
store_answers 500
execute alice "INSERT INTO note VALUES ('kept')"
wait_until 10 sync_failed alice
wait_until 10 sync_flagged_for 3 alice
store_answers 403
wait_until 10 metric_is 'holdfast_failed_users{reason="credentials"}' 1
get alice /v1/sync
attempts=$(jq .failed_attempts "$BODY")
server=$(push_failures server)
[ "$((server + $(push_failures credentials)))" = "$attempts" ] ||
	fail "$attempts attempts have failed, counted $server and $(push_failures credentials)"
[ "$server" -ge 2 ] || fail "the first failures are counted as $server"
wait_until 5 metric_is 'holdfast_users{status="failed"}' 1
expect_metric holdfast_pushes_total 3

# A long outage: what is in the WAL goes to the spool.
store_answers 500
execute bob "INSERT INTO note SELECT randomblob(1000000) FROM (VALUES (1), (2), (3), (4), (5))"
expect_status 200
wait_until 10 spool_is_as_on_disk
wait_until 10 metric_is 'holdfast_users{status="failed"}' 2
wait_until 10 metric_reaches holdfast_oldest_unsynced_age_seconds 1
age=$(metric holdfast_oldest_failed_age_seconds)

kill_holdfast_hard
start_holdfast
wait_until 10 metric_is 'holdfast_users{status="failed"}' 2
spool_is_as_on_disk || fail "a restart has forgotten the spool"
awk -v a="$age" -v b="$(metric holdfast_oldest_failed_age_seconds)" 'BEGIN { exit !(b >= a) }' ||
	fail "a restart has forgotten since when a user is failed"

store_answers normally
wait_until 10 sync_clean alice
wait_until 10 sync_clean bob
wait_until 5 metric_is 'holdfast_users{status="ok"}' 2
wait_until 5 metric_is 'holdfast_users{status="failed"}' 0
wait_until 5 metric_is holdfast_oldest_unsynced_age_seconds 0.000
wait_until 5 metric_is holdfast_oldest_failed_age_seconds 0.000
wait_until 5 metric_is holdfast_spool_bytes 0
scrape
! grep -qE 'alice|bob' "$stack/metrics" || fail "a user's name is in /metrics"
finish
