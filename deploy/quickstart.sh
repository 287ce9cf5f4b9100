#!/usr/bin/env bash
# The main job in one command: installs what is missing, builds, and shows a plain curl from the sleep pod reach a server
# that asks for mutual TLS, with the sidecar's log line and a capture of the wire. Needs root; leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")/.."
host=my-nginx.mesh-external.svc.cluster.local
name=quickstart-$$
build=build/release
sandbox="$build/sallyport-sandbox --name $name"
work=$(mktemp -d)
verdict='sallyport quickstart: FAILED'

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
finish() {
  local code=$?
  $sandbox down > /dev/null 2>&1 || true
  rm -rf "$work"
  [ $code = 0 ] || { printf '\n%s (the step above says why)\n' "$verdict"; exit "$code"; }
}
trap finish EXIT

[ "$(id -u)" = 0 ] || { echo 'root is needed: the sandbox makes network namespaces' >&2; exit 1; }

step '1/5 packages'
deploy/install-deps.sh build

step '2/5 build (release)'
cmake --preset release > "$work/cmake.log" 2>&1 || { cat "$work/cmake.log"; exit 1; }
cmake --build --preset release -j "$(nproc)"

step '3/5 sandbox: deploy/samples/egress-mtls'
$sandbox up deploy/samples/egress-mtls

step "4/5 exec sleep -- curl -sS http://$host"
$sandbox capture sleep --output "$work/wire.pcap" --count-seconds 20 &
capture=$!
sleep 1
$sandbox exec sleep -- curl -sS "http://$host" | tee "$work/answer"
grep -q 'Welcome to nginx' "$work/answer" || { echo "the answer is not nginx's welcome page"; exit 1; }

step '5/5 what the sidecar logged, and what crossed the wire'
$sandbox logs sleep -c istio-proxy | grep "GET / HTTP/1.1" | tee "$work/log"
grep -q ' 200 - via_upstream ' "$work/log" || { echo 'the log does not show a 200'; exit 1; }
kill "$capture" 2> /dev/null || true
wait "$capture" 2> /dev/null || true
