#!/bin/bash
# Goal: the package installs in a clean Debian with what it depends on; not configured, it
# says so in one line; with one name edited nginx serves its site; an upgrade while users
# write fails no request and loses no setting; a removal keeps configuration and databases,
# a purge the databases.  There is no systemd that runs: what it would do is done here, by
# the lines of the unit.
. "$(dirname "$0")/lib.sh"

# ---- a clean Debian, made once, and the two packages

# Sets `codename`, `mirror` and `components`: the release that runs here, and where apt has
# its packages from.
find_release() {
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	read -r mirror components < <(apt-get indextargets --format \
		'$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
		awk -v release="$codename" '$2 == release { all[$1] = all[$1] "," $3 }
			END { for (uri in all) if (all[uri] ~ /,main(,|$)/) print uri, substr(all[uri], 2) }') ||
		skip "apt has no source of ${codename:-this release}"
}

# make_image WORK IMAGE PACKAGE: packages that the package needs are there, but not
# installed; in memory, or every file of them would be synced.
make_image() {
	mount -t tmpfs none "$1"
	find_release
	debootstrap --variant=minbase --components="$components" "$codename" "$1/root" "$mirror" \
		>"$1/log" 2>&1 ||
		{ tail -n 20 "$1/log" >&2; fail "debootstrap fails"; }
	cp "$3" "$1/root/tmp/holdfast.deb"
	chroot "$1/root" apt-get -q -y --no-install-recommends --download-only install \
		/tmp/holdfast.deb >>"$1/log" 2>&1 ||
		{ tail -n 20 "$1/log" >&2; fail "apt does not find what the package needs"; }
	rm "$1/root/tmp/holdfast.deb"
	tar -C "$1/root" -cf "$2.new" .
	mv "$2.new" "$2"
}

# next_version TREE: what a release is: one line, and `make deb`.  With a standard setting
# that is another one, too.
next_version() {
	mkdir -p "$1/build"
	cp -a "$root/Makefile" "$root/README.md" "$root/app" "$root/deploy" "$root/nginx" "$1"
	cp -a "$root/build/obj" "$root/build/lib" "$1/build"
	sed -i 's/^\(.define HOLDFAST_VERSION\) .*/\1 "99.0"/' "$1/app/base/version.h"
	echo '#HOLDFAST_SOCKETS=2' >>"$1/deploy/holdfast.env.example"
	make -s -C "$1" deb
}

namespaces=(unshare --mount --pid --fork --kill-child --mount-proc)
case ${1:-} in
'')
	[ "$(id -u)" = 0 ] || skip "only root can make a clean Debian"
	command -v debootstrap dpkg-shlibdeps >/dev/null || skip "no debootstrap, or no dpkg-dev"
	"${namespaces[@]}" --net true 2>/dev/null || skip "namespaces are not allowed"
	find_release
	make -s -C "$root" deb
	package=$(echo "$root"/build/holdfast_*.deb)
	image=$root/build/debian-$codename-$(dpkg-deb -f "$package" Depends | md5sum | head -c 8).tar
	work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 143' TERM
	if [ ! -s "$image" ]; then
		rm -f "$root"/build/debian-*.tar*
		"${namespaces[@]}" bash "$0" make-image "$work" "$image" "$package"
	fi
	"${namespaces[@]}" --net bash "$0" inside "$work" "$image" "$package"
	exit
	;;
make-image)
	make_image "${@:2}"
	exit
	;;
esac

# ---- inside: mounts, processes and ports of our own, which go when this script does

stack=$2
debian=$stack/debian
trap clean_up EXIT
trap 'exit 143' TERM
ip link set lo up
mount -t tmpfs none "$stack"
mkdir "$stack/http" "$stack/tokens" "$stack/here" "$debian"
tar -C "$debian" -xf "$3"
mount -t proc proc "$debian/proc"
cp "$4" "$debian/tmp/first.deb"

