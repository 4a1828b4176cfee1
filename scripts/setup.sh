#!/usr/bin/env bash
# Set this machine up: `setup.sh host [STATE]` for serving real guests, `setup.sh test` for running every test.
# Says what it does while it does it; does nothing when all is there.
set -euo pipefail
purpose=${1:-} state=${2:-}
[ -z "$state" ] || state=$(realpath -ms "$state")
cd "$(dirname "$0")/.."
case $purpose in host | test) ;; *)
  echo "usage: scripts/setup.sh host [STATE] | test" >&2
  exit 2
  ;;
esac

# uv brings certificates of its own; what this machine trusts counts, so that a mirror or proxy of its network is reached.
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1

say() { echo "[setup] $*" >&2; }
fail() {
  say "$1"
  exit 1
}

python=(python3 python3-venv python3-dev gcc pkg-config libvirt-dev)
host=(
  libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils ovmf openvswitch-switch dnsmasq-base nftables conntrack
  bubblewrap iproute2 ethtool genisoimage openssh-client busybox-static cpio kmod binutils e2fsprogs procps ca-certificates
)
tests=(postgresql slirp4netns iputils-ping curl netcat-openbsd tcpdump)

packages=("${python[@]}" "${host[@]}")
[ "$purpose" = test ] && packages+=("${tests[@]}")

install_packages() {
  local wanted="$*" log
  if [ "$(id -u)" != 0 ]; then
    say "these Debian packages are missing, and only root can install them: $wanted"
    fail "run: sudo apt-get update && sudo apt-get install --no-install-recommends $wanted"
  fi
  say "installing Debian packages (some minutes the first time): $wanted"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >"$log" 2>&1 || say "the package lists cannot be fetched; going on with those that are there"
  # Packages' own start scripts are kept from running: novakit starts the daemons it needs.
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ] && [ ! -d /run/systemd/system ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  if ! apt-get install -y -q --no-install-recommends "$@" >>"$log" 2>&1; then
    tail -15 "$log" >&2
    fail "the packages cannot be installed; the whole log is $log (does this machine reach its Debian mirror?)"
  fi
  rm -f "$log"
}

# Debian's own first: the packages above belong to it, and a Python that somebody built by hand, mostly without the
# optimisation by profile that Debian's has, takes about a fifth more CPU for all that follows.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "novakit needs Python 3.11 or newer with its venv module, and $(python3 -V 2>&1 || true) is what is here"
}

install_novakit() {
  if ! .venv/bin/python -c '' 2>/dev/null; then
    local base
    base=$(find_python)
    say "making a virtual environment in .venv with $("$base" -V)"
    "$base" -m venv --clear .venv
  fi
  local uv=.venv/bin/uv offline="Python packages cannot be installed; does this machine reach a package index?"
  if ! "$uv" --version >/dev/null 2>&1; then
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install -q --disable-pip-version-check uv || fail "$offline"
  fi
  say "installing novakit and what it needs into .venv (a minute the first time)"
  local sync=("$uv" sync -q --compile-bytecode --inexact --python .venv/bin/python --all-packages)
  if [ "$purpose" = test ]; then
    "${sync[@]}" --all-groups --all-extras || fail "$offline"
  else
    "${sync[@]}" --no-default-groups --extra host || fail "$offline"
    "$uv" pip install -q --compile-bytecode --python .venv/bin/python 'python-openstackclient>=10,<11' 'osc-placement>=4.5' ||
      fail "$offline"
  fi
  pwd >"$stamp"
}

# Containers often forbid Python to write bytecode; each start would then compile every module again, which doubles its CPU.
compile_novakit() {
  env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q -j 0 novakit hookspecs libraries plugins
}

# Installed for this purpose (tests need all that a host needs), in this directory, after the last change of a project.
is_installed() {
  local mark
  for mark in ".venv/.novakit-$purpose" .venv/.novakit-test; do
    if [ -e "$mark" ] && [ "$(<"$mark")" = "$(pwd)" ] && [ -x .venv/bin/novakit ] &&
      [ -z "$(find pyproject.toml hookspecs/pyproject.toml libraries plugins -name pyproject.toml -newer "$mark" -print -quit)" ]; then
      return 0
    fi
  done
  return 1
}

# QEMU runs as a user of its own, who must get through every directory above the disks; /root does not let others in.
place_state() {
  local above elsewhere
  above=$(dirname "$state")
  while [ "$above" != / ] && { [ ! -e "$above" ] || [[ $(stat -Lc %A "$above") == *[xt] ]]; }; do
    above=$(dirname "$above")
  done
  [ "$above" != / ] || return 0
  elsewhere=/var/lib/novakit$(tr / - <<<"$state")
  say "QEMU cannot get through $above, so the state is kept in $elsewhere, and $state leads there"
  mkdir -p "$elsewhere" "$(dirname "$state")"
  ln -s "$elsewhere" "$state"
}

# Each guest's QEMU gets a user of its own, which must get through libvirt's directory to what libvirt makes for it there.
# Debian closes it to others; 0751, libvirt's own default, lets pass who knows a name and nobody list.
open_libvirt() {
  local directory
  for directory in /var/lib/libvirt/qemu{,/channel,/channel/target}; do
    if [ -d "$directory" ] && ! dpkg-statoverride --list "$directory" >/dev/null; then
      say "letting the users of guests pass through $directory"
      dpkg-statoverride --update --add libvirt-qemu libvirt-qemu 0751 "$directory"
    fi
  done
}

command -v dpkg-query >/dev/null || fail "this is not a Debian machine; install by hand what stands in scripts/setup.sh"
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  [[ $'\n'"$installed"$'\n' == *$'\n'"$package installed"$'\n'* ]] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
[ "$purpose" = test ] || [ "$(id -u)" != 0 ] || open_libvirt

stamp=.venv/.novakit-$purpose
is_installed || install_novakit
compile_novakit
[ -z "$state" ] || [ -e "$state" ] || [ "$(id -u)" != 0 ] || place_state
say "ready"
