"""Sallyport for the paired benchmark: tests/bench/bench.py takes it, and so does any harness with the same `proxy` decorator
(--adapters). SALLYPORT_BIN names the binary, by default that of the release build.

It is configured as a user would: a directory with a ServiceEntry and a DestinationRule, and a MeshConfig file.
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


@proxy("sallyport", "sallyport")
def sallyport(role, c):
    resources = os.path.join(c.dir, "resources")
    os.makedirs(resources, exist_ok=True)
    mesh = "outboundTrafficPolicy: {mode: ALLOW_ANY}\n"
    if role in ("egress_mtls", "egress_mtls_log"):
        c.write("resources/external.yaml",
                SERVICE_ENTRY.format(sni=c.sni, ext=c.ext, crt=c.client_crt, key=c.client_key, ca=c.ca))
        if role.endswith("log"):
            mesh += f"accessLogFile: {c.dir}/access.log\n"
    elif role != "tcp":
        return None
    return [c.bin, "sidecar", "--config", resources, "--mesh-config", c.write("mesh.yaml", mesh),
            "--concurrency", str(c.threads), "--log-level", "warning"]


@proxy("sallyport-grown", "sallyport")
def sallyport_grown(role, c):
    """The main job among ten thousand other pairs."""
    if role != "egress_mtls":
        return None
    command = sallyport(role, c)
    growth.write(os.path.join(c.dir, "resources"), growth.PAIRS, 1)
    return command
