#!/bin/bash
# One fuzzer, which `make fuzzers` has built.
#
#	tests/fuzz/run.sh SECONDS NAME		NAME may be the source file, too
#
# It starts from tests/fuzz/corpus/NAME, with the words of tests/fuzz/dict/NAME if there
# are any.  What it comes upon is kept in build/corpus/NAME, or below CORPUS, for the next
# run; input that broke something in build/fuzz/NAME-crash-... and the like.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=$(basename "$2" .c)
found=${CORPUS:-build/corpus}/$name
dict=tests/fuzz/dict/$name
options=(-max_total_time="$1" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
	-artifact_prefix="build/fuzz/$name-")

[ ! -f "$dict" ] || options+=(-dict="$dict")
mkdir -p "$found"
exec "build/fuzz/$name" "${options[@]}" "$found" "tests/fuzz/corpus/$name"
