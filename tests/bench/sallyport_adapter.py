"""Sallyport for the paired benchmark: tests/bench/bench.py takes it, and so does any harness with the same `proxy` decorator
(--adapters). SALLYPORT_BIN names the binary, by default that of the release build.

It is configured as a user would: a directory with a ServiceEntry and a DestinationRule, and a MeshConfig file. In the mesh roles
nothing names TLS: the endpoint's label makes the client speak mutual TLS, and a PeerAuthentication makes the server want it.
"""
import os

import growth
from proxies import proxy

RELEASE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release", "sallyport")
if os.path.exists(RELEASE):
    os.environ.setdefault("SALLYPORT_BIN", os.path.normpath(RELEASE))

SERVICE_ENTRY = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: external
spec:
  hosts: [{sni}]
  addresses: [{ext}]
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: 443}}
  resolution: STATIC
  endpoints:
  - address: {ext}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: originate-mtls
spec:
  host: {sni}
  trafficPolicy:
    portLevelSettings:
    - port: {{number: 80}}
      tls:
        mode: MUTUAL
        sni: {sni}
        subjectAltNames: [{sni}]
        clientCertificate: {crt}
        privateKey: {key}
        caCertificates: {ca}
"""

MESH_SERVICE = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: app
spec:
  hosts: [{sni}]
  addresses: [{ext}]
  location: MESH_INTERNAL
  ports:
  - {{number: 8000, name: http, protocol: HTTP}}
  resolution: STATIC
  subjectAltNames: ["spiffe://bench.test/ns/a/sa/app"]
  endpoints:
  - address: {ext}
    labels: {{security.istio.io/tlsMode: istio}}
"""
MESH_SERVER = """apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: app
  namespace: a
spec:
  ingress:
  - port: {number: 8000, name: http, protocol: HTTP}
    defaultEndpoint: 127.0.0.1:8080
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: a
spec:
  mtls: {mode: STRICT}
"""


GATEWAY = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: gateway
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: 8443, name: https, protocol: {protocol}}}
    hosts: ["*"]
    tls: {tls}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: outside
spec:
  hosts: [{sni}]
  gateways: [gateway]
  {rules}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: outside
spec:
  hosts: [{sni}]
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  - {{number: 8444, name: tls, protocol: TLS}}
  resolution: STATIC
  endpoints:
  - address: {ext}
"""


def gateway(role, c):
    to = "route: [{destination: {host: %s, port: {number: %d}}}]"
    if role == "gateway_sni":
        return GATEWAY.format(protocol="TLS", tls="{mode: PASSTHROUGH}", sni=c.sni, ext=c.ext,
                              rules="tls: [{match: [{sniHosts: [%s]}], %s}]" % (c.sni, to % (c.sni, 8444)))
    return GATEWAY.format(protocol="HTTPS", sni=c.sni, ext=c.ext, rules="http: [{%s}]" % (to % (c.sni, 80)),
                          tls="{mode: SIMPLE, serverCertificate: %s, privateKey: %s}" % (c.server_crt, c.server_key))


@proxy("sallyport", "sallyport")
def sallyport(role, c):
    command, flags = "sidecar", []
    resources = os.path.join(c.dir, "resources")
    os.makedirs(resources, exist_ok=True)
    mesh = "outboundTrafficPolicy: {mode: ALLOW_ANY}\n"
    if role in ("egress_mtls", "egress_mtls_log"):
        c.write("resources/external.yaml",
                SERVICE_ENTRY.format(sni=c.sni, ext=c.ext, crt=c.client_crt, key=c.client_key, ca=c.ca))
        if role.endswith("log"):
            mesh += f"accessLogFile: {c.dir}/access.log\n"
    elif role in ("mesh_client", "mesh_server"):
        text = MESH_SERVER if role == "mesh_server" else MESH_SERVICE.format(sni=c.sni, ext=c.ext)
        c.write("resources/mesh.yaml", text)
        mesh += "trustDomain: bench.test\n"
        flags = ["--namespace", "a", "--service-account", "app", "--identity-cert", c.mesh_crt, "--identity-key", c.mesh_key,
                 "--identity-root", c.ca]
    elif role.startswith("gateway"):
        c.write("resources/gateway.yaml", gateway(role, c))
        mesh += "enableAutoMtls: false\n"
        command, flags = "gateway", ["--labels", "istio=ingressgateway"]
    elif role != "tcp":
        return None
    return [c.bin, command, "--config", resources, "--mesh-config", c.write("mesh.yaml", mesh),
            "--concurrency", str(c.threads), "--log-level", "warning", *flags]


@proxy("sallyport-grown", "sallyport")
def sallyport_grown(role, c):
    """The main job among ten thousand other pairs."""
    if role != "egress_mtls":
        return None
    command = sallyport(role, c)
    growth.write(os.path.join(c.dir, "resources"), growth.PAIRS, 1)
    return command
