#!/usr/bin/env bash
# Makes a Debian package of a binary: build.sh BINARY OUT_FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
binary=$1
out=$2
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml")
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

install -D -m 755 "$binary" "$root/usr/bin/driftline"
strip --strip-unneeded "$root/usr/bin/driftline"
install -D -m 644 "$here/driftline.service" "$root/usr/lib/systemd/system/driftline.service"
install -D -m 644 "$repository/config/example.yaml" "$root/usr/share/doc/driftline/examples/driftline.yaml"

documentation=$root/usr/share/doc/driftline
install -d -m 755 "$documentation" "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" \
    "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
cat >"$documentation/copyright" <<EOF
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: driftline

Files: *
Copyright: the Driftline contributors
License: Apache-2.0
 On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.
EOF
date=$(date -u -R -d "@${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct 2>/dev/null || echo 0)}")
printf 'driftline (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in the source.\n\n -- Driftline <driftline@example.org>  %s\n' \
    "$version" "$date" | gzip -9n >"$documentation/changelog.gz"
"$binary" man --out "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
"$binary" completion bash >"$root/usr/share/bash-completion/completions/driftline"
"$binary" completion zsh >"$root/usr/share/zsh/vendor-completions/_driftline"
"$binary" completion fish >"$root/usr/share/fish/vendor_completions.d/driftline.fish"

# What the binary links, by the packages that hold it here.
libraries=$(ldd "$binary" | awk '$2 == "=>" {print $3}' | xargs -r -n1 readlink -f |
    while read -r library; do
        # Where /lib is a link, packages know their files by either name.
        dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "${library#/usr}" 2>/dev/null || true
    done | cut -d: -f1 | sort -u | paste -sd, | sed 's/,/, /g')
glibc=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | cut -d_ -f2)
depends=$(printf '%s' "$libraries" | sed "s/libc6/libc6 (>= $glibc)/")
install -d -m 755 "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<EOF
Package: driftline
Version: $version
Architecture: $architecture
Maintainer: Driftline <driftline@example.org>
Installed-Size: $(du -sk "$root" --exclude=DEBIAN | cut -f1)
Depends: $depends
Recommends: ca-certificates
Section: science
Priority: optional
Description: monitor of machine-learning models in production
 Driftline watches models over Kafka: exact windows and drift against a
 baseline, candidates in the shadow of live traffic, alerts, and retraining
 requests that name the exact offsets. It also compares files.
EOF
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
chmod -R g-w "$root"
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/driftline_${version}_$architecture.deb"
