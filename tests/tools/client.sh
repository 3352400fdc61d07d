#!/bin/bash
# Runs one of tests/clients/*.mjs against a stack of its own, see
# tests/clients/lib/stack.mjs.  What comes out is TAP.  By hand: `make
# build/plain_sqlite` first.
script=$(realpath "$1")
. "$(dirname "$0")/../integration/lib.sh"
scenario=$(basename "$script" .mjs)

start_stack
status=0
HOLDFAST_URL=$(url) HOLDFAST_KEY_FILE=$key_file HOLDFAST_FAULTS=http://127.0.0.1:$control_port \
	PLAIN_SQLITE=$root/build/plain_sqlite SCRATCH=$stack/clients \
	"$node" --test-reporter=tap --test-force-exit "$script" || status=$?
[ "$status" = 0 ] || fail "status $status"
finish
