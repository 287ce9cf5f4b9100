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
from testbed import EXT, SNI, Failed, run

URL = f"http://{EXT}:80/"
RATE, CLIENTS, DOWNLOADS, IDLE = 4000, 64, 4, (1000, 5000)


def wrk(bed, seconds, *headers):
    headers = [x for h in (f"Host: {SNI}", *headers) for x in ("-H", h)]
    r = run(*bed.inside("pod"), "wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "5s", "-s", bed.lua, *headers, URL,
            check=False)
    m = re.search(r"JSON(\{.*\})", r.stdout)
    if not m:
        raise Failed("wrk: " + (r.stdout + r.stderr)[-300:])
    return json.loads(m.group(1))


def loaded(bed, name, binary, role, warm, load):
    """The figures of load() on a proxy that warm() has used."""
    p = bed.start(name, binary, role)
    if not p:
        return None
    try:
        warm()
        r = account.during(p.pid, bed.upstream.pid, load)
    finally:
        bed.stop(p)
    if r.get("requests"):
        r["rps"], r["cpu_us"] = r["requests"] / r["secs"], r["cpu_ns"] / 1e3 / r["requests"]
    if r.get("bytes"):
        r["gb_s"], r["s_gb"] = r["bytes"] / 1e9 / r["secs"], r["cpu_ns"] / r["bytes"]
    return r


def http(role, *headers):
    def scenario(bed, name, binary, seconds):
        return loaded(bed, name, binary, role, lambda: wrk(bed, 1, *headers), lambda: wrk(bed, seconds, *headers))
    return scenario


def rate(bed, name, binary, seconds):
    def load(s): return bed.tool("rate", EXT, 80, SNI, CLIENTS, RATE, s)
    return loaded(bed, name, binary, "egress_mtls", lambda: load(1), lambda: load(seconds))


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
    return loaded(bed, name, binary, "tcp", lambda: load(1), lambda: load(DOWNLOADS))


def idle(bed, name, binary, seconds):
    if name == "haproxy-splice":  # nothing to splice
        return None
    p = bed.start(name, binary, "tcp")
    if not p:
        return None
    try:
        rss, pss = account.memory_kib(p.pid)
        r = {"rss0_kib": rss, "pss0_kib": pss, "errors": 0}
        for n in IDLE:
            holder = subprocess.Popen(bed.inside("pod") + [bed.load, "idle", EXT, "80", str(n), SNI], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            bed.running.append(holder)
            said = holder.stdout.readline().split()  # READY n bad m
            time.sleep(1)
            r[f"conn{n}_kib"] = (account.memory_kib(p.pid)[0] - rss) / n
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
    "S6": idle,
    "S8": cold,
    "S1C": changing,
}
