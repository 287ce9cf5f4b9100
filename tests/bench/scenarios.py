"""What is measured. Each scenario is a function (bed, name, binary, seconds) -> dict of figures, or None when the proxy does
not do it."""
import json
import os
import re
import subprocess
import threading
import time

import account
import growth
from testbed import EXT, OUTSIDE, POD, SNI, Failed, run

RATE, CLIENTS, DOWNLOADS, IDLE = 4000, 64, 4, (1000, 5000)
HOP_RATE, HOP_CLIENTS, HANDSHAKES = 2000, 32, 16


GATEWAY = (POD, 8443)
PASSED = 32


def wrk(bed, seconds, *headers, url=OUTSIDE):
    headers = [x for h in (f"Host: {SNI}", *headers) for x in ("-H", h)]
    r = run(*bed.inside("pod"), "wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "5s", "-s", bed.lua, *headers, url,
            check=False)
    m = re.search(r"JSON(\{.*\})", r.stdout)
    if not m:
        raise Failed("wrk: " + (r.stdout + r.stderr)[-300:])
    return json.loads(m.group(1))


def loaded(bed, name, binary, roles, warm, load):
    """The figures of load() on the proxies, one a role, that warm() has used."""
    started = []
    try:
        for role in roles:
            p = bed.start(name, binary, role)
            if not p:
                return None
            started.append(p)
        warm()
        r = account.during([p.pid for p in started], bed.upstream.pid, load)
    finally:
        for p in reversed(started):
            bed.stop(p)
    if r.get("requests"):
        r["rps"], r["cpu_us"] = r["requests"] / r["secs"], r["cpu_ns"] / 1e3 / r["requests"]
    if r.get("bytes"):
        r["gb_s"], r["s_gb"] = r["bytes"] / 1e9 / r["secs"], r["cpu_ns"] / r["bytes"]
    return r


def http(role, *headers):
    def scenario(bed, name, binary, seconds):
        return loaded(bed, name, binary, [role], lambda: wrk(bed, 1, *headers), lambda: wrk(bed, seconds, *headers))
    return scenario


def rate(bed, name, binary, seconds):
    def load(s): return bed.tool("rate", EXT, 80, SNI, CLIENTS, RATE, s)
    return loaded(bed, name, binary, ["egress_mtls"], lambda: load(1), lambda: load(seconds))


def changing(bed, name, binary, seconds):
    """S1R among ten thousand pairs, first in peace, then with a rule changed three times a second: how long requests and the
    worker waited for the configuration thread, with which it shares a core."""
    if name != "sallyport-grown":
        return None
    def load(): return bed.tool("rate", EXT, 80, SNI, CLIENTS, RATE, seconds)
    p = bed.start(name, binary, "egress_mtls")
    path = growth.middle(os.path.join(bed.newest(name), "resources"), growth.PAIRS, 1)
    fresh = [growth.write_beside(path, growth.changed(path, growth.PAIRS, i), f".{i}") for i in range(4 * seconds)]
    time.sleep(1)
    try:
        load()
        r = {"errors": 0}
        for what in ("quiet", "changing"):
            stop, changes = threading.Event(), []
            def change():
                while fresh and not stop.wait(0.3):
                    os.rename(fresh.pop(), path)
                    changes.append(path)
            changer = threading.Thread(target=change)
            if what == "changing":
                changer.start()
            before = account.waited_ns(p.pid)
            figures = load()
            waited = account.waited_ns(p.pid)
            stop.set()
            if what == "changing":
                changer.join()
                r["changes"] = len(changes)
            r["errors"] += figures["errors"]
            r[what + "_p99_us"], r[what + "_max_us"] = figures["p99_us"], figures["max_us"]
            r[what + "_worker_wait_ms"] = max(waited[t] - before.get(t, 0) for t in waited if t != str(p.pid)) / 1e6
        return r
    finally:
        bed.stop(p)


def bulk(bed, name, binary, seconds):
    def load(n): return bed.tool("dl", EXT, 80, "/big", n)
    return loaded(bed, name, binary, ["tcp"], lambda: load(1), lambda: load(DOWNLOADS))


