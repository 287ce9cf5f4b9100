"""What a process and its children cost: time on the CPU, memory; and what the whole machine did meanwhile."""
import os
import re
import resource
import time

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:  # that process or thread has just ended
        return ""


def threads(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def tree(pid):
    """The process and all below it."""
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        if os.path.exists(f"/proc/{p}"):
            found.append(p)
            for t in threads(p):
                todo += [int(x) for x in read(f"/proc/{p}/task/{t}/children").split()]
    return found


def cpu_ns(pids):
    """(exact, by ticks) nanoseconds on the CPU of every thread of the trees. Threads that have ended are only in the second."""
    exact = ticks = 0
    for p in [x for pid in pids for x in tree(pid)]:
        exact += sum(int(x.split()[0]) for t in threads(p) if (x := read(f"/proc/{p}/task/{t}/schedstat")))
        if stat := read(f"/proc/{p}/stat"):
            fields = stat.rsplit(")", 1)[1].split()
            ticks += (int(fields[11]) + int(fields[12])) * TICK_NS
    return exact, ticks


def waited_ns(pid):
    """By thread: nanoseconds that it could have run and another had the core."""
    return {t: int(x.split()[1]) for t in threads(pid) if (x := read(f"/proc/{pid}/task/{t}/schedstat"))}


def memory_kib(pids):
    """(RSS, Pss) of the trees."""
    rss = pss = 0
    for p in [x for pid in pids for x in tree(pid)]:
        if m := re.search(r"VmRSS:\s+(\d+)", read(f"/proc/{p}/status")):
            rss += int(m.group(1))
        if m := re.search(r"^Pss:\s+(\d+)", read(f"/proc/{p}/smaps_rollup"), re.M):
            pss += int(m.group(1))
    return rss, pss


def machine_ns():
    """Time that all cores spent at work, the nice'd excepted."""
    user, _, system, _, _, irq, softirq, steal = (int(x) for x in read("/proc/stat").split("\n", 1)[0].split()[1:9])
    return (user + system + irq + softirq + steal) * TICK_NS


def children_ns():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((r.ru_utime + r.ru_stime) * 1e9)


def during(proxies, upstream_pid, load):
    """Runs load() -> dict and adds what the proxies (pids) spent meanwhile; `foreign`: cores' worth of work that was not ours."""
    def now():
        return cpu_ns(proxies), cpu_ns([upstream_pid])[0], children_ns(), machine_ns(), time.monotonic()
    (exact0, ticks0), up0, load0, all0, t0 = now()
    result = load()
    (exact1, ticks1), up1, load1, all1, t1 = now()
    exact, ticks = exact1 - exact0, ticks1 - ticks0
    spent = exact if exact >= 0.9 * ticks else ticks
    seconds_ns = (t1 - t0) * 1e9
    result["cpu_ns"] = spent
    result["proxy_busy"] = round(spent / seconds_ns, 3)
    result["foreign"] = round(((all1 - all0) - spent - (up1 - up0) - (load1 - load0)) / seconds_ns, 3)
    result["rss_kib"], result["pss_kib"] = memory_kib(proxies)
    return result