in_debian() {
	chroot "$debian" env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
}

# apt VERB PACKAGE: offline, and without a question.
apt() {
	in_debian apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confold "$@" >"$stack/here/apt.log" 2>&1 </dev/null ||
		{ tail -n 30 "$stack/here/apt.log" >&2; fail "apt-get $* fails"; }
}

expect_said() {
	grep -qF -- "$1" "$stack/here/apt.log" || fail "the package does not say '$1'"
}

# expect_file MODE OWNER PATH...
expect_file() {
	local path

	for path in "${@:3}"; do
		[ "$(in_debian stat -c '%a %U:%G' "$path")" = "$1 $2" ] ||
			fail "want $1 $2: $(in_debian ls -ld "$path")"
	done
}

# ---- what systemd would do

unit=$debian/usr/lib/systemd/system/holdfast.service

# lines_of KEY: of the unit.
lines_of() {
	sed -n "s/^$1=//p" "$unit"
}

# Sets holdfast_pid: with the user, the folders, the secrets and the environment of the unit.
start_service() {
	local name=holdfast credentials=/run/credentials/holdfast.service id path environment

	in_debian install -d -o $name -g $name -m "$(lines_of RuntimeDirectoryMode)" /run/$name
	in_debian install -d -o $name -g $name -m 0700 $credentials
	while IFS=: read -r id path; do
		in_debian install -o $name -g $name -m 0400 "$path" "$credentials/$id"
	done < <(lines_of LoadCredential)
	mapfile -t environment < <(lines_of Environment | sed "s|%d|$credentials|"
		grep '^[A-Z]' "$debian/etc/holdfast/holdfast.env")
	(
		umask "$(lines_of UMask)"
		# shellcheck disable=SC2046
		exec chroot --userspec="$(lines_of User):$(lines_of Group)" "$debian" \
			env -i "${environment[@]}" $(lines_of ExecStart)
	) >>"$stack/here/holdfast.log" 2>&1 &
	holdfast_pid[here]=$!
}

# What maintainer scripts ask of a systemd that runs; the scenario reads what they asked.
pretend_systemd() {
	mkdir -p "$debian/run/systemd/system"
	echo "${holdfast_pid[here]}" >"$debian/run/master.pid"
	cat >"$debian/usr/bin/systemctl" <<-END
		#!/bin/sh
		echo "\$*" >>/run/systemctl.log
		MAINPID=\$(cat /run/master.pid)
		case "\$*" in
		*is-active*) kill -0 "\$MAINPID" ;;
		show*MainPID*) echo "\$MAINPID" ;;
		'reload holdfast.service') $(lines_of ExecReload) ;;
		'stop holdfast.service')
			kill -TERM "\$MAINPID"
			while kill -0 "\$MAINPID" 2>/dev/null; do sleep 0.05; done
			;;
		esac
	END
	chmod 0755 "$debian/usr/bin/systemctl"
	rm "$debian/usr/sbin/policy-rc.d"
}

expect_asked_of_systemd() {
	grep -qx -- "$1" "$debian/run/systemctl.log" || fail "systemd was not asked to $1"
}

# ---- requests, by the name that was edited

site=notes.example.org
echo "resolve = $site:80:127.0.0.1" >"$stack/.curlrc"
export CURL_HOME=$stack
htpasswd=
url() {
	echo "http://$site"
}

keep_writing() {
	local written=0

	until [ -e "$stack/enough" ]; do
		post_times 20 alice /v1/execute '{"stmt":{"sql":"INSERT INTO note VALUES (1)"}}'
		written=$((written + 20))
		echo "$written" >"$stack/written"
	done
}

wait_for_writes() {
	rm -f "$stack/written"
	wait_until 30 test -s "$stack/written"
}

runs_installed() {
	[ "$(stat -Lc %i "/proc/$1/exe" 2>/dev/null)" = "$(stat -c %i "$debian/usr/bin/holdfast")" ]
}

