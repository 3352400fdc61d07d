#!/bin/bash
# Runs one of tests/clients/*.mjs against a stack of its own.
#
# The script gets HOLDFAST_URL, HOLDFAST_TOKEN and HOLDFAST_TOKEN_OTHER (two
# users), and HOLDFAST_FAULTS, where the fault proxy takes its orders.  It is
# done when it exits with 0.
script=$(realpath "$1")
. "$(dirname "$0")/../integration/lib.sh"
scenario=$(basename "$script" .mjs)

start_stack
status=0
HOLDFAST_URL=$(url) HOLDFAST_TOKEN=$(token alice) HOLDFAST_TOKEN_OTHER=$(token bob) \
	HOLDFAST_FAULTS=http://127.0.0.1:${control_port:-} "$node" "$script" || status=$?
[ "$status" = 0 ] || fail "status $status"
finish
