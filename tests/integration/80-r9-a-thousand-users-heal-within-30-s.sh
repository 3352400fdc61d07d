#!/bin/bash
# Goal: a crowd of failed users (USERS=1000 for the full number) costs a store that fails
# a trickle of requests, and when it is back, at 80 ms for a PUT, all of them are clean
# within 30 s, without a storm; who was told to wait, waits.
. "$(dirname "$0")/lib.sh"
: "${USERS:=300}"
# As installed; nginx names the users, so that none of them needs a token.
unset HOLDFAST_RETRY_MIN_MS HOLDFAST_RETRY_MAX_MS
export HOLDFAST_AUTH=remote_user
watch_s=6
retry_after_s=20

# all_execute SQL: one request of every user, eight at a time.
all_execute() {
	local user seen

	for user in "${users[@]}"; do
		printf 'url = "%s/v1/execute"\nuser = "%s:%s"\noutput = /dev/null\n' "$(url)" "$user" "$user"
		printf 'data = "{\\"stmt\\":{\\"sql\\":\\"%s\\"}}"\nwrite-out = "%%{http_code}\\n"\nnext\n' "$1"
	done | sed '$d' >"$stack/all"
	seen=$(curl -s --no-progress-meter --parallel --parallel-max 8 --max-time 60 -K "$stack/all" | sort | uniq -c | xargs)
	[ "$seen" = "${#users[@]} 200" ] || fail "answers to '$1': $seen"
}

# all_are STATUS: each of the crowd is; a predicate that is not asked too often, for the
# sake of those whom it asks about.
all_are() {
	sleep 0.2
	[ "$(holdfast status | awk -v status="$1" '/^user/ && $2 == status' | wc -l)" = "$USERS" ]
}

# puts_within MS: the PUTs that began so soon after the first that was stored in return.
puts_within() {
	store_log | jq -s --argjson ms "$1" --argjson since "$returned" 'map(select(.method == "PUT")) |
		(map(select(.status == 200 and .start >= $since).end) | min) as $first |
		map(select(.start >= $first and .start < $first + $ms)) | length'
}

start_stack
mapfile -t users < <(seq -f 'user%.0f' "$USERS")
users+=(patient)
for user in "${users[@]}" late; do
	echo "$user:{PLAIN}$user"
done >"$htpasswd"
all_execute "CREATE TABLE note(text)"
execute late "CREATE TABLE note(text)"
wait_until 60 all_are ok
wait_until 10 sync_clean patient
wait_until 10 sync_clean late

store_answers "[{\"action\":\"status\",\"method\":\"PUT\",\"path\":\"/u/patient/\",\"status\":429,
	\"retry_after\":$retry_after_s,\"times\":1}, {\"action\":\"status\",\"status\":503}]"
store_log_clear
all_execute "INSERT INTO note VALUES ('kept')"
wait_until 30 all_are failed
wait_until 5 sync_failed patient

# An attempt is two requests: a PUT, and the question what came of it.
before=$(store_calls)
sleep "$watch_s"
seen=$(($(store_calls) - before))
[ "$seen" -ge 4 ] || fail "$seen requests in $watch_s s: nobody would notice the store's return"
[ "$seen" -le $((watch_s * 4)) ] || fail "$seen requests in $watch_s s of the outage, want a trickle"

# Who has not failed yet is told as soon as ever, and who asks is not left to the trickle.
execute late "INSERT INTO note VALUES ('late')"
expect_no_header X-Sync-Status
wait_until 5 sync_failed late
for user in user1 user2 user3; do
	before=$(store_calls PUT "/u/$user/")
	post "$user" /v1/sync ''
	expect_status 503
	expect_header X-Sync-Status failed
	store_calls_reach $((before + 1)) PUT "/u/$user/" || fail "$user asked in vain for an attempt"
done

store_answers '[{"action":"delay","method":"PUT","before_ms":80}]'
returned=$(now_ms)
wait_until 30 all_are ok
took=$(($(now_ms) - returned))
echo "$USERS users: $seen requests in $watch_s s of the outage, all clean $took ms after it," \
	"$(puts_within 100) PUTs in the first 100 ms, $(store_most_puts) at once"
[ "$(store_most_puts)" -le 32 ] || fail "$(store_most_puts) uploads at once, want 32 at most"
[ "$(puts_within 100)" -le 10 ] || fail "$(puts_within 100) uploads began at once when the store was back"

wait_until 5 sync_clean late
wait_until $((retry_after_s + 5)) sync_clean patient
expect_store_calls 2 PUT /u/patient/
waited=$(store_log | jq -s 'map(select(.method == "PUT" and (.path | test("/u/patient/")))) |
	.[1].start - .[0].end')
[ "$waited" -ge $((retry_after_s * 1000 - 10)) ] || fail "patient was tried again after $waited ms"
for user in user1 user$USERS late patient; do
	expect_restored_equals_local "$user"
	expect_rows_in "$restored" "SELECT count(*) FROM note" 1
done
finish