all_run_installed() {
	local pid

	for pid in "${holdfast_pid[here]}" $(workers); do
		runs_installed "$pid" || return 1
	done
}

# ---- installed, in a Debian that has nothing of it

printf '#!/bin/sh\nexit 101\n' >"$debian/usr/sbin/policy-rc.d"
chmod 0755 "$debian/usr/sbin/policy-rc.d"
apt install /tmp/first.deb
expect_said "holdfastctl check --store && systemctl enable --now holdfast"
in_debian dpkg --verify holdfast | grep . && fail "files are not those of the package"
[ "$(in_debian holdfast --version)" = "holdfast $(dpkg-deb -f "$4" Version)" ] ||
	fail "the program is of another version than its package"
expect_file 755 root:root /usr/bin/holdfast /usr/sbin/holdfastctl /etc/holdfast
expect_file 640 root:root /etc/holdfast/holdfast.env
expect_file 600 root:root /etc/holdfast/{jwt-key,s3-access-key,s3-secret-key}
expect_file 700 holdfast:holdfast /var/lib/holdfast
expect_file 644 root:root /etc/nginx/sites-available/holdfast \
	/usr/share/holdfast/{web/index.html,web/holdfast.js,nginx/holdfast.conf}
diff -r "$root/app/web" "$debian/usr/share/holdfast/web" || fail "the pages are other ones"
[ ! -e "$debian/etc/nginx/sites-enabled/holdfast" ] || fail "the site is enabled"
in_debian id -nG www-data | grep -qw holdfast || fail "nginx's user is not in the group"
[ "$(in_debian getent passwd holdfast | cut -d : -f 6-)" = /var/lib/holdfast:/usr/sbin/nologin ] ||
	fail "the user is another one"
in_debian systemd-analyze verify /usr/lib/systemd/system/holdfast.service >"$stack/here/verify" 2>&1 ||
	fail "the unit: $(cat "$stack/here/verify")"
in_debian systemd-analyze security --offline=true --threshold=20 --no-pager holdfast.service \
	>"$stack/here/security" 2>&1 || fail "the unit: $(tail -n 3 "$stack/here/security")"

# ---- not configured; half configured for a bucket; configured for a folder

# expect_no_start WORD...: one line, with these words
expect_no_start() {
	local word status=0

	: >"$stack/here/holdfast.log"
	start_service
	wait "${holdfast_pid[here]}" || status=$?
	unset "holdfast_pid[here]"
	[ "$status" = "$(lines_of RestartPreventExitStatus)" ] || fail "systemd would try again: $status"
	[ "$(wc -l <"$stack/here/holdfast.log")" = 1 ] || fail "that is not one line"
	for word; do
		grep -qF "$word" "$stack/here/holdfast.log" || fail "the line says nothing of $word"
	done
}

env_file=$debian/etc/holdfast/holdfast.env
expect_no_start HOLDFAST_STORE "is required"
sed -i -e 's/^#\(HOLDFAST_STORE\|HOLDFAST_S3_ENDPOINT\)/\1/' -e s/BUCKET/notes/ "$env_file"
expect_no_start s3-access-key "is empty"
echo key >"$debian/etc/holdfast/s3-access-key"
expect_no_start s3-secret-key "is empty"
echo secret >"$debian/etc/holdfast/s3-secret-key"
in_debian holdfastctl check >"$stack/here/check" || fail "check: $(cat "$stack/here/check")"
grep -q '^ok .*s3://notes/PREFIX' "$stack/here/check" || fail "check: $(cat "$stack/here/check")"
sed -i 's|^HOLDFAST_STORE=.*|HOLDFAST_STORE=file:/var/lib/holdfast/store|' "$env_file"
start_service

