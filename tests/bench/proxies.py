"""The proxies under test. Each is one function under @proxy(name, binary):

    fn(role, c) -> argv, or None when the proxy does not do that role

It writes its configuration with c.write(name, text) -> path. The harness runs the command in the foreground, as uid c.uid,
on one core, until SIGTERM. One worker each. Binaries: NAME_BIN (ENVOY_BIN, HAPROXY_BIN, NGINX_BIN, SALLYPORT_BIN) or the PATH.

c: dir (writable, fresh), bin, ext (the outside server's address), sni (its name), uid, threads, ca,
   client_crt, client_key, client_pem, mesh_crt, mesh_key, mesh_pem (two names: sni, and a SPIFFE id),
   server_crt, server_key, server_pem (of sni: P-256; in role gateway_rsa RSA 2048)

Roles, the first four on 0.0.0.0:15001, to which the pod's connections are REDIRECTed:
  egress_mtls      HTTP/1.1 in; out: TLS 1.3 MUTUAL to ext:443 (client_*; verify ca and the name sni), pooled
  egress_mtls_log  the same, and one line of access log a request into a file
  tcp              opaque TCP to ext:8080
  mesh_client      HTTP/1.1 in; out: TLS 1.3 to ext:8000 (mesh_*; verify ca and the name), pooled
  mesh_server      on ext's 0.0.0.0:15006, where what comes to its port 8000 is REDIRECTed: TLS 1.3 in (mesh_*; a client certificate
                   of ca is required), HTTP/1.1 out to 127.0.0.1:8080, pooled
  gateway, gateway_rsa  on the pod's 0.0.0.0:8443: TLS 1.3 in (server_*), HTTP/1.1 out to ext:80, pooled
  gateway_sni      the same port: TLS for sni goes on as it is to ext:8444
"""
import json
import os
import re
import subprocess

PROXIES = {}  # name -> (binary, function)
MANY = 1000000000


def proxy(name, binary):
    def register(fn):
        PROXIES[name] = (binary, fn)
        return fn
    return register


# ---------------------------------------------------------------- Envoy
TYPE = "type.googleapis.com/envoy.extensions."
ISTIO_LOG = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n')


def envoy_tls(crt, key, validation):
    return {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{"certificate_chain": {"filename": crt}, "private_key": {"filename": key}}],
            "validation_context": validation}


def envoy_tls_out(c, crt, key):
    name = {"san_type": "DNS", "matcher": {"exact": c.sni}}
    validation = {"trusted_ca": {"filename": c.ca}, "match_typed_subject_alt_names": [name]}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TYPE + "transport_sockets.tls.v3.UpstreamTlsContext", "sni": c.sni,
        "common_tls_context": envoy_tls(crt, key, validation)}}


def envoy_tls_in(context, required):
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "require_client_certificate": required,
        "common_tls_context": context}}


def envoy_cluster(ip, port):
    limits = {"max_connections": MANY, "max_pending_requests": MANY, "max_requests": MANY}
    address = {"socket_address": {"address": ip, "port_value": port}}
    return {"name": "up", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [limits]},
            "load_assignment": {"cluster_name": "up",
                                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}}


