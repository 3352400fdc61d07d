#!/bin/bash
# Goal: whatever dies, whenever, and however the store behaves meanwhile: nothing
# that was answered is lost, and what is in the store is what is here.
#
#	crash.sh [ROUNDS [SEED]]	as `make crash`; wants a program with -DFAULTS
#
# One installation, one store and one disk for all rounds.  In each, clients write
# (writers.mjs), the store has weather, and something dies: a process at one of
# the named points (base/fault.h), or any of them at any moment, by kill -9.  Then
# the program is started anew in good weather, or heals by itself, and when the
# users are in step, check.mjs looks at everything that was promised.  In some
# rounds another host goes on from where this one is, and the death comes while
# this one follows it, or while a conflict is resolved.
#
# Round n has the seed SEED + n - 1, which decides before it begins what is to
# happen, and is printed; when exactly it happens is up to the machine.
#
# After a failure the folder of the installation stays: record (what was
# answered), check/all (the objects), here/data (the disk), here/holdfast.log.
. "$(dirname "$0")/../integration/lib.sh"

rounds=${1:-5}
first_seed=${2:-$(date +%s)}
scripts=$(cd "$(dirname "$0")" && pwd)
round=0
seed=0
writers=0 # of this round; what they write bears the number
writers_pid=
weather_pid=
# Users of a round: those of an older age are left alone, but stay in the store.
rounds_an_age=4

mapfile -t points < <(grep -rhoE 'FAULT\("[a-z_.]+"\)' "$root/app" --include='*.c' |
	sed 's/.*("\(.*\)").*/\1/' | sort -u)

# ---- the story of a round

# roll N: 0 to N - 1, into `rolled`.  Not by a subshell, which would not move RANDOM on.
roll() {
	rolled=$(((RANDOM << 15 | RANDOM) % $1))
}

one_of() {
	roll $#
	shift "$rolled"
	chosen=$1
}

plan_weather() {
	local n

	roll 5
	weather=()
	for ((n = rolled + 3; n > 0; n--)); do
		one_of normally normally normally 503 500 lost lost late:300 late:1500 slowly:150 \
			throttled:200000 silent refused resets garbage cut half duplicate \
			stored-but-500 refuse-put
		roll 600
		weather+=("$chosen/$((rolled + 100))")
	done
}

plan_death() {
	one_of worker workers everything master
	death=$chosen
	point=
	roll 1800
	moment=$((rolled + 200)) # milliseconds
	roll 4
	how_many=$((rolled + 1))
	one_of '' :all
	along=$chosen
	roll 6
	arrival=$((rolled + 1))
	# Every second time, and in turn, so that none is left out.
	if [ $((seed % 2)) = 1 ]; then
		death=point
		point=${points[$((seed / 2 % ${#points[@]}))]}
	fi
}

plan_circumstances() {
	one_of '' '' '' '' user disk
	wiped=$chosen
	one_of '' '' '' reload
	reload=$chosen
	one_of crash drain heal
	ending=$chosen
	one_of '' '' '' '' '' '' forward remote local
	diverges=$chosen
	one_in=10
	one_of 86400 86400 86400 1
	retention=$chosen
	[ -z "$point" ] || reach_point "$point"
	# Whoever lost stays in the store for that long only.
	[ -z "$diverges" ] || retention=86400
}

# What it takes to get to a point.  One that is not here is used by no round.
reach_point() {
	case $1 in
	request.* | push.before_* | push.after_capture | push.after_put | push.after_record | \
		push.after_stored)
		diverges=
		;;
	push.armed | push.after_checkpoint | checkpoint.*)
		diverges=
		weather=(503/400 normally/2000)
		one_in=2
		arrival=1
		;;
	compact.*)
		diverges=
		weather=(normally/500)
		one_in=1
		arrival=1
		retention=1
		;;
	adopt.*)
		diverges=
		weather=(lost/700 late:200/500 lost/900)
		arrival=1
		;;
	spool.*)
		diverges=
		weather=(503/9000)
		one_in=1
		arrival=1
		;;
	create.*)
		diverges=
		arrival=1
		;;
	pull.*)
		one_of '' '' forward remote
		diverges=$chosen
		one_of user disk
		wiped=$chosen
		arrival=1
		;;
	forward.*)
		diverges=forward
		;;
	conflict.*)
		one_of remote local
		diverges=$chosen
		;;
	kept.*)
		diverges=remote
		;;
	resolve.*)
		diverges=local
		;;
	*)
		fail "no round gets to the point $1: say in reach_point what it takes"
		;;
	esac
}

