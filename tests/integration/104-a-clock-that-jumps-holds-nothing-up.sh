#!/bin/bash
# Goal: the wall clock jumps by an hour in both directions while the program
# runs.  By ten minutes nothing is noticed; by an hour the store refuses what we
# sign, which is flagged as `clock`, tried again slowly, and heals when the clock
# is right; a pull is 503 meanwhile.  Tokens expire by the clock as it is.
. "$(dirname "$0")/lib.sh"
with_own_clock
export HOLDFAST_RETRY_MAX_MS=1500
start_stack

holdfast token alice --ttl 3h >"$stack/tokens/alice"
for user in alice bob; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
	wait_until 10 sync_clean "$user"
done

for jump in +600 -600; do
	set_clock "$jump"
	execute alice "INSERT INTO note VALUES ('at $jump')"
	expect_status 200
	expect_untold_until_clean 5 alice
done
set_clock +0

for jump in +3600 -3600; do
	set_clock "$jump"
	store_log_clear
	execute alice "INSERT INTO note VALUES ('at $jump')"
	expect_status 200
	wait_until 5 sync_failed alice
	expect_json .last_error clock
	# The waiting itself goes by the other clock.
	for _ in 1 2 3 4; do
		[ "$(jq .next_attempt_ms "$BODY")" -le 1500 ] || fail "the next attempt is in $(jq .next_attempt_ms "$BODY") ms"
		sleep 1
		sync_failed alice || fail "the flag has gone"
	done
	calls=$(store_calls PUT)
	[ "$calls" -ge 2 ] || fail "the store got $calls PUTs in 4 s"
	[ "$calls" -le 5 ] || fail "the store got $calls PUTs in 4 s"
	holdfast status >"$stack/status" || [ $? = 3 ] || fail "no status"
	grep -qE '^alice +failed .* clock +[0-9]+[smhd]$' "$stack/status" || fail "status: $(cat "$stack/status")"

	holdfast token newcomer >"$stack/tokens/newcomer"
	execute newcomer "SELECT 1"
	expect_status 503
	[ -z "$(find "$(data)/users" -path '*newcomer/db.sqlite')" ] || fail "an empty account was created"

	set_clock +0
	wait_until 5 sync_clean alice
	expect_restored_equals_local alice
	[ "$(header X-Sync-Status)" = "" ] || fail "the flag stays"
done
grep -q "code=RequestTimeTooSkewed .*error=clock" "$stack/here/holdfast.log" || fail "the log does not say why"

# An hour's token ends with the hour, and is good again before it.
set_clock +3700
execute bob "SELECT 1"
expect_status 401
set_clock -3600
execute bob "SELECT 1"
expect_status 200

# Set back in an outage, and a restart in it: the times are in the future, and no matter.
set_clock +0
store_answers refused
execute alice "INSERT INTO note VALUES ('before')"
wait_until 5 sync_failed alice
set_clock -3600
holdfast status >"$stack/status" || [ $? = 3 ] || fail "no status"
grep -qE '^alice +failed .* 0s$' "$stack/status" || fail "status: $(cat "$stack/status")"
kill_holdfast_hard
start_holdfast
sync_failed alice || fail "the restart has forgotten the failure"
execute alice "INSERT INTO note VALUES ('after')"
expect_status 200
set_clock +0
store_answers normally
wait_until 5 sync_clean alice
expect_restored_equals_local alice
expect_rows alice "SELECT count(*) FROM note" 6
expect_litestream_restores alice
finish
