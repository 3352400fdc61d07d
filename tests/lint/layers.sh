#!/bin/bash
# The rules about source that no compiler knows: who may include what, and what
# nobody may call.  Prints one line per violation.
set -euo pipefail
cd "$(dirname "$0")/../.."

mapfile -t sources < <(find app -name '*.[ch]' | sort)
bad=0
complain() {
	echo "$1"
	bad=1
}

# main and cmd_* stand above everything; below, a folder sees itself and:
sees() {
	case $1 in
	base) echo "base" ;;
	state | ltx | store | db) echo "$1 base" ;;
	sync) echo "sync state ltx store db base" ;;
	http) echo "http sync state ltx store db base" ;;
	proc) echo "proc http sync state ltx store db base" ;;
	*) return 1 ;;
	esac
}

# file:line:"path" or <path> of every include
includes() {
	grep -nHE '^[[:space:]]*#[[:space:]]*include' "$@" /dev/null |
		sed -E 's/^([^:]*:[0-9]+):[^"<]*(["<][^">]*[">]).*/\1 \2/'
}

check_direction() {
	local file layer target

	while read -r file target; do
		layer=${file#app/}
		layer=${layer%%/*}
		case $target in
		'"'*/*'"')
			target=${target#\"}
			target=${target%%/*}
			[[ " $(sees "$layer") " == *" $target "* ]] ||
				complain "$file: $layer must not include from $target"
			;;
		'"'*) complain "$file: $target has no folder; includes are written from app/" ;;
		esac
	done < <(includes app/*/*.[ch])
}

# include_only_in HEADER_REGEX FILE_REGEX: each third-party header has one home.
include_only_in() {
	local file target

	while read -r file target; do
		[[ $target =~ $1 ]] || continue
		[[ $file =~ $2 ]] || complain "$file: $target belongs to $2"
	done < <(includes "${sources[@]}")
}

# What is wrong with each: no bound, a hidden buffer, a shell, or the stack.
banned='sprintf|vsprintf|strcpy|stpcpy|strcat|strncpy|strncat|gets|strtok|atoi|atol|atoll
	|system|popen|alloca|strdupa|tmpnam|tempnam|mktemp|rand|srand|random
	|asctime|ctime|gmtime|localtime|setjmp|longjmp|vfork'

# Without comments and string literals.
code() {
	gcc -fpreprocessed -dD -E -x c "$1" 2>/dev/null | sed -E 's/"([^"\\]|\\.)*"/""/g'
}

check_banned() {
	local file call pattern

	pattern="(^|[^A-Za-z0-9_.>])($(tr -d ' \t\n' <<<"$banned"))[[:space:]]*\\("
	for file in "${sources[@]}"; do
		while read -r call; do
			complain "$file: must not call: $call"
		done < <(code "$file" | grep -oE "$pattern" | tr -d ' (' || true)
	done
}

check_direction
include_only_in '^<sqlite3' '^app/db/'
include_only_in '^<curl/' '^app/store/(endpoint|transfer)\.c:'
include_only_in '^<fcgi' '^app/http/fcgi\.[ch]:|^app/http/server\.c:'
include_only_in '^<yajl/' '^app/base/json_'
include_only_in '^<expat' '^app/store/xml\.c:'
include_only_in '^<lz4' '^app/ltx/'
include_only_in '^<seccomp' '^app/proc/cage_calls\.c:'
check_banned
exit "$bad"
