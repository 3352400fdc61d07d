#!/bin/sh
# `make deb`: a package of what `make install` has put into WORK/debian/holdfast.
#
#	deb.sh WORK VERSION FOLDER	writes FOLDER/holdfast_VERSION_ARCHITECTURE.deb
set -eu

work=$1 version=$2 folder=$3
here=$(cd "$(dirname "$0")" && pwd)
stage=$work/debian/holdfast
architecture=$(dpkg --print-architecture)

strip --strip-unneeded "$stage/usr/bin/holdfast"
install -d -m 0755 "$stage/DEBIAN"
# What dpkg-shlibdeps looks for around the program.
echo "Source: holdfast" >"$work/debian/control"
needed=$(cd "$work" && dpkg-shlibdeps -O debian/holdfast/usr/bin/holdfast |
	sed -n 's/^shlibs:Depends=//p')
[ -n "$needed" ]
install -m 0755 "$here/debian/postinst" "$here/debian/prerm" "$here/debian/postrm" "$stage/DEBIAN/"
(cd "$stage" && find etc -type f -printf '/%p\n' | sort) >"$stage/DEBIAN/conffiles"
(cd "$stage" && find usr -type f -exec md5sum {} +) >"$stage/DEBIAN/md5sums"
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@LIBRARIES@|$needed|" \
	-e "s|@SIZE@|$(du -sk "$stage/usr" "$stage/etc" | awk '{ n += $1 } END { print n }')|" \
	"$here/debian/control.in" >"$stage/DEBIAN/control"
chmod 0644 "$stage/DEBIAN/conffiles" "$stage/DEBIAN/md5sums" "$stage/DEBIAN/control"
dpkg-deb --root-owner-group -Zxz --build "$stage" "$folder/holdfast_${version}_$architecture.deb"
