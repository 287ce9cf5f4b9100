#!/usr/bin/env python3
"""A gateway with many servers on one port, each with a certificate of its own (ECDSA P-256), beside one with a single server.

    tests/bench/certificates.py                # 5,000 certificates, 10 pairs of 2 s; prints a table
    tests/bench/certificates.py -n 1000 -r 3

Seconds from exec until a client has shaken hands with the last server; CPU of a full TLS 1.3 handshake (16 at a time, each closed when it
is done) with many and with one, in turns; milliseconds from the rename of a file with another certificate until a handshake shows that;
RSS. All over loopback. Needs the release build (or SALLYPORT_BIN), Linux, gcc, libssl-dev and openssl, and two free ports.
"""
import argparse
import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import tempfile
import time

import account

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ.get("SALLYPORT_BIN", os.path.join(HERE, "..", "..", "build", "release", "sallyport"))
A_FILE = 50  # servers in a Gateway, and in a file
PORTS = {"many": 25443, "one": 25444}

GATEWAY = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw-{first}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
"""
SERVER = """  - port: {{number: {port}, name: https-{i}, protocol: HTTPS}}
    hosts: [host-{i}.example.com]
    tls: {{mode: SIMPLE, credentialName: host-{i}}}
"""
SECRET = """---
apiVersion: v1
kind: Secret
metadata: {{name: host-{i}}}
stringData:
  tls.crt: |
{certificate}
  tls.key: |
{key}
"""
SERVICE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec:
  hosts: ["*.example.com"]
  gateways: [GATEWAYS]
  http: [{directResponse: {status: 200}}]
"""


def indented(path):
    with open(path) as text:
        return "".join("    " + line for line in text).rstrip()


class Pairs:
    """Certificates with their keys, made when first asked for."""

    def __init__(self, directory):
        self.directory = directory

    def secret(self, i, version=0):
        name = f"{self.directory}/{i}.{version}"
        if not os.path.exists(name + ".crt"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                            "-subj", f"/CN=host-{i}-{version}", "-addext", f"subjectAltName=DNS:host-{i}.example.com",
                            "-keyout", name + ".key", "-out", name + ".crt"], check=True, capture_output=True)
        return SECRET.format(i=i, certificate=indented(name + ".crt"), key=indented(name + ".key"))


def write(directory, count, port, pairs):
    os.makedirs(directory)
    firsts = range(0, count, A_FILE)
    for first in firsts:
        some = range(first, min(first + A_FILE, count))
        text = GATEWAY.format(first=first) + "".join(SERVER.format(i=i, port=port) for i in some)
        with open(f"{directory}/gateway-{first:05}.yaml", "w") as out:
            out.write(text + "".join(pairs.secret(i) for i in some))
    with open(f"{directory}/service.yaml", "w") as out:
        out.write(SERVICE.replace("GATEWAYS", ", ".join(f"gw-{first}" for first in firsts)))


def shown(port, i):
    """The certificate that host i is served with, in DER; None: no handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            with context.wrap_socket(plain, server_hostname=f"host-{i}.example.com") as secured:
                return secured.getpeercert(binary_form=True)
    except OSError:
        return None


class Gateway:
    def __init__(self, directory, port, last):
        self.port = port
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [BINARY, "gateway", "--config", directory, "--concurrency", "1", "--log-level", "error", "--labels", "istio=ingressgateway",
             "--admin", f"127.0.0.1:{port + 100}", "--health-port", "0", "--status-port", "0", "--metrics-port", "0"])
        while shown(port, last) is None:
            if self.process.poll() is not None:
                raise SystemExit("the gateway ended: " + str(self.process.returncode))
            time.sleep(0.005)
        self.serving = time.monotonic() - begun

    def handshake_us(self, tool, client, i, seconds):
        before = account.cpu_ns([self.process.pid])[0]
        out = subprocess.run([tool, "handshakes", "127.0.0.1", str(self.port), f"host-{i}.example.com", client + ".crt", client + ".key",
                              "16", str(seconds), "full", "-"], check=True, capture_output=True, text=True)
        figures = json.loads(out.stdout)
        if figures.get("errors") or not figures["requests"]:
            raise SystemExit(f"handshakes failed: {figures}")
        return (account.cpu_ns([self.process.pid])[0] - before) / figures["requests"] / 1000

    def stop(self):
        self.process.terminate()
        self.process.wait()


def change(directory, gateway, pairs, i, version):
    """Milliseconds until another certificate of host i is shown."""
    first = i // A_FILE * A_FILE
    path = f"{directory}/gateway-{first:05}.yaml"
    with open(path) as text:
        now = text.read()
    old, new = pairs.secret(i, version - 1), pairs.secret(i, version)
    with open(path + ".new", "w") as out:
        out.write(now.replace(old, new))
    was = shown(gateway.port, i)
    begun = time.monotonic()
    os.rename(path + ".new", path)
    while shown(gateway.port, i) == was:
        if time.monotonic() - begun > 30:
            raise SystemExit("the change was not taken")
    return (time.monotonic() - begun) * 1000


def spread(figures, digits=0):
    return f"{statistics.median(figures):.{digits}f} [{min(figures):.{digits}f}–{max(figures):.{digits}f}]"


def measure(directory, options):
    pairs = Pairs(directory)
    tool, client, last = directory + "/tls_load", directory + "/0.0", options.count - 1
    subprocess.run(["cc", "-O2", "-o", tool, HERE + "/tools/tls_load.c", "-lssl", "-lcrypto"], check=True)
    write(directory + "/many", options.count, PORTS["many"], pairs)
    write(directory + "/one", 1, PORTS["one"], pairs)
    many, one = Gateway(directory + "/many", PORTS["many"], last), Gateway(directory + "/one", PORTS["one"], 0)
    try:
        costs = [(many.handshake_us(tool, client, last // 2, options.seconds), one.handshake_us(tool, client, 0, options.seconds))
                 for _ in range(options.repeat)]
        delays = [change(directory + "/many", many, pairs, last, version) for version in range(1, 8)]
        rss = [account.memory_kib([gateway.process.pid])[0] for gateway in (many, one)]
    finally:
        many.stop()
        one.stop()
    print(f"| {options.count:,} certificates | |\n|---|---|")
    print(f"| s until serving | {many.serving:.2f} (one: {one.serving:.2f}) |")
    print(f"| CPU µs/handshake | {spread([a for a, _ in costs])} |")
    print(f"| : with one | **{spread([a / b for a, b in costs], 2)}** of {spread([b for _, b in costs])} |")
    print(f"| ms until one change is live | {spread(delays)} |")
    print(f"| RSS MiB | {rss[0] / 1024:.1f} (one: {rss[1] / 1024:.1f}), KiB a certificate {(rss[0] - rss[1]) / options.count:.1f} |")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-n", "--count", type=int, default=5000)
    options.add_argument("-r", "--repeat", type=int, default=10)
    options.add_argument("-s", "--seconds", type=int, default=2)
    directory = tempfile.mkdtemp(prefix="certificates-")
    try:
        measure(directory, options.parse_args())
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
