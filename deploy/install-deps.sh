#!/bin/sh
# Installs what is missing from the distribution (Debian 12 and later, Ubuntu
# 22.04 and later), and asks for nothing when nothing is.
#
#	install-deps.sh run	to run the program
#	install-deps.sh build	to build it, too
#	install-deps.sh test	to test it, too; the default
set -eu

run="nginx libfcgi0ldbl libsqlite3-0 libcurl4 libssl3 libyajl2 libexpat1 liblz4-1 libseccomp2 openssl curl procps"
build="gcc make dpkg-dev libc6-dev libfcgi-dev libsqlite3-dev libcurl4-openssl-dev libssl-dev
	libyajl-dev libexpat1-dev liblz4-dev libseccomp-dev"
test="libcmocka-dev systemd nodejs npm sqlite3 jq faketime clang libclang-rt-dev clang-tidy cppcheck shellcheck
	debootstrap chromium"

# Ubuntu has it as a snap only, which a server or a container may not run: there
# whoever wants the pages tested installs a browser, and without one that is skipped.
if grep -qs '^ID=ubuntu' /etc/os-release; then
	test=${test%chromium}
fi

case ${1:-test} in
run) wanted="$run" ;;
build) wanted="$run $build" ;;
test) wanted="$run $build $test" ;;
*)
	echo "usage: $0 [run|build|test]" >&2
	exit 2
	;;
esac

# Newer releases have renamed what holds a time_t.
names_of() {
	case $1 in
	libcurl4 | libssl3) echo "$1 ${1}t64" ;;
	libfcgi0ldbl) echo "$1 libfcgi0t64" ;;
	*) echo "$1" ;;
	esac
}

# Other sources have a Node that brings npm with it, and smaller builds of nginx.
installed() {
	case $1 in
	nginx | npm)
		if PATH=$PATH:/usr/sbin command -v "$1" >/dev/null; then
			return 0
		fi
		;;
	chromium)
		if command -v chromium || command -v google-chrome; then
			return 0
		fi >/dev/null
		;;
	esac
	for name in $(names_of "$1"); do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ]; then
			return 0
		fi
	done
	return 1
}

missing=
for package in $wanted; do
	installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

available() {
	for name in $(names_of "$1"); do
		if apt-cache show --no-all-versions "$name" >/dev/null 2>&1; then
			echo "$name"
			return 0
		fi
	done
	echo "this release has no package '$1'" >&2
	return 1
}

# By the name that this release has; fails where there is no list of packages yet.
choose() {
	chosen=
	for package in $missing; do
		name=$(available "$package") || return 1
		chosen="$chosen $name"
	done
}

choose 2>/dev/null || {
	as_root apt-get update -q
	choose
}

# Debian starts a service when it installs one.  Nobody asked for an nginx on port 80.
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() {
	[ -z "$made_policy" ] || as_root rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
	case "$chosen " in
	*" nginx "*)
		made_policy=1
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 0755 "$policy"
		;;
	esac
fi

echo "installing:$chosen"
# shellcheck disable=SC2086
install() {
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends $chosen
}
# A list that is too old names files that are gone.
install || {
	as_root apt-get update -q
	install
}
