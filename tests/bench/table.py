"""Results (one JSON line a run) -> the table of README.md, between its two markers."""
import json
import os
import re
import statistics
import subprocess

BEGIN, END = "<!-- bench table -->", "<!-- end of bench table -->"
PEERS = ("envoy", "nginx", "haproxy")
NOISY = 0.3  # cores' worth of other work

# scenario, measure, key, scale, decimals, and who stands in the HAProxy column
ROWS = [
    ("S1", "CPU µs/request", "cpu_us", 1, 1, "haproxy"),
    ("S1", "requests/s", "rps", 1, 0, "haproxy"),
    ("S1", "RSS MiB under load", "rss_kib", 1 / 1024, 1, "haproxy"),
    ("S1", "Pss MiB under load", "pss_kib", 1 / 1024, 1, "haproxy"),
    ("S1R", "p99 µs", "p99_us", 1, 0, "haproxy"),
    ("S1R", "p50 µs", "p50_us", 1, 0, "haproxy"),
    ("S1R", "CPU µs/request", "cpu_us", 1, 1, "haproxy"),
    ("S1L", "CPU µs/request", "cpu_us", 1, 1, "haproxy"),
    ("S1L", "CPU over own S1", "over_s1", 1, 2, "haproxy"),
    ("S2", "CPU µs/request", "cpu_us", 1, 1, "haproxy"),
    ("S3", "CPU s/GB", "s_gb", 1, 2, "haproxy"),
    ("S3", "GB/s", "gb_s", 1, 2, "haproxy"),
    ("S3", "CPU s/GB, HAProxy with forced splice", "s_gb", 1, 2, "haproxy-splice"),
    ("S3", "GB/s, HAProxy with forced splice", "gb_s", 1, 2, "haproxy-splice"),
    ("S3S", "CPU µs/connection", "cpu_us", 1, 1, "haproxy"),
    ("S4", "CPU µs/request", "cpu_us", 1, 1, "haproxy"),
    ("S4", "requests/s", "rps", 1, 0, "haproxy"),
    ("S5E", "CPU µs/handshake, ECDSA P-256", "cpu_us", 1, 0, "haproxy"),
    ("S5R", "CPU µs/handshake, RSA 2048", "cpu_us", 1, 0, "haproxy"),
    ("S6T", "KiB/connection, 1,000 idle", "conn1000_kib", 1, 2, "haproxy"),
    ("S6T", "KiB/connection, 5,000 idle", "conn5000_kib", 1, 2, "haproxy"),
    ("S6", "RSS MiB at start", "rss0_kib", 1 / 1024, 1, "haproxy"),
    ("S6", "Pss MiB at start", "pss0_kib", 1 / 1024, 1, "haproxy"),
    ("S6", "KiB/connection, 1,000 idle", "conn1000_kib", 1, 2, "haproxy"),
    ("S6", "KiB/connection, 5,000 idle", "conn5000_kib", 1, 2, "haproxy"),
    ("S6M", "RSS MiB at start, with a certificate", "rss0_kib", 1 / 1024, 1, "haproxy"),
    ("S6M", "KiB/connection, 1,000 idle", "conn1000_kib", 1, 2, "haproxy"),
    ("S6M", "KiB/connection, 5,000 idle", "conn5000_kib", 1, 2, "haproxy"),
    ("S8", "ms", "ms", 1, 1, "haproxy"),
    ("S9", "CPU µs/request, both proxies", "cpu_us", 1, 1, "haproxy"),
    ("S9", "p99 µs", "p99_us", 1, 0, "haproxy"),
    ("S9", "p50 µs", "p50_us", 1, 0, "haproxy"),
    ("S9", "RSS MiB under load, both proxies", "rss_kib", 1 / 1024, 1, "haproxy"),
    ("S9F", "CPU µs/full handshake", "cpu_us", 1, 0, "haproxy"),
    ("S9R", "CPU µs/resumed handshake", "cpu_us", 1, 0, "haproxy"),
    ("S9R", "CPU over own S9F", "over_full", 1, 2, "haproxy"),
    ("S9F1", "CPU µs/full handshake and request", "cpu_us", 1, 0, "haproxy"),
    ("S9R1", "CPU µs/resumed handshake and request", "cpu_us", 1, 0, "haproxy"),
]
# scenario -> the one over whose CPU the same proxy's is set, in the same repetition, and the key of that ratio
OVER_OWN = {"S1L": ("S1", "over_s1"), "S9R": ("S9F", "over_full")}


def output(*argv):
    try:
        r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
        return r.stdout
    except OSError:
        return ""


def versions(binaries):
    """What ran, as one line; `binaries`: name -> path."""
    ask = {"sallyport": ("--version", r"(\d+\.\d+\S*)"), "envoy": ("--version", r"version: \w+/(\d+\.\d+\.\d+)/"),
           "nginx": ("-v", r"nginx/(\S+)"), "haproxy": ("-v", r"version (\S+)"), "wrk": ("-v", r"wrk \D*(\d\S*)"),
           "openssl": ("version", r"OpenSSL (\S+)")}
    found = []
    for name, (flag, pattern) in ask.items():
        path = binaries.get(name, name if name in ("wrk", "openssl") else None)
        m = path and re.search(pattern, output(path, flag))
        if path:
            found.append(f"{name} {m.group(1) if m else '(no version)'}")
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return (", ".join(found) + f"; Linux {os.uname().release.split('-')[0]}, "
            f"{model.group(1) if model else os.uname().machine}, {os.cpu_count()} CPUs")


