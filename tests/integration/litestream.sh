#!/bin/bash
# Restores a user's objects with the official Litestream reader.
#
#	litestream.sh OBJECTS OUT.db
#
# OBJECTS holds the levels as they are in the store: 0000/*.ltx, 0009/*.ltx.  It
# is done when the reader says that it has written the file up to the newest
# TXID; that a query over it answers would prove nothing.
set -euo pipefail

objects=$1 out=$2
vfs=$(cd "$(dirname "$0")/.." && pwd)/node_modules/litestream-vfs-linux-amd64/litestream-vfs.so
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-litestream.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() {
	echo "litestream: $*" >&2
	grep -h ERROR "$work/vfs.log" "$work/shell.log" 2>/dev/null | head -n 5 >&2
	cat "$work/shell.log" >&2 2>/dev/null
	exit 1
}

[ -f "$vfs" ] || fail "no reader for this machine"
newest=0
for object in "$objects"/*/*.ltx; do
	[ -f "$object" ] || fail "no objects in $objects"
	level=$(basename "$(dirname "$object")")
	name=$(basename "$object" .ltx)
	txid=$((16#${name#*-}))
	newest=$((txid > newest ? txid : newest))
	mkdir -p "$work/replica/ltx/$((16#$level))"
	cp "$object" "$work/replica/ltx/$((16#$level))/"
done

rm -f "$out" "$out.meta"
export LITESTREAM_REPLICA_URL=file://$work/replica LITESTREAM_LOG_FILE=$work/vfs.log
export LITESTREAM_LOG_LEVEL=DEBUG
export LITESTREAM_HYDRATION_ENABLED=true LITESTREAM_HYDRATION_PATH=$out

# The restore runs beside the shell, which has to stay until it is complete.
timeout 200 sqlite3 -cmd ".load $vfs" -cmd '.open file:x.db?vfs=litestream' :memory: \
	'SELECT count(*) FROM sqlite_schema;' \
	".shell for i in \$(seq 1800); do grep -qE 'hydration (complete|failed)' '$work/vfs.log' && break; sleep 0.1; done" \
	>"$work/shell.log" 2>&1 || fail "the reader failed"
[ -f "$out.meta" ] || fail "the restore did not complete"
[ "$(cat "$out.meta")" = "$newest" ] || fail "restored to TXID $(cat "$out.meta"), want $newest"
rm -f "$out.meta"
