#!/bin/sh
# Writes DIR/nginx.conf and DIR/holdfast.conf: the site as it is deployed, on
# 127.0.0.1:PORT, its metrics on PORT + 10000, with its sockets in SOCKETS and the
# pages of app/web.  Run it with `nginx -c DIR/nginx.conf`.
#
#	site.sh DIR PORT SOCKETS [HTPASSWD]	with HTPASSWD nginx names the user
set -eu

dir=$1 port=$2 sockets=$3 htpasswd=${4:-}
here=$(dirname "$0")
app=$(cd "$here/../app" && pwd)

sed -e "s|@DIR@|$dir|" "$here/nginx.conf.in" >"$dir/nginx.conf"
if [ "$(id -u)" = 0 ]; then
	# Or its workers, as another user, could not reach the sockets.
	echo "user $(id -un) $(id -gn);" >>"$dir/nginx.conf"
fi

set -- -e "s|listen 80;|listen 127.0.0.1:$port;|" \
	-e "s|listen 127.0.0.1:9464;|listen 127.0.0.1:$((port + 10000));|" \
	-e "s|unix:/run/holdfast/|unix:$sockets/|" \
	-e "s|root /usr/share/holdfast;|root $app;|"
if [ -n "$htpasswd" ]; then
	# shellcheck disable=SC2016
	set -- "$@" -e "s|#auth_basic|auth_basic|" -e "s|/etc/holdfast/htpasswd|$htpasswd|" \
		-e 's|#\(fastcgi_param\)|\1|' -e 's|hash [^ ]*|hash $remote_user|' \
		-e 's|^limit_conn_zone [^ ]*|limit_conn_zone $remote_user|'
fi
sed "$@" "$here/holdfast.conf" >"$dir/holdfast.conf"
