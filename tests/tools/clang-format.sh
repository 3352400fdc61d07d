#!/bin/sh
# clang-format of one version, for two never agree.  Its npm package has the
# binary for x86-64 Linux; elsewhere the distribution's has to do.
set -eu
binary=$(dirname "$0")/../node_modules/clang-format/bin/linux_x64/clang-format
if [ "$(uname -m)" != x86_64 ]; then
	binary=clang-format
elif [ ! -x "$binary" ]; then
	"$(dirname "$0")/setup.sh"
fi
exec "$binary" "$@"