sed -i "s/db\.example\.com/$site/" "$debian/etc/nginx/sites-available/holdfast"
ln -s ../sites-available/holdfast "$debian/etc/nginx/sites-enabled/holdfast"
in_debian nginx -t 2>"$stack/here/nginx-error.log" || fail "nginx refuses the site"
in_debian nginx
nginx_pid[here]=$(cat "$debian/run/nginx.pid")
wait_until 20 answers_health
process_ended "${holdfast_pid[here]}" && fail "the program does not start"
in_debian holdfastctl token alice >"$stack/tokens/alice"
execute alice "CREATE TABLE note(n)"
expect_status 200
get - /
expect_status 200
expect_header Content-Type "text/html; charset=utf-8"
ls "$debian"/run/holdfastctl.* 2>/dev/null && fail "copies of secrets stay behind"

# ---- elsewhere, and what is edited there stays, too

# expect_elsewhere LINE FILE
expect_elsewhere() {
	grep -q "^[[:space:]]*$1$" "$stack/elsewhere/$2" || fail "$2 has no line '$1'"
}

make -s -C "$root" install DESTDIR="$stack/elsewhere" PREFIX=/opt/holdfast
expect_elsewhere "ExecStart=/opt/holdfast/bin/holdfast serve" \
	opt/holdfast/lib/systemd/system/holdfast.service
expect_elsewhere "root /opt/holdfast/share/holdfast;" etc/nginx/sites-available/holdfast
echo edited >"$stack/elsewhere/etc/holdfast/holdfast.env"
make -s -C "$root" install DESTDIR="$stack/elsewhere" PREFIX=/opt/holdfast
expect_elsewhere edited etc/holdfast/holdfast.env

# ---- an upgrade, while she writes

next_version "$stack/next"
cp "$stack"/next/build/holdfast_*.deb "$debian/tmp/next.deb"
cp "$debian"/etc/holdfast/jwt-key "$stack/key-before"
cp "$env_file" "$stack/env-before"
pretend_systemd
runs_installed "${holdfast_pid[here]}" || fail "it is not the installed program that runs"
keep_writing &
writer=$!
wait_for_writes
apt install /tmp/next.deb
expect_asked_of_systemd "reload holdfast.service"
wait_until 20 all_run_installed
wait_for_writes
touch "$stack/enough"
wait_all "$writer"
[ "$(in_debian holdfast version)" = "holdfast 99.0" ] || fail "the next version is not installed"
runs_installed "${holdfast_pid[here]}" || fail "the program before the upgrade still runs"
cmp "$stack/env-before" "$env_file"
cmp "$stack/key-before" "$debian/etc/holdfast/jwt-key"
written=$(query alice "SELECT count(*) FROM note")

# ---- removed, and then purged

kept() {
	local database=("$debian"/var/lib/holdfast/users/*/alice/db.sqlite)

	[ "$(sqlite3 "${database[0]}" "SELECT count(*) FROM note")" = "$written" ]
}

apt remove holdfast
expect_asked_of_systemd "stop holdfast.service"
wait "${holdfast_pid[here]}" || fail "the program ended with status $?"
unset "holdfast_pid[here]"
expect_said "The databases stay in /var/lib/holdfast."
[ ! -e "$debian/usr/bin/holdfast" ] || fail "the program is still there"
[ "$written" -ge 40 ] || fail "she has written $written times"
kept || fail "a removal has taken what was written"
cmp "$stack/env-before" "$env_file"
expect_file 600 root:root /etc/holdfast/{jwt-key,s3-access-key,s3-secret-key}
in_debian nginx -t 2>"$stack/here/nginx-error.log" || fail "nginx does not start any more"

apt purge holdfast
kept || fail "a purge has taken what was written"
[ ! -e "$debian/etc/holdfast" ] || fail "it stays: $(ls -A "$debian/etc/holdfast")"
in_debian nginx -t 2>"$stack/here/nginx-error.log" || fail "nginx does not start any more"
finish
