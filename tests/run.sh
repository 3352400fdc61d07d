#!/bin/bash
# `make test`: everything that can be checked on this machine.
#
#	tests/run.sh [STAGE...]	all of them, or only these (build goes first)
#
# Prints `ok`, `not ok` or `skip` for each test, how long each stage took, and as
# the last line `N passed, M failed`; before it, how many were skipped, if any.
set -euo pipefail
cd "$(dirname "$0")/.."

all_stages=(format layers shell cppcheck clang-tidy analyzer hardened service units fuzz proxy tsan
	integration clients browser crash soak)
node=tests/node_modules/.bin/node
cores=$(nproc)
passed=0
failed=0
skipped=0
tsan_units=(base/tasks state/table http/server store/dir store/s3)
logs=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-test.XXXXXX")
running=()

# shellcheck disable=SC2317
end() {
	trap - EXIT
	[ ${#running[@]} = 0 ] || kill -TERM "${running[@]}" 2>/dev/null || true
	wait || true
	rm -rf "$logs"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pass() {
	passed=$((passed + 1))
	echo "ok $1"
}

# What a scenario complains of comes first, the logs of all that it ran last.
shorten() {
	{
		head -n 20 "$1"
		tail -n +21 "$1" | tail -n 80
	} | cut -c 1-500 | sed 's/^/	/'
}

# miss NAME [LOG]
miss() {
	failed=$((failed + 1))
	echo "not ok $1"
	if [ -n "${2:-}" ]; then
		shorten "$2"
	fi
}

# check NAME COMMAND...: one test, whose output matters only if it fails.
check() {
	local name=$1 log=$logs/check.log

	shift
	if "$@" >"$log" 2>&1 </dev/null; then
		pass "$name"
	else
		miss "$name" "$log"
	fi
}

# count_tap NAME STATUS LOG: a line of TAP each.  A program that ended badly, or
# ran another number of tests than it announced, is a failure of its own.
count_tap() {
	local name=$1 status=$2 log=$3 line good=0 bad=0 planned

	while read -r line; do
		case $line in
		'ok '*)
			good=$((good + 1))
			pass "$name: ${line#ok * - }"
			;;
		'not ok '*)
			bad=$((bad + 1))
			miss "$name: ${line#not ok * - }"
			;;
		esac
	done < <(grep -aE '^(not )?ok [0-9]+ - ' "$log")
	planned=$(grep -aE '^1\.\.[0-9]+' "$log" | head -n 1 | sed 's/^1\.\.\([0-9]*\).*/\1/')
	if [ $((good + bad)) != "${planned:-none}" ] || [ "$planned" = 0 ]; then
		miss "$name: $((good + bad)) of ${planned:-unknown} tests came to an end, status $status" "$log"
	elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
		miss "$name: status $status after its last test" "$log"
	elif [ "$bad" != 0 ]; then
		tail -n 60 "$log" | cut -c 1-500 | sed 's/^/	/'
	fi
}

# ---- stages

c_files() {
	find app tests -name node_modules -prune -o -name '*.[ch]' -print | sort
}

stage_format() {
	local files

	mapfile -t files < <(c_files)
	check "C is formatted" tests/tools/clang-format.sh --dry-run -Werror "${files[@]}"
}

stage_layers() {
	check "layers and banned functions" tests/lint/layers.sh
}

stage_shell() {
	local sources

	mapfile -t sources < <(printf '%s\n' deploy/*.sh deploy/holdfastctl \
		deploy/debian/p* nginx/*.sh tests/*.sh tests/*/*.sh .ci/run |
		grep -v '^tests/integration/[0-9]')
	check "shell scripts" shellcheck -x -P SCRIPTDIR "${sources[@]}"
	# Without the library, or each would take a second: what is defined there and
	# what is called from there is unknown.
	check "scenarios" shellcheck -e SC1091,SC2034,SC2154,SC2317 tests/integration/[0-9]*.sh
	check "no registry in the lock file" \
		sh -c '! grep -n "\"resolved\"" tests/package-lock.json'
}

stage_cppcheck() {
	check "cppcheck" cppcheck -q --enable=warning,performance,portability --inline-suppr \
		--suppress=normalCheckLevelMaxBranches \
		--error-exitcode=1 --std=c11 -D_GNU_SOURCE -Iapp app
}

# shellcheck disable=SC2016
stage_clang-tidy() {
	check "clang-tidy" sh -c 'find app -name "*.c" | sort | xargs -P "$1" -n 4 sh -c '\''
		for file; do
			clang-tidy --quiet "$file" -- -std=c11 -D_GNU_SOURCE -Iapp 2>/dev/null || bad=1
		done
		exit ${bad:-0}'\'' tidy' tidy "$cores"
}

# A finding is an error: the analyzer warns, and warnings are errors.  It looks at a
# function at a time and at those it calls in the same file.
stage_analyzer() {
	check "gcc -fanalyzer" make -s -k -j "$cores" CC=gcc B=build/analyzer CFLAGS=-fanalyzer objects
}

stage_hardened() {
	check "the program is hardened" tests/lint/hardened.sh build/holdfast
}

stage_service() {
	if command -v systemd-analyze >/dev/null; then
		check "the unit leaves little open" tests/lint/service.sh build/holdfast
	else
		skipped=$((skipped + 1))
		echo "skip the unit leaves little open: no systemd-analyze"
	fi
}

stage_units() {
	local programs

	if ! make -s -j "$cores" B=build/asan unit-programs >"$logs/build.log" 2>&1; then
		miss "units build" "$logs/build.log"
		return
	fi
	mapfile -t programs < <(find tests/unit/*/ -name '*.c' | sort |
		sed 's|^tests/\(.*\)\.c$|build/asan/\1|')
	CMOCKA_MESSAGE_OUTPUT=TAP at_a_time 2 count_tap -- "${programs[@]}"
}

# count_one NAME STATUS LOG: a program that is one test.
count_one() {
	if [ "$2" = 0 ]; then
		pass "$1"
	elif [ "$2" = 77 ]; then
		skipped=$((skipped + 1))
		grep '^skip ' "$3" || echo "skip $1"
	else
		miss "$1 (status $2)" "$3"
	fi
}

stage_proxy() {
	local status=0

	timeout -k 5 120 "$node" --test --test-reporter=tap tests/tools/fault-proxy.test.mjs \
		>"$logs/proxy.log" 2>&1 </dev/null || status=$?
	count_tap "fault proxy" "$status" "$logs/proxy.log"
}

reap() {
	local pid status=0 i name

	wait -n -p pid "${running[@]}" || status=$?
	for i in "${!running[@]}"; do
		[ "${running[$i]}" != "$pid" ] || unset "running[$i]"
	done
	name=${name_of[$pid]}
	"$judge" "$name" "$status" "$logs/${name//\//-}.log"
}

# at_a_time N JUDGE COMMAND... -- FILE...: the command with each file, N beside each
# other; JUDGE NAME STATUS LOG says what came of it.
at_a_time() {
	local lanes=$1 judge=$2 command=() file name
	local -A name_of

	shift 2
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	for file; do
		[ -f "$file" ] || continue
		[ ${#running[@]} -lt "$lanes" ] || reap
		name=${file%.*}
		name=${name#tests/*/}
		name=${name#build/asan/unit/}
		timeout -k 20 300 "${command[@]}" "$file" >"$logs/${name//\//-}.log" 2>&1 </dev/null &
		running+=($!)
		name_of[$!]=$name
	done
	while [ ${#running[@]} -gt 0 ]; do
		reap
	done
}

# What has threads: the push thread, and workers that share the table.
stage_tsan() {
	local name

	if ! make -s -j "$cores" B=build/tsan build/tsan/holdfast "${tsan_units[@]/#/build/tsan/unit/}" \
		>"$logs/build.log" 2>&1; then
		miss "thread sanitizer: build" "$logs/build.log"
		return
	fi
	for name in "${tsan_units[@]}"; do
		check "thread sanitizer: $name" timeout -k 5 120 "build/tsan/unit/$name"
	done
	HOLDFAST=build/tsan/holdfast at_a_time 2 count_one bash -- \
		tests/integration/{32,59}-*.sh
}

# What earlier runs have found is left aside: reading it takes longer than this.
stage_fuzz() {
	if ! make -s -j "$cores" fuzzers >"$logs/build.log" 2>&1; then
		miss "fuzzers build" "$logs/build.log"
		return
	fi
	at_a_time 2 count_one env CORPUS="$logs/corpus" tests/fuzz/run.sh 2 -- tests/fuzz/*.c
}

stage_integration() {
	local first=(tests/integration/{196,52,63,108}-*.sh) rest

	mapfile -t rest < <(printf '%s\n' tests/integration/[0-9]*.sh |
		grep -vxF "$(printf '%s\n' "${first[@]}")")
	# They wait more than they work.  The longest begin, or one of them would end alone;
	# and the disk is theirs before others measure time.
	at_a_time 3 count_one bash -- "${first[@]}" "${rest[@]}"
}

# What a seed led to is worth a line.
count_client() {
	count_tap "$@"
	grep -a '^# SEED=' "$3" || true
}

stage_clients() {
	if ! make -s build/plain_sqlite >"$logs/build.log" 2>&1; then
		miss "clients build" "$logs/build.log"
		return
	fi
	at_a_time 2 count_client tests/tools/client.sh -- tests/clients/*.mjs
}

# A browser is not everywhere.
count_browser() {
	if [ "$2" = 77 ]; then
		count_one "$@"
	else
		count_tap "$@"
	fi
}

stage_browser() {
	at_a_time 2 count_tap "$node" --test-reporter=tap -- tests/browser/unit/*.mjs
	at_a_time 2 count_browser tests/tools/browser.sh -- tests/browser/*.mjs
}

# Seeds that take little time and lead to many a place.  `make crash` has others.
stage_crash() {
	check "three rounds of crashes" timeout -k 20 300 make -s crash ROUNDS=3 SEED=34
}

# Long enough for each kind of traffic, not for a judgement on the memory: that is `make soak`.
stage_soak() {
	if ! make -s -j "$cores" B=build/asan build/asan/holdfast >"$logs/build.log" 2>&1; then
		miss "soak: build" "$logs/build.log"
		return
	fi
	HOLDFAST=build/asan/holdfast check "five seconds of good and bad traffic" \
		timeout -k 20 120 tests/soak/soak.sh 5
}

# ---- all of it

run_stage() {
	local began=$EPOCHREALTIME

	echo "== $1"
	"stage_$1"
	awk -v name="$1" -v a="${began/,/.}" -v b="${EPOCHREALTIME/,/.}" \
		'BEGIN { printf "== %s took %.1f s\n", name, b - a }'
}

stage_build() {
	check "tools are there" tests/tools/setup.sh
	check "it builds" make -s -j "$cores"
}

stages=("$@")
[ $# -gt 0 ] || stages=("${all_stages[@]}")
for stage in build "${stages[@]}"; do
	declare -F "stage_$stage" >/dev/null || {
		echo "no stage $stage; there are: ${all_stages[*]}" >&2
		exit 2
	}
	run_stage "$stage"
done

[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
