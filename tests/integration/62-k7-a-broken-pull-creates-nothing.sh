#!/bin/bash
# Goal: a pull in which an object or the listing is truncated, damaged, missing,
# refused or silent is a 503 and creates nothing; only a true absence makes a new
# user (K7).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SILENCE_TIMEOUT_MS=1000
start_stack

# WHERE FAULT, for each a user of its own: in the first object, in the second
# one, which belongs to a whole first one, or in the listing.
faults=(
	'2\.ltx$ {"action":"corrupt-answer"}'
	'2\.ltx$ {"action":"cut-answer","after":100}'
	'1\.ltx$ {"action":"corrupt-answer"}'
)
for path in '1\.ltx$' '/holdfast$'; do
	faults+=(
		"$path"' {"action":"cut-answer","after":100}'
		"$path"' {"action":"cut-answer","after":0,"how":"close"}'
		"$path"' {"action":"lose-answer","how":"half-status"}'
		"$path"' {"action":"garbage"}'
		"$path"' {"action":"read-then-silent"}'
		"$path"' {"action":"status","status":403}'
		"$path"' {"action":"status","status":500}'
		"$path"' {"action":"status","status":503}'
		"$path"' {"action":"status","status":404,"code":"NoSuchKey"}'
		"$path"' {"action":"status","status":404,"code":"NoSuchBucket"}'
		"$path"' {"action":"status","status":404,"body":"<html>no</html>","content_type":"text/html"}'
		"$path"' {"action":"status","status":200,"body":""}'
		"$path"' {"action":"status","status":200,"body":"<html>log in</html>","content_type":"text/html"}'
	)
done
for sql in "CREATE TABLE note(text)" "INSERT INTO note VALUES ('precious')"; do
	for user in "${!faults[@]}"; do
		execute "user$user" "$sql"
	done
	for user in "${!faults[@]}"; do
		wait_until 10 sync_clean "user$user"
	done
done
stop_holdfast
wipe_disk
start_holdfast

for user in "${!faults[@]}"; do
	read -r path rule <<<"${faults[$user]}"
	store_answers "$(jq -c --arg path "$path" '. + {method: "GET", path: $path}' <<<"$rule")"
	store_log_clear
	execute "user$user" "SELECT text FROM note"
	expect_status 503
	[ "$(header Retry-After)" -gt 0 ] || fail "Retry-After is '$(header Retry-After)'"
	store_calls_reach 1 GET "$path" || fail "nobody met this fault: ${faults[$user]}"
	[ -z "$(find "$(data)" -name 'db.sqlite*')" ] || fail "something was created: ${faults[$user]}"
done

store_answers normally
for user in "${!faults[@]}"; do
	wait_until 5 is_served "user$user"
	expect_rows "user$user" "SELECT text FROM note" precious
done
expect_sound "$(local_file user0)"
execute newcomer "CREATE TABLE note(text)"
expect_status 200
finish
