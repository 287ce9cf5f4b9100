#!/usr/bin/env python3
"""How the sidecar grows with its configuration: N ServiceEntries, each with a DestinationRule (SIMPLE on port 80), or N Services, each
with a Pod of the mesh.

    tests/bench/growth.py                # 10,000 pairs, in one file, in 100, and in a file each; prints a table
    tests/bench/growth.py --of pods      # of a Service and a Pod
    tests/bench/growth.py -n 2000 -l each

For each layout: seconds from exec to ready, milliseconds from the rename of one changed file until its snapshot is published
(sallyport_config_loads_total, polled every 5 ms; 100 ms of it are the debounce), and the RSS that a pair adds once settled (over that of
an empty directory). Needs the release build (or SALLYPORT_BIN), Linux and no other proxy on the ports that it picks.
"""
import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ.get("SALLYPORT_BIN", os.path.join(HERE, "..", "..", "build", "release", "sallyport"))
PAIRS = 10_000
ADMIN, OUTBOUND, INBOUND = 25000, 25001, 25006

RULES = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: external-{i}
  namespace: default
spec:
  hosts:
  - host-{i}.example.com
  ports:
  - number: 80
    name: http
    protocol: HTTP
    targetPort: 443
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: originate-{i}
  namespace: default
spec:
  host: host-{i}.example.com
  trafficPolicy:
    portLevelSettings:
    - port:
        number: 80
      tls:
        mode: SIMPLE
        sni: {changing}
---
"""
PODS = """apiVersion: v1
kind: Service
metadata:
  name: app-{i}
  namespace: default
spec:
  clusterIP: {service_ip}
  selector: {{app: app-{i}}}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: v1
kind: Pod
metadata:
  name: app-{i}-0
  namespace: default
  labels: {{app: app-{i}, security.istio.io/tlsMode: istio}}
spec:
  serviceAccountName: {changing}
  containers:
  - name: app
    image: app
    ports:
    - containerPort: 8080
status:
  podIP: {pod_ip}
---
"""


class Kind:
    """A pair's text; what changes in it is behind `key`, in the document with the name `name`."""
    def __init__(self, text, name, key):
        self.text, self.name, self.key = text, name, key

    def of(self, i):
        low = f"{i // 65536}.{i // 256 % 256}.{i % 256}"
        return self.text.format(i=i, changing=f"host-{i}.example.com", service_ip=f"12.{low}", pod_ip=f"11.{low}")


KINDS = {"rules": Kind(RULES, "originate-{i}", "sni: "), "pods": Kind(PODS, "app-{i}-0", "serviceAccountName: ")}


def write(directory, pairs, files, kind=KINDS["rules"]):
    """`pairs` pairs over `files` files; the name of the file that holds the middle one."""
    a_file = -(-pairs // files)
    for first in range(0, pairs, a_file):
        path = os.path.join(directory, f"pairs-{first:06}.yaml")
        with open(path, "w") as out:
            for i in range(first, min(first + a_file, pairs)):
                out.write(kind.of(i))
    return middle(directory, pairs, files)


def middle(directory, pairs, files):
    """The file that write() says."""
    a_file = -(-pairs // files)
    return os.path.join(directory, f"pairs-{pairs // 2 // a_file * a_file:06}.yaml")


def changed(path, pairs, round_, kind=KINDS["rules"]):
    """Its text with the middle pair changed."""
    i = pairs // 2
    with open(path) as source:
        text = source.read()
    at = text.index("name: " + kind.name.format(i=i) + "\n")
    line = text.index(kind.key, at)
    text = text[:line] + f"{kind.key}changed-{round_}.example.com" + text[text.index("\n", line):]
    return text


def write_beside(path, text, suffix=".new"):
    with open(path + suffix, "w") as out:
        out.write(text)
    return path + suffix


class Sidecar:
    def __init__(self, directory):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [BINARY, "sidecar", "--config", directory, "--concurrency", "1", "--log-level", "error",
             "--outbound-port", str(OUTBOUND), "--inbound-port", str(INBOUND), "--admin", f"127.0.0.1:{ADMIN}",
             "--health-port", "0", "--status-port", "0", "--metrics-port", "0", "--ip", "10.0.0.1"])
        while self.get("/ready") != b"LIVE\n":
            if self.process.poll() is not None:
                raise SystemExit("the sidecar ended: " + str(self.process.returncode))
            time.sleep(0.005)
        self.ready = time.monotonic() - self.started

    @staticmethod
    def get(path):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=30)
            connection.request("GET", path)
            return connection.getresponse().read()
        except OSError:
            return b""

    def loads(self):
        for line in self.get("/stats").splitlines():
            if line.startswith(b"sallyport_config_loads_total:"):
                return line
        raise SystemExit("no sallyport_config_loads_total in /stats")

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def measure(pairs, files, changes, kind):
    directory = tempfile.mkdtemp(prefix="growth-")
    try:
        path = write(directory, pairs, files, kind) if pairs else None
        sidecar = Sidecar(directory)
        try:
            delays = []
            for round_ in range(changes if pairs else 0):
                time.sleep(0.3)
                before = sidecar.loads()
                fresh = write_beside(path, changed(path, pairs, round_, kind))
                os.rename(fresh, path)  # as kubelet and editors do
                begun = time.monotonic()
                while sidecar.loads() == before:
                    if time.monotonic() - begun > 30:
                        raise SystemExit("the change was not taken")
                    time.sleep(0.005)
                delays.append((time.monotonic() - begun) * 1000)
            time.sleep(1)
            return sidecar.ready, delays, sidecar.rss_kib()
        finally:
            sidecar.stop()
    finally:
        shutil.rmtree(directory)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-n", "--pairs", type=int, default=PAIRS)
    options.add_argument("-c", "--changes", type=int, default=7)
    options.add_argument("-l", "--layout", choices=["one", "hundred", "each", "all"], default="all")
    options.add_argument("--of", choices=KINDS, default="rules")
    options = options.parse_args()
    layouts = {"one": 1, "hundred": 100, "each": options.pairs}
    kind = KINDS[options.of]
    _, _, empty = measure(0, 1, 0, kind)
    print(f"an empty directory: {empty / 1024:.1f} MiB\n")
    print("| files | s until ready | ms until one change is live | RSS MiB | KiB a pair |\n|---|---|---|---|---|")
    for name, files in layouts.items():
        if options.layout not in (name, "all"):
            continue
        ready, delays, rss = measure(options.pairs, files, options.changes, kind)
        print(f"| {files:,} | {ready:.2f} | {statistics.median(delays):.0f} [{min(delays):.0f}–{max(delays):.0f}] | "
              f"{rss / 1024:.1f} | {(rss - empty) / options.pairs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