def envoy_http(log):
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}]
    config = {"@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "h",
              "codec_type": "AUTO", "stream_idle_timeout": "0s", "common_http_protocol_options": {"idle_timeout": "3600s"},
              "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
              "http_filters": [{"name": "envoy.filters.http.router",
                                "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}]}
    if log:
        config["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": TYPE + "access_loggers.file.v3.FileAccessLog", "path": log,
            "log_format": {"text_format_source": {"inline_string": ISTIO_LOG}}}}]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


@proxy("envoy", "envoy")
def envoy(role, c):
    port, chain, filters = 15001, {}, []
    if role == "gateway_sni":
        port, cluster, chain = 8443, envoy_cluster(c.ext, 8444), {"filter_chain_match": {"server_names": [c.sni]}}
        network = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": TYPE + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "up"}}
        filters = [{"name": "envoy.filters.listener.tls_inspector",
                    "typed_config": {"@type": TYPE + "filters.listener.tls_inspector.v3.TlsInspector"}}]
    elif role in ("gateway", "gateway_rsa"):
        port, cluster, network = 8443, envoy_cluster(c.ext, 80), envoy_http(None)
        context = envoy_tls(c.server_crt, c.server_key, None)
        del context["validation_context"]
        chain = {"transport_socket": envoy_tls_in(context, False)}
    elif role == "tcp":
        cluster = envoy_cluster(c.ext, 8080)
        network = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": TYPE + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "up"}}
    elif role in ("egress_mtls", "egress_mtls_log"):
        cluster = dict(envoy_cluster(c.ext, 443), transport_socket=envoy_tls_out(c, c.client_crt, c.client_key))
        network = envoy_http(c.dir + "/access.log" if role.endswith("log") else None)
    elif role == "mesh_client":
        cluster = dict(envoy_cluster(c.ext, 8000), transport_socket=envoy_tls_out(c, c.mesh_crt, c.mesh_key))
        network = envoy_http(None)
    elif role == "mesh_server":
        port, cluster, network = 15006, envoy_cluster("127.0.0.1", 8080), envoy_http(None)
        context = envoy_tls(c.mesh_crt, c.mesh_key, {"trusted_ca": {"filename": c.ca}})
        chain = {"transport_socket": envoy_tls_in(context, True)}
    else:
        return None
    if port != 8443:
        filters = [{"name": "envoy.filters.listener.original_dst",
                    "typed_config": {"@type": TYPE + "filters.listener.original_dst.v3.OriginalDst"}}]
    listener = {"name": "l", "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
                "listener_filters": filters, "filter_chains": [{"filters": [network], **chain}]}
    config = c.write("envoy.json", json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, indent=1))
    return [c.bin, "-c", config, "--concurrency", str(c.threads), "--disable-hot-restart", "-l", "error"]


# ---------------------------------------------------------------- HAProxy
SPLICE = "  option splice-request\n  option splice-response\n"  # forced; HAProxy does not splice unless told


def haproxy_config(role, c, options=""):
    log, bind, sniff = role == "egress_mtls_log", ":15001", "  default_backend b\n"
    mode = "  mode http\n  http-reuse always\n" + ("  log global\n  option httplog\n" if log else "")
    def tls(pem): return (f"ssl verify required ca-file {c.ca} crt {pem} sni str({c.sni}) verifyhost {c.sni} "
                          "ssl-min-ver TLSv1.3 pool-max-conn -1")
    if role == "tcp":
        mode, server = "  mode tcp\n" + options, f"{c.ext}:8080"
    elif role in ("egress_mtls", "egress_mtls_log"):
        server = f"{c.ext}:443 {tls(c.client_pem)}"
    elif role == "mesh_client":
        server = f"{c.ext}:8000 {tls(c.mesh_pem)}"
    elif role == "mesh_server":
        bind = f":15006 ssl crt {c.mesh_pem} ca-file {c.ca} verify required ssl-min-ver TLSv1.3"
        server = "127.0.0.1:8080 pool-max-conn -1"
    elif role in ("gateway", "gateway_rsa"):
        bind, server = f":8443 ssl crt {c.server_pem} ssl-min-ver TLSv1.3", f"{c.ext}:80 pool-max-conn -1"
    elif role == "gateway_sni":
        bind, server = ":8443", f"{c.ext}:8444"
        mode = "  mode tcp\n"
        sniff = ("  tcp-request inspect-delay 5s\n  tcp-request content accept if { req_ssl_hello_type 1 }\n"
                 f"  use_backend b if {{ req_ssl_sni -i {c.sni} }}\n")
    else:
        return None
    return c.write("haproxy.cfg", f"""global
  nbthread {c.threads}
  maxconn 6000
  maxpipes 1000
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-curves X25519:P-256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
  {"log stdout format raw local0" if log else ""}
defaults
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
{mode}frontend f
  bind {bind}
{sniff}backend b
  server s {server}
""")


