#!/bin/sh
# Installs the server programs that the tests start privately, where they are missing and we may.
# Never skips in silence: without them it says what to install and fails.
set -eu

root="${DOVETAIL_TEST_ROOT:-}" # a test of this script looks in an empty place

# Given servers (tests/servers.py) need no programs.
missing=""
if [ -z "${DOVETAIL_TEST_POSTGRES:-}" ] && ! command -v initdb >/dev/null 2>&1 &&
   ! ls "$root"/usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  missing="postgresql"
fi
PATH="$PATH:$root/usr/sbin:$root/usr/local/sbin"
if [ -z "${DOVETAIL_TEST_MYSQL:-}" ] && ! command -v mariadbd >/dev/null 2>&1 &&
   ! command -v mysqld >/dev/null 2>&1; then
  missing="$missing mariadb-server"
fi
[ -n "$missing" ] || exit 0

install="apt-get install --yes --no-install-recommends $missing"
give_up() {
  echo "The tests need these Debian packages, and $1:$missing" | sed 's/: */: /' >&2
  echo "    sudo $install" >&2
  echo "or set DOVETAIL_TEST_POSTGRES and DOVETAIL_TEST_MYSQL to the URLs of servers" >&2
  echo "with administrator rights." >&2
  exit 1
}

command -v apt-get >/dev/null 2>&1 || give_up "there is no apt-get here to install them"
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  give_up "only root may install them"
fi
echo "Installing for the tests: $missing" >&2
# Debian may start servers of its own with these packages; the tests do not use them.
$as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && $install -qq" >&2 ||
  give_up "apt-get could not install them"
