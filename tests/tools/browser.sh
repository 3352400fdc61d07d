#!/bin/bash
# Runs one of tests/browser/*.mjs against a stack of its own, with a second host on the
# same store, see tests/browser/lib/browser.mjs.  What comes out is TAP.  Without a
# Chromium it is skipped.
script=$(realpath "$1")
. "$(dirname "$0")/../integration/lib.sh"
scenario=$(basename "$script" .mjs)

# A stub that only says how to get the browser does not answer to --version.
find_chromium() {
	local name

	for name in chromium google-chrome google-chrome-stable chromium-browser; do
		if command -v "$name" && timeout 20 "$name" --version >/dev/null 2>&1 </dev/null; then
			return 0
		fi
	done
	return 1
}

chromium=$(find_chromium | tail -n 1) || skip "there is no Chromium"
start_stack
start_host there
other_url=$(url)
on_host here
mkdir -p "$stack/browser"
status=0
CHROMIUM=$chromium SCRATCH=$stack/browser TMPDIR=$stack/browser \
	HOLDFAST_URL=$(url) HOLDFAST_OTHER_URL=$other_url HOLDFAST_KEY_FILE=$key_file \
	HOLDFAST_FAULTS=http://127.0.0.1:$control_port \
	"$node" --test-reporter=tap --test-force-exit "$script" || status=$?
[ "$status" = 0 ] || fail "status $status"
finish