plan() {
	seed=$((first_seed + round - 1))
	writers=0
	RANDOM=$((16#$(sha256sum <<<"$seed" | head -c 7)))
	plan_weather
	plan_death
	plan_circumstances
	export HOLDFAST_RETENTION_S=$retention
	users=("twin$round")
	[ -z "$diverges" ] || return 0
	age=$(((round - 1) / rounds_an_age))
	users=("alice$age" "bob$age" "new$round")
}

tell() {
	echo "round $round, seed $seed: death=$death${point:+ at $point:$arrival$along}" \
		"moment=$moment ending=$ending ${diverges:+diverges=$diverges}" \
		"weather=${weather[*]} big=1/$one_in retention=$retention" \
		"${wiped:+wiped=$wiped} $reload"
}

# ---- what happens

# In a process group of its own, which a fault point with `all` takes along.
start_holdfast() {
	local environment

	describe_environment
	rm -f "$stack/fault"
	[ -z "${fault:-}" ] || environment+=(FAULT="$fault" FAULT_ONCE="$stack/fault")
	env "${environment[@]}" setsid "$HOLDFAST" serve >>"$stack/$host/holdfast.log" 2>&1 &
	holdfast_pid[$host]=$!
	wait_until 20 answers_health
	[ -z "${fault:-}" ] || return 0
	! process_ended "${holdfast_pid[$host]}" || fail "the program does not start"
}

make_weather() {
	local piece name

	# After the command that is running: or it would make weather when all is over.
	trap 'exit 0' TERM
	for piece in "$@"; do
		name=${piece%/*}
		case $name in
		garbage) store_answers '{"action":"garbage"}' ;;
		cut) store_answers '{"action":"cut-request","method":"PUT","after":3000}' ;;
		half) store_answers '{"action":"lose-answer","how":"half-status"}' ;;
		duplicate) store_answers '{"action":"duplicate","method":"PUT"}' ;;
		stored-but-500)
			store_answers '{"action":"status-though-stored","status":500,"method":"PUT"}'
			;;
		refuse-put) store_answers '{"action":"reset-after-body","method":"PUT"}' ;;
		*:*) store_answers "${name%:*}" "${name#*:}" ;;
		*) store_answers "$name" ;;
		esac
		sleep "$(seconds "${piece#*/}")"
		store_answers normally
	done
}

seconds() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

start_writers() {
	local user who=()

	for user in "${users[@]}"; do
		who+=("$user=$(token "$user")")
	done
	writers=$((writers + 1))
	"$node" "$scripts/writers.mjs" "$(url)" "$stack/$host/record" "$seed.$writers" "$one_in" \
		"${who[@]}" &
	writers_pid=$!
}

# With the answers that are still out.
stop_writers() {
	kill -TERM "$writers_pid"
	wait "$writers_pid" || fail "the writers failed"
	writers_pid=
}

start_weather() {
	make_weather "${weather[@]}" &
	weather_pid=$!
}

stop_weather() {
	kill "$weather_pid" 2>/dev/null || true
	wait "$weather_pid" 2>/dev/null || true
	weather_pid=
	store_answers normally
}

# shellcheck disable=SC2317
died_at_point() {
	[ -e "$stack/fault" ]
}

# Something of what the writers of now have sent; a predicate
# shellcheck disable=SC2317
was_acked() {
	grep -qsF "{\"id\":\"$seed.$writers.0." <(grep -s '"acked"' "$stack/$host/record/${users[0]}")
}

# shellcheck disable=SC2317
was_acked_or_died() {
	was_acked || { [ -n "$point" ] && died_at_point; }
}

write_for() {
	start_writers
	sleep "$(seconds "$1")"
	wait_until 20 was_acked
	stop_writers
}

kill_one_of() {
	local pids=("$@")

	[ $# -gt 0 ] || return 0
	kill -KILL "${pids[$((moment % $#))]}" 2>/dev/null || true
}

kill_master() {
	local pids pid

	pids=$(workers)
	kill -KILL "${holdfast_pid[$host]}"
	wait "${holdfast_pid[$host]}" 2>/dev/null || true
	unset "holdfast_pid[$host]"
	for pid in $pids; do
		wait_until 15 process_ended "$pid"
	done
}

die() {
	local n

	sleep "$(seconds $((moment / 2)))"
	[ -z "$reload" ] || kill -HUP "${holdfast_pid[$host]}" 2>/dev/null || true
	sleep "$(seconds $((moment / 2)))"
	case $death in
	point)
		wait_until 40 died_at_point
		reached+=("$point")
		;;
	worker)
		for ((n = 0; n < how_many; n++)); do
			# shellcheck disable=SC2046
			kill_one_of $(workers)
			sleep "$(seconds $((moment / 4)))"
		done
		;;
	workers) kill_workers ;;
	master) kill_master ;;
	everything) kill_holdfast_hard ;;
	esac
}

