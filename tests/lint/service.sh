#!/bin/bash
# The unit is one that systemd understands, and it leaves little open: an exposure below 2.0
# in the words of `systemd-analyze security`.  Needs no systemd that runs.
#
#	service.sh PROGRAM		in place of /usr/bin/holdfast
set -euo pipefail

program=$(realpath "$1")
deploy=$(realpath "$(dirname "$0")/../../deploy")
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-service.XXXXXX")
trap 'rm -rf "$work"' EXIT
unit=$work/holdfast.service
sed "s|^ExecStart=/usr/bin/holdfast |ExecStart=$program |" "$deploy/holdfast.service" >"$unit"
grep -qF "ExecStart=$program serve" "$unit"

said=$(systemd-analyze verify "$unit" 2>&1 | grep -F "$unit" || true)
[ -z "$said" ] || {
	echo "$said"
	exit 1
}
systemd-analyze security --offline=true --threshold=20 "$unit" --no-pager
help=$("$program" check --help)
# A stop must not be cut short by systemd.
stop_s=$(sed -n 's/^TimeoutStopSec=//p' "$unit")
drain_ms=$(grep -A 1 '^HOLDFAST_SHUTDOWN_MS' <<<"$help" | sed -n 's/^.default \([0-9]*\);.*/\1/p')
[ "$((stop_s * 1000))" -gt "$drain_ms" ]
# Every variable of the example is one of the program.
while read -r name; do
	grep -q "^$name$" <<<"$help" || {
		echo "holdfast.env.example: no variable $name"
		exit 1
	}
done < <(grep -oE '^#?HOLDFAST_[A-Z0-9_]+' "$deploy/holdfast.env.example" | tr -d '#')