class Results:
    def __init__(self, path):
        self.head, self.runs, self.failures = {}, {}, []  # runs: (scenario, proxy) -> {repetition: figures}
        with open(path) as f:
            for line in f:
                d = json.loads(line)
                if d["scenario"] == "head":
                    self.head = d
                elif d.get("error"):
                    self.failures.append((d["scenario"], d["proxy"], d["error"]))
                else:
                    self.runs.setdefault((d["scenario"], d["proxy"]), {})[d["rep"]] = d
                    if d.get("errors"):
                        failed = f"{d['errors']} failed requests in repetition {d['rep'] + 1}"
                        self.failures.append((d["scenario"], d["proxy"], failed))
        for (scenario, name), runs in self.runs.items():
            over, key = OVER_OWN.get(scenario, (None, None))
            for rep, d in runs.items():
                if own := self.runs.get((over, name), {}).get(rep):
                    d[key] = d["cpu_us"] / own["cpu_us"]

    def quiet(self, *runs):
        """The repetitions that all have; without the noisy ones where at least half of them are quiet."""
        common = sorted(set.intersection(*(set(r) for r in runs)))
        good = [rep for rep in common if all(r[rep].get("foreign", 0) < NOISY for r in runs)]
        return good if 2 * len(good) >= len(common) else common

    def values(self, scenario, name, key):
        runs = self.runs.get((scenario, name), {})
        return [runs[rep][key] for rep in self.quiet(runs) if key in runs[rep]] if runs else []

    def ratios(self, scenario, peer, key):
        """sallyport : peer, inside each repetition."""
        ours, theirs = (self.runs.get((scenario, n), {}) for n in ("sallyport", peer))
        if not ours or not theirs:
            return []
        both = [(ours[rep].get(key), theirs[rep].get(key)) for rep in self.quiet(ours, theirs)]
        return [a / b for a, b in both if a and b]


def grown(results):
    """What ten thousand other pairs cost the main job; empty when it was not measured."""
    ratios = [1 / r for r in results.ratios("S1", "sallyport-grown", "cpu_us")]
    return f"S1 CPU/request among 10,000 other pairs: {spread(ratios, 2)} of that alone, {len(ratios)} pairs\n" if ratios else ""


def spread(values, decimals, bold=False):
    if not values:
        return "–"
    middle = f"{statistics.median(values):,.{decimals}f}"
    middle = f"**{middle}**" if bold else middle
    low, high = (f"{x:,.{decimals}f}" for x in (min(values), max(values)))
    return middle if len(values) == 1 or low == high else f"{middle} [{low}–{high}]"


def middle(values, decimals):
    return f"{statistics.median(values):,.{decimals}f}" if values else ""


def row(results, scenario, label, key, scale, decimals, haproxy):
    peers = [haproxy if p == "haproxy" else p for p in PEERS]
    if haproxy != "haproxy":  # this row is only about it
        peers = [p if p == haproxy else None for p in peers]
    values = {p: [v * scale for v in results.values(scenario, p, key)] for p in ("sallyport", *peers) if p}
    if not any(values.values()):
        return None
    cells, pairs = [spread(values["sallyport"], decimals)], []
    for p in peers:
        ratios = results.ratios(scenario, p, key) if p and not key.startswith("over_") else []
        pairs += [len(ratios)] if ratios else []
        ratio = f"{spread(ratios, 2, bold=True)} of " if ratios else ""
        cells.append(ratio + middle(values[p], decimals) if p and values[p] else "")
    n = f"{min(pairs)}" if pairs and min(pairs) == max(pairs) else f"{min(pairs)}–{max(pairs)}" if pairs else ""
    return f"| {scenario} | {label} | " + " | ".join(cells) + f" | {n} |"


def make(path):
    results = Results(path)
    head = results.head
    rows = [r for r in (row(results, *x) for x in ROWS) if r]
    noise = [d["foreign"] for runs in results.runs.values() for d in runs.values() if "foreign" in d]
    lines = [f"Measured {head['date']}: {head['versions']}.",
             f"{head['reps']} repetitions, {head['secs']} s of load each; TCP congestion control {head['congestion']}. "
             + (f"Other work on the machine meanwhile, in cores: median {max(0, statistics.median(noise)):.2f}, "
                f"at most {max(0, max(noise)):.2f}." if noise else ""),
             "",
             "| | measure | sallyport | : Envoy | : nginx | : HAProxy | pairs |", "|---|---|---|---|---|---|---|", *rows]
    if line := grown(results):
        lines += ["", line]
    if results.failures:
        lines += ["", "What failed:", ""]
        lines += [f"* {s} {p}: {' '.join(e.split())[:160]}" for s, p, e in results.failures]
    if head.get("skipped"):
        lines += ["", f"Not there, left out: {', '.join(head['skipped'])}."]
    return "\n".join(lines) + "\n"


def put(text, page):
    """The table into the page, between its markers; a page without markers becomes the table."""
    old = open(page).read() if os.path.exists(page) else ""
    if BEGIN in old and END in old:
        text = old[:old.index(BEGIN)] + BEGIN + "\n\n" + text + "\n" + old[old.index(END):]
    with open(page, "w") as f:
        f.write(text)