heals_by_itself() {
	[ -n "${holdfast_pid[$host]:-}" ] && ! process_ended "${holdfast_pid[$host]}" &&
		[ "$ending" = heal ]
}

stop_gently() {
	stop_holdfast
	[ "$STATUS" = 0 ] || fail "the program ended with $STATUS"
	[ -z "$(stack_pids)" ] || fail "left over: $(stack_pids)"
}

# The one that was told to die may still be there, or its workers still be dying.
end_of_program() {
	local pid

	if [ -z "${holdfast_pid[$host]:-}" ]; then
		:
	elif process_ended "${holdfast_pid[$host]}"; then
		wait "${holdfast_pid[$host]}" 2>/dev/null || true
		unset "holdfast_pid[$host]"
	elif [ "$ending" = drain ]; then
		stop_gently
	else
		kill_holdfast_hard
	fi
	for pid in $(stack_pids); do
		wait_until 15 process_ended "$pid"
	done
}

restart() {
	local user

	! heals_by_itself || return 0
	end_of_program
	for user in "${users[@]}"; do
		check stored "$stack/$host/record" "$user" >/dev/null
	done
	fault=
	start_holdfast
}

# shellcheck disable=SC2317
all_clean() {
	local user

	for user in "${users[@]}"; do
		! sync_conflict "$user" || fail "$user has a conflict"
		sync_clean "$user" || return 1
	done
}

# Whoever was never let in, in a round of bad luck, is now.
# shellcheck disable=SC2317
all_served() {
	local user

	for user in "${users[@]}"; do
		is_served "$user" || return 1
	done
}

all_in_step() {
	wait_until 40 all_clean
	wait_until 10 all_served
	wait_until 10 all_clean
}

check() {
	local verb=$1 environment

	shift
	describe_environment
	env "${environment[@]}" HOLDFAST="$HOLDFAST" NODE_NO_WARNINGS=1 "$node" "$scripts/check.mjs" \
		"$verb" "$store_endpoint" "$stack/check" "$@" || fail "see above"
}

# check_user VERB USER [ARGUMENTS...]: a copy, so that what is looked at is not
# changed by looking.
check_user() {
	local file copy=$stack/check/local.db

	file=$(local_file "$2")
	rm -f "$copy"*
	cp "$file" "$copy"
	[ ! -e "$file-wal" ] || cp "$file-wal" "$copy-wal"
	# Not under its name: whoever opens the copy would make a new one.
	[ ! -e "$file-shm" ] || cp "$file-shm" "$copy-index"
	get "$2" /v1/sync
	check "$1" "$stack/$host/record" "$2" "$copy" "$(jq .remote_txid "$BODY")" "${@:3}"
}

check_log() {
	local log=$stack/$host/holdfast.log

	if tail -n "+$((log_lines + 1))" "$log" | grep -avE ' user=twin[0-9]+ key=' |
		grep -aE '(push\.conflict|(record|spool)\.damaged|object\.damaged) |Sanitizer|runtime error:|assertion'; then
		fail "the program has complained"
	fi
	log_lines=$(wc -l <"$log")
}

wipe_user() {
	rm -rf "$(dirname "$(local_file "$1")")"
}

# ---- rounds

# Only what is in the store may be wiped, and something has to be.
arm() {
	fault=
	if [ -n "$wiped" ]; then
		write_for 300
		all_in_step
	fi
	fault=${point:+$point:$arrival$along}
	if [ -n "$wiped" ] || [ -n "$fault" ]; then
		stop_gently
		case $wiped in
		user) wipe_user "${users[1]}" ;;
		disk) wipe_disk ;;
		esac
		start_holdfast
	fi
}