def hop(bed, name, binary, seconds):
    """From the app through its sidecar, mutual TLS, and the other pod's sidecar to the app there: both are of one kind."""
    def load(s): return bed.tool("rate", EXT, 8000, SNI, HOP_CLIENTS, HOP_RATE, s)
    return loaded(bed, name, binary, ["mesh_server", "mesh_client"], lambda: load(1), lambda: load(seconds))


def handshakes(kind, path):
    """Mutual TLS handshakes, the proxy as server. With a path, one request on each connection."""
    def scenario(bed, name, binary, seconds):
        def load(s): return json.loads(run(*bed.tls_tool("handshakes", HANDSHAKES, s, kind, path)).stdout)
        return loaded(bed, name, binary, ["mesh_server"], lambda: load(0.5), lambda: load(seconds))
    return scenario


def gateway(bed, name, binary, seconds):
    """TLS ended at the gateway, keep-alive clients, plaintext to the application."""
    def load(s): return wrk(bed, s, url=f"https://{POD}:8443/")
    return loaded(bed, name, binary, ["gateway"], lambda: load(1), lambda: load(seconds))


def gateway_handshakes(role, at_a_time, path):
    """Full TLS handshakes with the gateway, or through it."""
    def scenario(bed, name, binary, seconds):
        def load(s): return json.loads(run(*bed.tls_tool("handshakes", at_a_time, s, "full", path, to=GATEWAY)).stdout)
        return loaded(bed, name, binary, [role], lambda: load(0.5), lambda: load(seconds))
    return scenario


def idle_gateway(bed, name, binary, seconds):
    return held(bed, name, binary, "gateway", lambda n: bed.tls_tool("idle", n, to=GATEWAY))


def idle(bed, name, binary, seconds):
    if name == "haproxy-splice":  # nothing to splice
        return None
    return held(bed, name, binary, "tcp", lambda n: bed.inside("pod") + [bed.load, "idle", EXT, "80", str(n), SNI])


def idle_mesh(bed, name, binary, seconds):
    return held(bed, name, binary, "mesh_server", lambda n: bed.tls_tool("idle", n))


def held(bed, name, binary, role, command):
    """Memory at start, and for each of the connections that command(n) opens, uses once and holds until its stdin closes."""
    p = bed.start(name, binary, role)
    if not p:
        return None
    try:
        rss, pss = account.memory_kib([p.pid])
        r = {"rss0_kib": rss, "pss0_kib": pss, "errors": 0}
        for n in IDLE:
            holder = subprocess.Popen(command(n), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            bed.running.append(holder)
            said = holder.stdout.readline().split()  # READY n bad m
            time.sleep(1)
            r[f"conn{n}_kib"] = (account.memory_kib([p.pid])[0] - rss) / n
            r["errors"] += int(said[3]) if len(said) > 3 else n
            holder.stdin.close()
            holder.wait()
            bed.running.remove(holder)
            time.sleep(0.3)
        return r
    finally:
        bed.stop(p)


def cold(bed, name, binary, seconds):
    argv, _ = bed.command(name, binary, "egress_mtls")
    if not argv:
        return None
    r = run(*bed.inside("pod"), bed.load, "cold", EXT, "80", "/", "10", "--", *bed.proxy_prefix(), *argv, check=False)
    said = json.loads(r.stdout.strip().splitlines()[-1])
    if not said["ok"]:
        raise Failed("no answer: " + r.stderr[-300:])
    return {"ms": said["ms"]}


SCENARIOS = {
    "S1": http("egress_mtls"),
    "S1R": rate,
    "S1L": http("egress_mtls_log"),
    "S2": http("egress_mtls", "Connection: close"),
    "S3": bulk,
    "S3S": gateway_handshakes("gateway_sni", PASSED, "/"),
    "S4": gateway,
    "S5E": gateway_handshakes("gateway", HANDSHAKES, "-"),
    "S5R": gateway_handshakes("gateway_rsa", HANDSHAKES, "-"),
    "S6": idle,
    "S6T": idle_gateway,
    "S6M": idle_mesh,
    "S8": cold,
    "S9": hop,
    "S9F": handshakes("full", "-"),
    "S9R": handshakes("resumed", "-"),
    "S9F1": handshakes("full", "/"),
    "S9R1": handshakes("resumed", "/"),
    "S1C": changing,
}
