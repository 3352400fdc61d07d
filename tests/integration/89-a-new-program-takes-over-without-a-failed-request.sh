#!/bin/bash
# Goal: HUP makes the master go on as the program that is at its path by now, with the
# keys of now and the same pid, sockets, claim and flags, while users write; one that
# cannot start, never answers or finds a bad configuration is not let in and changes
# nothing; one with another shared table waits for the workers before it; no request fails.
. "$(dirname "$0")/lib.sh"
insert='{"stmt":{"sql":"INSERT INTO note(text) VALUES (hex(randomblob(50)))"}}'

keep_busy() {
	local written=0

	until [ -e "$stack/enough" ]; do
		post_times 40 "$1" /v1/execute "$insert"
		written=$((written + 40))
		echo "$written" >"$stack/written.$1"
	done
}

both_have_written() {
	[ -s "$stack/written.alice" ] && [ -s "$stack/written.bob" ]
}

wait_for_writes() {
	rm -f "$stack"/written.*
	wait_until 30 both_have_written
}

# install FILE: in place of the present program, whose file stays with those who run it.
install_program() {
	chmod 0755 "$1"
	mv "$1" "$HOLDFAST"
}

runs_installed() {
	[ "$(stat -Lc %i "/proc/$1/exe" 2>/dev/null)" = "$(stat -c %i "$HOLDFAST")" ]
}

all_run_installed() {
	local pid

	for pid in "$master" $(workers); do
		runs_installed "$pid" || return 1
	done
}

# Nothing that was open for the change of programs only is still open.
expect_closed() {
	local pid

	for pid in "$master" $(workers); do
		! find "/proc/$pid/fd" -lname '*holdfast-takeover*' | grep . ||
			fail "process $pid has a file of the takeover open"
	done
	[ "$(find "/proc/$master/fd" -type l | wc -l)" = "$descriptors" ] ||
		fail "the master has other descriptors: $(ls -l "/proc/$master/fd")"
}

# What is there now takes over from all; sets `before` to the workers that are gone.
expect_takeover() {
	local ready

	mapfile -t before < <(workers)
	ready=$(log_lines master.ready)
	reload_holdfast
	wait_until 60 workers_replaced "${before[@]}"
	wait_until 20 log_lines_reach $((ready + 1)) master.ready
	all_run_installed || fail "not everybody runs the new program"
	expect_closed
	wait_for_writes
}

expect_refused() {
	local refused

	mapfile -t before < <(workers)
	refused=$(log_lines master.reload_refused)
	reload_holdfast
	wait_until 20 log_lines_reach $((refused + 1)) master.reload_refused
	expect_closed
	wait_for_writes
	[ "$(workers | xargs)" = "${before[*]}" ] || fail "workers were replaced"
}

# A second master meets the claim, and the table is known to be in use.
expect_claimed() {
	! holdfast serve >"$stack/second.log" 2>&1 || fail "a second master has started"
	grep -q "node.in_use .*by_pid=$master" "$stack/second.log" || fail "$(cat "$stack/second.log")"
	holdfast status carol >"$stack/status" || [ $? = 3 ] || fail "no status"
	grep -q failed "$stack/status" || fail "status of carol: $(cat "$stack/status")"
}

start_stack
stop_holdfast
original=$HOLDFAST
HOLDFAST=$stack/holdfast
cp "$original" "$HOLDFAST"
start_holdfast
master=${holdfast_pid[here]}
descriptors=$(find "/proc/$master/fd" -type l | wc -l)
for user in alice bob carol dave; do
	execute "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
	expect_status 200
	wait_until 10 sync_clean "$user"
done
store_answers '{"action":"status","status":503,"method":"PUT","path":"carol"}'
execute carol "INSERT INTO note(text) VALUES ('not stored')"
wait_until 10 sync_failed carol
since=$(jq -r .failed_since "$BODY")
keep_busy alice &
busy=($!)
keep_busy bob &
busy+=($!)
wait_for_writes