write_and_die() {
	local user

	arm
	# What was wiped comes back in bad weather, what is new is first there.
	[ -z "$wiped" ] || start_weather
	start_writers
	[ -n "$wiped" ] || {
		wait_until 20 was_acked_or_died
		start_weather
	}
	die
	stop_weather
	stop_writers
	restart
	all_in_step
	for user in "${users[@]}"; do
		check_user healed "$user"
	done
}

# Another host goes on from where this one is; so does this one, if there is to be a conflict.
diverge() {
	write_for 500
	all_in_step
	if [ "$diverges" = forward ]; then
		stop_gently
	else
		store_answers 503
		write_for 500
		kill_holdfast_hard
		store_answers normally
	fi
	on_host there
	if [ -n "${nginx_pid[there]:-}" ]; then
		start_holdfast
	else
		mkdir -p "$stack/there/record"
		start_host there
	fi
	write_for 500
	all_in_step
	get "${users[0]}" /v1/sync
	txid_there=$(jq .remote_txid "$BODY")
	stop_gently
	on_host here
}

# shellcheck disable=SC2317
conflict_or_death() {
	died_at_point || sync_conflict "${users[0]}"
}

# In step with what is there, and no conflict; a predicate that does what leads there
# shellcheck disable=SC2317
is_resolved() {
	if sync_conflict "${users[0]}"; then
		post "${users[0]}" /v1/sync/resolve "{\"keep\":\"$diverges\"}"
		return 1
	fi
	is_served "${users[0]}" && sync_clean "${users[0]}" && txid_reaches "$txid_there" "${users[0]}"
}

ask_until_dead() {
	until [ -e "$stack/dead" ] || is_resolved; do
		sleep 0.1
	done
}

diverge_and_die() {
	local kept resolving

	diverge
	arrival=1
	moment=$((moment / 8))
	wiped=
	fault=${point:+$point:$arrival$along}
	start_holdfast
	if [ "$diverges" != forward ]; then
		wait_until 20 conflict_or_death
	fi
	rm -f "$stack/dead"
	start_weather
	ask_until_dead &
	resolving=$!
	die
	touch "$stack/dead"
	stop_weather
	wait "$resolving"
	restart
	wait_until 40 is_resolved
	kept=("$(dirname "$(local_file "${users[0]}")")"/kept/*.sqlite)
	[ -e "${kept[0]}" ] || kept=()
	check_user resolved "${users[0]}" "$stack/there/record" "${kept[@]}"
}

run_round() {
	local began fault=

	began=$(now_ms)
	plan
	scenario="crash, round $round, seed $seed"
	tell
	if [ -n "$diverges" ]; then
		diverge_and_die
	else
		write_and_die
	fi
	check_log
	echo "round $round was $(($(now_ms) - began)) ms long"
}

# ---- all of them

# shellcheck disable=SC2317
say_how() {
	local pid

	[ -n "$finished" ] || {
		echo "again: make crash ROUNDS=1 SEED=$seed"
		echo "and with what came before: make crash ROUNDS=$round SEED=$first_seed"
	} >&2
	touch "$stack/dead"
	for pid in $writers_pid $weather_pid; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	clean_up
}

every_point_is_used() {
	local name

	[ ${#points[@]} -gt 0 ] || fail "the source has no fault points"
	for name in "${points[@]}"; do
		reach_point "$name"
	done
}

grep -qa 'fault\.kills' "$HOLDFAST" || fail "$HOLDFAST has no fault points: make B=build/faults"
every_point_is_used
export HOLDFAST_RETRY_MAX_MS=1000 HOLDFAST_MAX_WAL_BYTES=4MiB
start_stack
trap say_how EXIT
KEEP=${KEEP:-after a failure}
mkdir "$stack/check" "$stack/here/record"
log_lines=0
reached=()
for ((round = 1; round <= rounds; round++)); do
	run_round
done
scenario=crash
check unchanged
stop_gently
echo "$rounds rounds, seeds $first_seed to $seed; ${#reached[@]} deaths at points:" \
	"$(printf '%s\n' "${reached[@]}" | sort | uniq -c | xargs)"
[ "$KEEP" != "after a failure" ] || KEEP=
finish
