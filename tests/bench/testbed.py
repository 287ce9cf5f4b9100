"""The place of measurement: a pod and an outside server as network namespaces, certificates, processes on their cores.

It all lies inside a mount and a PID namespace of its own (bench.py makes them) and in one temporary directory, so nothing of
it outlives the run, however that ends.
"""
import json
import os
import resource
import shutil
import subprocess
import time
from types import SimpleNamespace

import account
import proxies

HERE = os.path.dirname(os.path.abspath(__file__))
POD, EXT, SNI, UID = "198.18.0.1", "198.18.0.2", "ext.bench.test", 1337
CURL = ["curl", "-sS", "-m2", "-w", "%{http_code} %{size_download}", "-o", "/dev/null"]
OUTSIDE, APP, APP_BY_TLS = f"http://{EXT}:80/", f"http://{EXT}:8000/", f"https://{EXT}:8000/"  # APP: of a pod in the mesh
SYSCTLS = {"net.ipv4.ip_local_port_range": "20000 65000", "net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_max_tw_buckets": "20000",
           "net.core.somaxconn": "8192", "net.ipv4.tcp_max_syn_backlog": "8192", "net.ipv4.tcp_syncookies": "0",
           # conntrack would otherwise keep every closed connection for two minutes
           **{f"net.netfilter.nf_conntrack_tcp_timeout_{state}": "2"
              for state in ("time_wait", "close", "close_wait", "last_ack", "fin_wait")}}
WRK_LUA = """done = function(s, l, r)
  io.write(string.format('JSON{"requests":%d,"secs":%f,"p50_us":%d,"p99_us":%d,"errors":%d}\\n', s.requests, s.duration / 1e6,
    l:percentile(50), l:percentile(99),
    s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout))
end
"""


class Failed(Exception):
    pass


def run(*argv, check=True, **options):
    r = subprocess.run(argv, text=True, capture_output=True, **options)
    if check and r.returncode:
        raise Failed(f"{' '.join(argv[:6])}: {r.stderr.strip()[-300:]}")
    return r


def as_uid():
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]


