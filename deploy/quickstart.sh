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

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
finish() {
  local code=$?
  $sandbox down > /dev/null 2>&1 || true
  rm -rf "$work"
  [ $code = 0 ] || printf '\nsallyport quickstart: FAILED (the step above says why)\n'
  exit "$code"
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
$sandbox capture sleep -w "$work/wire.pcap" 2> "$work/capture.log" &
capture=$!
for _ in $(seq 100); do
  grep -q listening "$work/capture.log" && break
  sleep 0.1
done
$sandbox exec sleep -- curl -sS -m 20 "http://$host" | tee "$work/answer"
grep -q 'Welcome to nginx' "$work/answer" || { echo "the answer is not nginx's welcome page"; exit 1; }
sleep 0.5
kill -INT "$capture"
wait "$capture" 2> /dev/null || true

step '5/5 what the sidecar logged, and what crossed the wire'
for _ in $(seq 50); do
  $sandbox logs sleep -c istio-proxy > "$work/log"
  grep -q '"GET / HTTP/1.1" ' "$work/log" && break
  sleep 0.1
done
grep '"GET / HTTP/1.1" 200 - via_upstream ' "$work/log" || { cat "$work/log"; echo 'the log does not show a 200'; exit 1; }
echo
packets=$(tcpdump -n -r "$work/wire.pcap" 2> /dev/null | grep -c . || true)
# A TLS record of type handshake (22), version 3.x, with a ClientHello (1) in it, at the start of a TCP payload.
hello='tcp[(tcp[12] >> 4) * 4] = 22 and tcp[(tcp[12] >> 4) * 4 + 5] = 1'
hellos=$(tcpdump -n -r "$work/wire.pcap" "$hello" 2> /dev/null | tee "$work/hellos" | grep -c . || true)
head -n 1 "$work/hellos"
echo "$packets packets on the pod's link, $hellos ClientHello"
[ "$hellos" -gt 0 ] || { echo 'no TLS handshake crossed the wire'; exit 1; }
if grep -aqE 'Welcome to nginx|GET / HTTP' "$work/wire.pcap"; then
  echo 'plaintext crossed the wire'
  exit 1
fi
echo "neither the request nor nginx's page is readable in them"

printf '\nsallyport quickstart: PASSED: curl spoke plain HTTP, my-nginx was spoken to in mutual TLS\n'
