#!/bin/bash
# Goal: every worker, also after a reload and in place of one that died, runs under a filter
# of system calls and cannot gain rights; as root it still cannot read or write what is not its own;
# a store by name of host, that exists or not, is looked up from inside; and when
# /etc/resolv.conf becomes another file, the workers are replaced with no request failing.
. "$(dirname "$0")/lib.sh"
with_own_mounts
# An /etc of our own, to be changed.
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc 2>/dev/null ||
	skip "no overlay can be mounted"
start_stack

# status_of PID FIELD
status_of() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

expect_caged() {
	local pid thread

	[ "$(workers | wc -l)" = 4 ] || fail "there are $(workers | wc -l) workers"
	for pid in "${holdfast_pid[here]}" $(workers); do
		for thread in "/proc/$pid/task"/*; do
			thread=${thread##*/}
			[ "$(status_of "$pid/task/$thread" Seccomp)" = 2 ] || fail "$pid/$thread: no filter"
			[ "$(status_of "$pid/task/$thread" NoNewPrivs)" = 1 ] || fail "$pid/$thread may gain rights"
		done
	done
	# One of the master's, for whatever is executed, and one more in a worker.
	[ "$(status_of "${holdfast_pid[here]}" Seccomp_filters)" = 1 ] || fail "the master has other filters"
	for pid in $(workers); do
		[ "$(status_of "$pid" Seccomp_filters)" = 2 ] || fail "$pid has other filters"
	done
}


holdfast check >"$stack/check.out" || fail "$(cat "$stack/check.out")"
grep -q '^ok  *system calls  *filtered' "$stack/check.out" || fail "$(cat "$stack/check.out")"
grep -qE '^(ok|skipped)  *files ' "$stack/check.out" || fail "$(cat "$stack/check.out")"
execute alice "CREATE TABLE note(text)"
expect_status 200
wait_until 10 sync_clean alice
expect_caged

# By name, and by one that is none.
stop_holdfast
store_address=http://localhost:$proxy_port/cdn-cgi/local/r2/s3
start_holdfast
execute alice "INSERT INTO note VALUES ('by name')"
expect_status 200
wait_until 10 sync_clean alice
stop_holdfast
store_address=https://store.holdfast.invalid/
start_holdfast
execute alice "INSERT INTO note VALUES ('nowhere')"
expect_status 200
wait_until 10 sync_failed alice
get alice /v1/sync
expect_json .last_error connect
stop_holdfast
store_address=
start_holdfast
wait_until 10 sync_clean alice

# shellcheck disable=SC2046
set -- $(workers)
reload_holdfast
wait_until 20 workers_replaced "$@"
expect_caged

# The file that says who resolves names, replaced as those do who write it.
# shellcheck disable=SC2046
set -- $(workers)
cp /etc/resolv.conf /etc/resolv.conf.new
mv /etc/resolv.conf.new /etc/resolv.conf
until workers_replaced "$@"; do
	execute alice "SELECT count(*) FROM note"
	expect_status 200
	wait_until 20 log_lines_reach 1 master.files_replaced
done
expect_caged
execute alice "INSERT INTO note VALUES ('still here')"
expect_status 200
wait_until 10 sync_clean alice
expect_restored_equals_local alice
! grep -q ' cage.failed \|signal=31' "$stack/here/holdfast.log" || fail "the cage has killed somebody"
finish