class Testbed:
    def __init__(self, directory, load_core, proxy_core):
        self.dir, self.load_core, self.proxy_core = directory, load_core, proxy_core
        self.running, self.count, self.binaries = [], 0, {}
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if hard < 12000:
            print(f"note: at most {hard} file descriptors here, S6 wants 12,000")
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)  # the downloaded file is in memory
        self.load = directory + "/load"
        self.tls_load = directory + "/tls_load"
        run("cc", "-O2", "-o", self.load, HERE + "/tools/load.c")
        run("cc", "-O2", "-o", self.tls_load, HERE + "/tools/tls_load.c", "-lssl", "-lcrypto")
        self.lua = self.file("wrk.lua", WRK_LUA)
        self.make_certificates()
        self.make_namespaces()
        self.upstream = self.start_upstream()

    def file(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def make_namespaces(self):
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")  # ours alone
        for ns in ("pod", "ext"):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", "pod", "type", "veth", "peer", "name", "eth0", "netns", "ext")
        for ns, address in (("pod", POD), ("ext", EXT)):
            run("ip", "-n", ns, "addr", "add", address + "/30", "dev", "eth0")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
        def nat(ns, *rule): run("ip", "netns", "exec", ns, "iptables", "-w", "-t", "nat", "-A", *rule)
        nat("pod", "OUTPUT", "-m", "owner", "--uid-owner", str(UID), "-j", "RETURN")
        nat("pod", "OUTPUT", "-p", "tcp", "-d", EXT, "-j", "REDIRECT", "--to-ports", "15001")
        nat("ext", "PREROUTING", "-p", "tcp", "--dport", "8000", "-j", "REDIRECT", "--to-ports", "15006")
        for ns in ("pod", "ext"):
            for key, value in SYSCTLS.items():
                run("ip", "netns", "exec", ns, "sysctl", "-qw", f"{key}={value}", check=False)

    def make_certificates(self):
        where = self.certs = self.dir + "/certs"
        os.makedirs(where)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        def openssl(*argv): run("openssl", *argv, cwd=where)
        openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=bench ca", "-keyout", "ca.key", "-out", "ca.crt")
        rsa = ["-newkey", "rsa:2048", "-nodes"]
        for name, san in (("ext", "DNS:" + SNI), ("rsa", "DNS:" + SNI), ("client", "URI:spiffe://bench.test/ns/a/sa/client"),
                          ("mesh", f"DNS:{SNI},URI:spiffe://bench.test/ns/a/sa/app")):
            openssl("req", "-new", *(rsa if name == "rsa" else key), "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
            extensions = self.file(f"certs/{name}.ext", f"subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n"
                                                        "keyUsage=digitalSignature\n")
            openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", "30", "-extfile", extensions, "-out", name + ".crt")
            self.file(f"certs/{name}.pem", account.read(f"{where}/{name}.crt") + account.read(f"{where}/{name}.key"))
        for name in os.listdir(where):
            os.chmod(f"{where}/{name}", 0o644)  # throw-away keys, read by the proxies' uid

    def start_upstream(self):
        d = self.dir + "/ext"
        os.makedirs(d + "/www")
        self.file("ext/www/index.html", "x" * 1024)
        with open(d + "/www/big", "wb") as f:
            for _ in range(512):
                f.write(b"\x5a" * (1 << 20))
        temporary = "".join(f"{k}_temp_path {d}/{k}; " for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.file("ext/nginx.conf", f"""worker_processes 1; daemon off; user root;
pid {d}/pid; error_log {d}/error.log error;
events {{ worker_connections 16000; }}
http {{
  {temporary}
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=10 inactive=1h; open_file_cache_valid 1h;
  keepalive_timeout 3600s; keepalive_requests 1000000000; client_header_timeout 3600s; root {d}/www; default_type text/plain;
  server {{ listen 80 backlog=8192; listen 8080 backlog=8192; }}
  server {{
    listen 8444 ssl backlog=8192; ssl_certificate {self.certs}/ext.crt; ssl_certificate_key {self.certs}/ext.key; ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519:P-256;
  }}
  server {{
    listen 443 ssl backlog=8192;
    ssl_certificate {self.certs}/ext.crt; ssl_certificate_key {self.certs}/ext.key; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519:P-256;
    ssl_verify_client on; ssl_client_certificate {self.certs}/ca.crt;
  }}
}}
""")
        nginx = os.environ.get("NGINX_BIN") or shutil.which("nginx")
        p = self.spawn(self.inside("ext") + [nginx, "-c", config, "-p", d, "-e", "stderr"], d + "/log")
        for _ in range(100):
            if run(*self.inside("pod"), *as_uid(), *CURL, OUTSIDE, check=False).stdout == "200 1024":
                return p
            time.sleep(0.05)
        raise Failed("the outside server does not answer: " + account.read(d + "/log")[-300:])

    # ------------------------------------------------------------ processes
    def inside(self, ns, core=None):
        return ["ip", "netns", "exec", ns, "taskset", "-c", str(self.load_core if core is None else core)]

    def proxy_prefix(self):
        return ["taskset", "-c", str(self.proxy_core)] + as_uid()

    def spawn(self, argv, log):
        with open(log, "ab") as f:
            p = subprocess.Popen(argv, stdout=f, stderr=f, stdin=subprocess.DEVNULL)
        self.running.append(p)
        return p

    def stop(self, p):
        """SIGTERM, after 5 s SIGKILL to what is left of this process and its children."""
        if p.poll() is None:
            p.terminate()
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                for pid in account.tree(p.pid):
                    os.kill(pid, 9)
                p.wait()
        self.running.remove(p)

    def close(self):
        for p in list(self.running):
            self.stop(p)

    def tool(self, *argv):
        """The load generator, in the pod; what it prints is JSON."""
        return json.loads(run(*self.inside("pod"), self.load, *map(str, argv)).stdout)

    def tls_tool(self, mode, *argv, to=(EXT, 8000)):
        """The command of the load that speaks mutual TLS itself: past the pod's proxy to the app's, or to the pod's gateway."""
        who = [*to, SNI, self.certs + "/mesh.crt", self.certs + "/mesh.key"]
        return [*self.inside("pod"), *as_uid(), self.tls_load, mode, *map(str, [*who, *argv])]

    # ------------------------------------------------------------ proxies
    def executable(self, binary):
        """The binary where the proxies' uid may run it: a copy when it lies in a closed directory (a home)."""
        if binary not in self.binaries:
            path = binary
            if run(*as_uid(), "test", "-x", binary, check=False).returncode:
                path = f"{self.dir}/{len(self.binaries)}.{os.path.basename(binary)}"
                shutil.copy(binary, path)
                os.chmod(path, 0o755)
            self.binaries[binary] = path
        return self.binaries[binary]

    def command(self, name, binary, role):
        """(argv, directory) of a proxy in a role; argv is None when it does not do that."""
        self.count += 1
        d = f"{self.dir}/{self.count}.{name}"
        os.makedirs(d)
        os.chown(d, UID, UID)
        def write(file, text): return self.file(f"{os.path.basename(d)}/{file}", text)
        server = self.certs + ("/rsa" if role == "gateway_rsa" else "/ext")
        c = SimpleNamespace(server_crt=server + ".crt", server_key=server + ".key", server_pem=server + ".pem", dir=d, bin=self.executable(binary), ext=EXT, pod=POD, sni=SNI, uid=UID, threads=1, write=write,
                            ca=self.certs + "/ca.crt", client_crt=self.certs + "/client.crt",
                            client_key=self.certs + "/client.key", client_pem=self.certs + "/client.pem",
                            mesh_crt=self.certs + "/mesh.crt", mesh_key=self.certs + "/mesh.key",
                            mesh_pem=self.certs + "/mesh.pem")
        return proxies.PROXIES[name][1](role, c), d

    def newest(self, name):
        """The directory of the proxy of that name that was started last."""
        return f"{self.dir}/{self.count}.{name}"

    def by_tls(self):
        """What a client in the pod needs to reach the app past the pod's own proxy, whose uid is not redirected."""
        return [*as_uid(), *CURL, "-k", "--cert", self.certs + "/mesh.crt", "--key", self.certs + "/mesh.key", APP_BY_TLS]

    def start(self, name, binary, role):
        """Starts it and waits until a request passes through it. None when it does not do the role."""
        argv, d = self.command(name, binary, role)
        if not argv:
            return None
        ns = "ext" if role == "mesh_server" else "pod"
        ask = {"mesh_server": self.by_tls(), "mesh_client": [*CURL, APP]}.get(role, [*CURL, OUTSIDE])
        if role.startswith("gateway"):
            ask = [*CURL, "-k", "--resolve", f"{SNI}:8443:{POD}", f"https://{SNI}:8443/"]
        p = self.spawn(["ip", "netns", "exec", ns] + self.proxy_prefix() + argv, d + "/log")
        answer = None
        for _ in range(100):
            if p.poll() is not None:
                break
            answer = run(*self.inside("pod"), *ask, check=False)
            if answer.stdout == "200 1024":
                return p
            time.sleep(0.05)
        self.stop(p)
        raise Failed(f"not ready: {(answer.stdout + answer.stderr).strip() if answer else ''} {account.read(d + '/log').strip()[-300:]}")