@proxy("haproxy", "haproxy")
def haproxy(role, c):
    config = haproxy_config(role, c)
    return config and [c.bin, "-db", "-f", config]


@proxy("haproxy-splice", "haproxy")
def haproxy_splice(role, c):
    return [c.bin, "-db", "-f", haproxy_config(role, c, SPLICE)] if role == "tcp" else None


# ---------------------------------------------------------------- nginx
def stream_module(binary):
    """The line that loads the stream module; empty when it is built in, None when it is not there."""
    built = subprocess.run([binary, "-V"], capture_output=True, text=True).stderr
    if "--with-stream=dynamic" not in built:
        return "" if "--with-stream" in built else None
    path = re.search(r"--modules-path=(\S+)", built).group(1) + "/ngx_stream_module.so"
    return f"load_module {path};\n" if os.path.exists(path) else None


def nginx_tls_out(c, crt, key):
    return f"""proxy_ssl_certificate {crt}; proxy_ssl_certificate_key {key};
    proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_trusted_certificate {c.ca};
    proxy_ssl_name {c.sni}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;"""


def nginx_tls_in(crt, key, more=""):
    return f"""ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_ecdh_curve X25519:P-256;
    ssl_certificate {crt}; ssl_certificate_key {key}; {more}"""


def nginx_http(role, c):
    """The http block of a role; None when it is none of HTTP."""
    roles = {"egress_mtls": (f"{c.ext}:443", "15001", "https", nginx_tls_out(c, c.client_crt, c.client_key)),
             "mesh_client": (f"{c.ext}:8000", "15001", "https", nginx_tls_out(c, c.mesh_crt, c.mesh_key)),
             "mesh_server": ("127.0.0.1:8080", "15006 ssl", "http",
                             nginx_tls_in(c.mesh_crt, c.mesh_key, f"ssl_verify_client on; ssl_client_certificate {c.ca};")),
             "gateway": (f"{c.ext}:80", "8443 ssl", "http", nginx_tls_in(c.server_crt, c.server_key))}
    if not (known := roles.get(role.removesuffix("_log").removesuffix("_rsa"))):
        return None
    server, listen, scheme, tls = known
    temporary = "".join(f"  {k}_temp_path {c.dir}/{k};\n" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""http {{
{temporary}  access_log {c.dir + "/access.log" if role.endswith("log") else "off"};
  keepalive_timeout 3600s; keepalive_requests {MANY}; client_header_timeout 3600s;
  upstream up {{ server {server}; keepalive 512; keepalive_requests {MANY}; keepalive_timeout 3600s; }}
  server {{
    listen {listen} backlog=4096;
    {tls}
    location / {{
      proxy_pass {scheme}://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    }}
  }}
}}
"""


@proxy("nginx", "nginx")
def nginx(role, c):
    load = ""
    if role in ("tcp", "gateway_sni"):
        load = stream_module(c.bin)
        if load is None:
            return None
        body = f"stream {{\n  server {{ listen 15001 backlog=4096; proxy_timeout 1h; proxy_pass {c.ext}:8080; }}\n}}\n"
        if role == "gateway_sni":
            body = (f"stream {{\n  map $ssl_preread_server_name $up {{ {c.sni} {c.ext}:8444; }}\n"
                    "  server { listen 8443 backlog=4096; ssl_preread on; proxy_timeout 1h; proxy_pass $up; }\n}\n")
    elif not (body := nginx_http(role, c)):
        return None
    head = (f"worker_processes {c.threads};\ndaemon off;\npid {c.dir}/nginx.pid;\nerror_log stderr error;\n"
            "events { worker_connections 16000; }\n")
    return [c.bin, "-c", c.write("nginx.conf", load + head + body), "-p", c.dir, "-e", "stderr"]
