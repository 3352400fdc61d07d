#!/bin/bash
# Goal: a user whose every attempt fails because of the local disk does not fill
# the log: a few lines, then a sum; the metrics count all of it, and another
# user's first failure is told at once.  For the journal, lines carry a priority.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETRY_MIN_MS=20 HOLDFAST_RETRY_MAX_MS=50 WORKERS=2
start_stack

disk_failures() {
	metric 'holdfast_push_failures_total{reason="disk"}'
}

has_failed() {
	[ "$(disk_failures)" -ge "$1" ]
}

# lines_of EVENT WORDS: in the program's log
lines_of() {
	grep " $1 " "$stack/here/holdfast.log" | grep -c "$2" || true
}

for user in alice bob; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
done

# The record cannot be written.
folder=$(dirname "$(local_file alice)")
mkdir "$folder/sync.new"
execute alice "INSERT INTO note VALUES ('kept')"
wait_until 10 sync_failed alice
wait_until 20 has_failed 12
get alice /v1/sync
expect_json .last_error disk
mkdir "$(dirname "$(local_file bob)")/sync.new"
execute bob "INSERT INTO note VALUES ('kept')"
wait_until 10 sync_failed bob
wait_until 5 log_lines_reach 1 'push.failed user=bob'
rmdir "$folder/sync.new" "$(dirname "$(local_file bob)")/sync.new"
wait_until 10 sync_clean alice
wait_until 10 sync_clean bob
failures=$(disk_failures)
stop_holdfast

# Each worker has five lines for an event of a user.
for event in 'push.failed user=alice' "file.failed .*path=$folder/sync"; do
	seen=$(lines_of "${event%% *}" "${event#* }")
	if [ "$seen" -lt 1 ] || [ "$seen" -gt 10 ]; then fail "$seen lines of $event"; fi
done
told=$(grep -cE ' push.failed user=(alice|bob)' "$stack/here/holdfast.log")
summed=$(sed -n 's/.* log.suppressed event=push.failed subject=.* lines=//p' "$stack/here/holdfast.log" |
	awk '{ n += $1 } END { print n + 0 }')
[ "$summed" -gt 0 ] || fail "nothing was summed up"
[ "$((told + summed))" = "$failures" ] ||
	fail "$failures attempts have failed: $told in the log and $summed in sums"
! grep -q '^<' "$stack/here/holdfast.log" || fail "priorities in a file"

# As systemd starts it, the log is what JOURNAL_STREAM names.
JOURNAL_STREAM=$(stat -c %d:%i "$stack/here/holdfast.log")
export JOURNAL_STREAM
lines=$(wc -l <"$stack/here/holdfast.log")
start_holdfast
execute alice "SELECT 1"
stop_holdfast
tail -n +"$((lines + 1))" "$stack/here/holdfast.log" >"$stack/journal"
grep -qE '^<6>20.* info worker\[[0-9]+\] [0-9a-f]+ request.done user=alice ' "$stack/journal" ||
	fail "a line for the journal: $(head -n 3 "$stack/journal")"
awk '!/^<6>.* info / && !/^<4>.* warn / && !/^<3>.* error / { print; bad = 1 } END { exit bad || NR < 5 }' \
	"$stack/journal" >"$stack/odd" || fail "priority and level differ: $(head -n 3 "$stack/odd")"
finish
