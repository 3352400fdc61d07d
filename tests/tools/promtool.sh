#!/bin/sh
# Runs Prometheus' promtool: the installed one, or that of the distribution's
# package, unpacked into build/tools.  Installing the package would start a
# server on every machine that runs the tests.
#
#	promtool.sh ARGUMENTS...
set -eu

installed=$(command -v promtool || true)
[ -z "$installed" ] || exec "$installed" "$@"

tools=$(cd "$(dirname "$0")/../.." && pwd)/build/tools
promtool=$tools/usr/bin/promtool

fetch() (
	mkdir -p "$tools"
	cd "$tools"
	rm -rf unpacked prometheus_*.deb
	apt-get -qq download prometheus 2>/dev/null || {
		if [ "$(id -u)" = 0 ]; then apt-get -qq update; else sudo apt-get -qq update; fi
		apt-get -qq download prometheus
	}
	dpkg -x prometheus_*.deb unpacked
	mkdir -p usr/bin
	mv unpacked/usr/bin/promtool "$promtool"
	rm -rf unpacked prometheus_*.deb
)

if [ ! -x "$promtool" ]; then
	exec 9>"${TMPDIR:-/tmp}/holdfast-promtool.$(id -u).lock"
	flock 9
	[ -x "$promtool" ] || fetch >&2
	exec 9>&-
fi
exec "$promtool" "$@"