# A new file at the old path.
cp "$original" "$stack/new"
install_program "$stack/new"
! runs_installed "$master" || fail "the test replaces nothing"
expect_takeover
expect_claimed
[ "$(log_lines master.takeover)" = 1 ] || fail "no takeover in the log"
[ "$(log_lines 'master.takeover .*table=adopted')" = 1 ] || fail "the table is new"

# Files that are no program, not ours, or say nothing; and no file.
mv "$HOLDFAST" "$stack/good"
expect_refused
head -c 5000 /dev/urandom >"$stack/new"
install_program "$stack/new"
expect_refused
printf '#!/bin/sh\nexit 2\n' >"$stack/new"
install_program "$stack/new"
expect_refused
printf '#!/bin/sh\nexec sleep 1000\n' >"$stack/new"
install_program "$stack/new"
expect_refused
install_program "$stack/good"

# A key that is none.
cp "$key_file" "$stack/key.good"
echo short >"$key_file"
expect_refused
grep -q ' trial\[.* jwt_key.refused ' "$stack/here/holdfast.log" || fail "the log does not say why"
cp "$stack/key.good" "$key_file"
expect_takeover

# One that takes the present table for something else.
sed 's/hftable[0-9]/hftable-/g' "$HOLDFAST" >"$stack/new"
! cmp -s "$stack/new" "$HOLDFAST" || fail "the table's version is not where it was"
install_program "$stack/new"
# Nobody serves before the last of the old workers is gone: it does not wait for the store.
store_rule '[{"action":"silent","method":"PUT","path":"dave"},{"action":"status","status":503,"method":"PUT","path":"carol"}]'
execute dave "INSERT INTO note(text) VALUES ('silence')"
expect_status 200
wait_until 5 store_is_busy PUT /dave/
ask_for_push dave
began=$(now_ms)
expect_takeover
[ "$(log_lines 'master.takeover .*table=fresh')" = 1 ] || fail "no fresh table"
expect_asked 503
[ $(($(now_ms) - began)) -lt 9000 ] || fail "it was waited for who waits"
expect_claimed

# Nothing of it shows afterwards.
: >"$stack/enough"
wait_all "${busy[@]}"
for user in alice bob; do
	wait_until 30 sync_clean "$user"
	expect_rows "$user" "SELECT count(*) FROM note" "$(cat "$stack/written.$user")"
	expect_restored_equals_local "$user"
done
get carol /v1/sync
expect_json .failed_since "$since"
store_answers normally
wait_until 10 sync_clean carol
expect_restored_equals_local carol

# Another key counts from the reload on.
old=$(token carol)
head -c 48 /dev/urandom | base64 >"$key_file"
rm "$stack"/tokens/*
mapfile -t before < <(workers)
reload_holdfast
wait_until 20 workers_replaced "${before[@]}"
get carol /v1/sync
expect_status 200
request - GET /v1/sync -H "Authorization: Bearer $old"
expect_status 401

# Whoever dies is replaced, and all of them go at the end.
mapfile -t before < <(workers)
kill_workers
wait_until 20 workers_replaced "${before[@]}"
all_run_installed || fail "a worker is not of the new program"
mapfile -t before < <(workers)
stop_holdfast
[ "$STATUS" = 0 ] || fail "stopped with status $STATUS"
for pid in "${before[@]}"; do
	process_ended "$pid" || fail "worker $pid is still there"
done
start_holdfast
expect_rows carol "SELECT text FROM note" 'not stored'

# One that is let in and fails takes all along; whoever starts it anew need not wait.
cat >"$stack/new" <<-'EOF'
	#!/bin/sh
	case $2 in --try-takeover=*) exit 0 ;; esac
	exit 7
EOF
install_program "$stack/new"
mapfile -t before < <(workers)
reload_holdfast
STATUS=0
wait "${holdfast_pid[here]}" || STATUS=$?
[ "$STATUS" = 7 ] || fail "ended with status $STATUS"
HOLDFAST=$original
start_holdfast
for pid in "${before[@]}"; do
	wait_until 5 process_ended "$pid"
done
expect_rows carol "SELECT text FROM note" 'not stored'
finish
