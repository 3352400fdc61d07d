#!/bin/bash
# Goal: HUP replaces every worker while users write and read, twice, then twice at once,
# then again while it is at it; every answer is 200, and every row that was answered is
# here and restores.
. "$(dirname "$0")/lib.sh"
users=(alice bob carol dave)
insert='{"stmt":{"sql":"INSERT INTO note(text) VALUES (hex(randomblob(50)))"}}'
select='{"stmt":{"sql":"SELECT count(*) FROM note"}}'

# Writes and reads until told to stop; prints how many writes were answered.
keep_busy() {
	local written=0

	until [ -e "$stack/enough" ]; do
		post_times 40 "$1" /v1/execute "$insert"
		post_times 20 "$1" /v1/execute "$select"
		written=$((written + 40))
		echo "$written" >"$stack/written.$1"
	done
}

everybody_has_written() {
	local user

	for user in "${users[@]}"; do
		[ -s "$stack/written.$user" ] || return 1
	done
}

# Once more since the last call, so that the load went on meanwhile.
wait_for_writes() {
	rm -f "$stack"/written.*
	wait_until 30 everybody_has_written
}

workers_gone() {
	! grep -qwF "$(printf '%s\n' "$@")" <<<"$(workers)"
}

start_stack
for user in "${users[@]}"; do
	execute "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
	expect_status 200
done
busy=()
for user in "${users[@]}"; do
	keep_busy "$user" &
	busy+=($!)
done
wait_for_writes

for times in 1 1 2; do
	mapfile -t before < <(workers)
	for ((i = 0; i < times; i++)); do
		reload_holdfast
	done
	wait_until 60 workers_replaced "${before[@]}"
	wait_for_writes
done

# Nobody is forgotten who was new, or old, or starting at the second time.
ready=$(log_lines master.ready)
started=$(log_lines worker.start)
reload_holdfast
wait_until 30 log_lines_reach $((started + 2)) worker.start
mapfile -t before < <(workers)
reload_holdfast
wait_until 60 workers_gone "${before[@]}"
wait_until 20 log_lines_reach $((ready + 1)) master.ready
[ "$(workers | wc -l)" = 4 ] || fail "there are $(workers | wc -l) workers"
wait_for_writes

: >"$stack/enough"
wait_all "${busy[@]}"
for user in "${users[@]}"; do
	wait_until 30 sync_clean "$user"
	expect_rows "$user" "SELECT count(*) FROM note" "$(cat "$stack/written.$user")"
	expect_restored_equals_local "$user"
done
[ "$(log_lines worker.kill)" = 0 ] || fail "a worker had to be killed"
finish
