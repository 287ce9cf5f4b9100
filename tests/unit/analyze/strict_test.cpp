// Clients and probes that meet STRICT in plaintext.
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

std::string sends(const std::string& policy, const std::string& host = "web") {
  return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, "
         "namespace: foo}\nspec: {host: '" +
         host + "', trafficPolicy: " + policy + "}\n---\n";
}
std::string pods(const std::string& annotations, const std::string& probe,
                 const std::string& labels = "app: web") {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: foo}\nspec: "
         "{template: {metadata: {labels: {" +
         labels + "}, annotations: {" + annotations +
         "}}, spec: {containers: [{name: app, ports: [{name: web, containerPort: 8080}]" + probe +
         "}]}}}\n---\n";
}
const std::string web_service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: foo}\nspec: {selector: {app: "
    "web}, ports: [{port: 80, name: http, targetPort: web}]}\n---\n";
const std::string strict = peer_authentication("{mtls: {mode: STRICT}}");

// "CODE resource field", a line each, of SLP0212 and SLP0601.
std::string found_of(const std::string& yaml) {
  std::string out;
  for (const auto& one : analysis_of({{"f.yaml", yaml}})) {
    if (one.code->id == "SLP0212" || one.code->id == "SLP0601")
      out += std::string(one.code->id) + " " + one.resource() + " " + one.field + "\n";
  }
  return out;
}

TEST(StrictWithoutAutoMtls, NeedsARuleThatSendsMutualTls) {
  const std::string both = web_service + pods("", ""), off = mesh_config("enableAutoMtls: false");
  EXPECT_EQ(found_of(off + both + strict), "SLP0212 Service web.foo spec.ports[0]\n");
  const auto all = listed(analysis_of({{"f.yaml", off + both + strict}}));
  EXPECT_TRUE(has(all,
                  "clients send plaintext to port 80 of web.foo.svc.cluster.local, for "
                  "enableAutoMtls is false"))
      << all;
  EXPECT_TRUE(has(all, "(STRICT by PeerAuthentication foo/p (f.yaml:")) << all;
  EXPECT_TRUE(has(all, "| set enableAutoMtls, or add a DestinationRule")) << all;
  const auto past = pods("traffic.sidecar.istio.io/excludeInboundPorts: '8080'", "");
  EXPECT_EQ(found_of(off + web_service + past + strict), "") << "no policy holds there";
  const std::string elsewhere =
      "{portLevelSettings: [{port: {number: 81}, tls: {mode: ISTIO_MUTUAL}}]}";
  EXPECT_EQ(found_of(off + both + strict + sends(elsewhere)),
            "SLP0212 Service web.foo spec.ports[0]\n");
  const std::string mutual = "{tls: {mode: ISTIO_MUTUAL}}";
  for (const auto& good :
       {off + both + strict + sends(mutual), off + both + strict + sends(mutual, "*.local"),
        mesh_config("enableAutoMtls: true") + both + strict, both + strict, off + both,
        off + both + peer_authentication("{mtls: {mode: PERMISSIVE}}"),
        off + both +
            peer_authentication("{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, "
                                "portLevelMtls: {8080: {mode: PERMISSIVE}}}"),
        off + web_service + pods("", "", "app: web, sidecar.istio.io/inject: 'false'") + strict})
    EXPECT_EQ(found_of(good), "") << good;
}

TEST(ProbesUnderStrict, AreRefusedWhereTheyAreNotRewritten) {
  const std::string plain = "sidecar.istio.io/rewriteAppHTTPProbers: 'false'";
  const std::string http = ", livenessProbe: {httpGet: {path: /, port: web}}";
  const std::string at = "SLP0601 Deployment web.foo spec.template.spec.containers[0].";
  EXPECT_EQ(found_of(strict + pods(plain, http)), at + "livenessProbe.httpGet\n");
  EXPECT_EQ(found_of(strict + pods(plain, ", readinessProbe: {tcpSocket: {port: 9000}}")),
            at + "readinessProbe.tcpSocket\n");
  EXPECT_EQ(found_of(strict + pods(plain, ", startupProbe: {grpc: {port: 9000}}")),
            at + "startupProbe.grpc\n");
  const std::string capture = plain + ", traffic.sidecar.istio.io/";
  for (const auto& good :
       {strict + pods("", http), pods(plain, http),
        strict + pods("sidecar.istio.io/rewriteAppHTTPProbers: 'true'", http),
        strict + pods(plain, ", livenessProbe: {exec: {command: [ls]}}"),
        strict + pods(plain, ", livenessProbe: {httpGet: {host: 1.2.3.4, port: 80}}"),
        strict + pods(plain, http, "sidecar.istio.io/inject: 'false'"),
        strict + pods(capture + "excludeInboundPorts: '81, 8080'", http),
        strict + pods(capture + "includeInboundPorts: '81'", http),
        peer_authentication(
            "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: "
            "{mode: DISABLE}}}") +
            pods(plain, http)})
    EXPECT_EQ(found_of(good), "") << good;
}

}  // namespace
}  // namespace sallyport::analyze
