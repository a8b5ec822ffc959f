#!/bin/sh
# Makes a root folder that holds a compiled program, what it is linked to, and nothing else.
#   make_root.sh dist/tracker FOLDER
set -eu
program=$1
root=$2
mkdir -p "$root/state" "$root/tmp" "$root/etc" "$root/proc"
chmod 1777 "$root/tmp"
cp "$program" "$root/program"
chmod 0755 "$root/program"
# The libraries, and those that names are looked up with: they are loaded when that is done first.
libraries=$(ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\).*/\1/p')
folder=$(dirname "$(echo "$libraries" | grep '/libc\.so' | head -n 1)")
for library in $libraries "$folder"/libnss_dns.so.2 "$folder"/libnss_files.so.2 "$folder"/libresolv.so.2; do
  [ -e "$library" ] || continue
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
printf 'nobody:x:65534:65534::/state:/program\n' >"$root/etc/passwd"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
