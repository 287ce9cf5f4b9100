// Who serves what: Pod, EndpointSlice, WorkloadGroup; and what a workload sees: Sidecar.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

// As the API server prints it, shortened; most fields are Kubernetes' own.
constexpr const char* pod_text = R"(
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
  uid: 1-2-3
  labels: {app: web, security.istio.io/tlsMode: istio}
  annotations: {sidecar.istio.io/status: '{}'}
  ownerReferences: [{kind: ReplicaSet, name: web}]
spec:
  serviceAccountName: web
  nodeName: node-1
  containers:
  - name: app
    image: web
    ports: [{containerPort: 8080, name: http}, {containerPort: 53, name: dns, protocol: UDP}]
    env: [{name: A, value: b}]
  initContainers:
  - name: istio-proxy
    restartPolicy: Always
    ports: [{containerPort: 15090, name: http-envoy-prom}]
  - {name: once, ports: [{containerPort: 1}]}
  tolerations: [{operator: Exists}]
status:
  phase: Running
  conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'True'}]
  podIP: 10.1.2.3
  podIPs: [{ip: 10.1.2.3}, {ip: '2001:db8::3'}]
)";

TEST(PodDecoding, ReadsWhatEndpointsNeedAndTakesKubernetesManyOtherFieldsWithoutAWord) {
  EXPECT_TRUE(decode(pod_text, "f.yaml").findings.empty());
  const auto pod = only<Pod>(pod_text);
  EXPECT_EQ(pod.metadata.namespace_name(), "shop");
  EXPECT_EQ(pod.metadata.labels.at("app"), "web");
  EXPECT_EQ(pod.ips, (std::vector<std::string>{"10.1.2.3", "2001:db8::3"}));
  EXPECT_EQ(pod.service_account, "web");
  ASSERT_EQ(pod.ports.size(), 2u) << "TCP ports of containers and native sidecars";
  EXPECT_EQ(pod.ports[0].name, "http");
  EXPECT_EQ(pod.ports[0].number, 8080);
  EXPECT_EQ(pod.ports[1].number, 15090);
  EXPECT_TRUE(pod.ready);
  EXPECT_FALSE(pod.over);
  EXPECT_FALSE(pod.host_network);
}

struct PodCase {
  const char* name;
  const char* more;
  bool ready, over, host_network, placed;
};
const PodCase pod_cases[] = {
    {"a manifest without status", "spec: {containers: [{name: a}]}\n", true, false, false, false},
    {"running, and not ready",
     "status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: 'False'}]}\n",
     false, false, false, true},
    {"a job's that has finished", "status: {phase: Succeeded, podIP: 10.0.0.1}\n", true, true,
     false, true},
    {"failed", "status: {phase: Failed, podIP: 10.0.0.1}\n", true, true, false, true},
    {"on the host's network", "spec: {hostNetwork: true}\nstatus: {podIP: 10.0.0.1}\n", true, false,
     true, true},
};
class PodState : public testing::TestWithParam<PodCase> {};
TEST_P(PodState, IsReadFromSpecAndStatus) {
  const auto& c = GetParam();
  const auto pod =
      only<Pod>("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n" + std::string(c.more));
  EXPECT_EQ(pod.ready, c.ready) << c.name;
  EXPECT_EQ(pod.over, c.over) << c.name;
  EXPECT_EQ(pod.host_network, c.host_network) << c.name;
  EXPECT_EQ(!pod.ips.empty(), c.placed) << c.name;
  EXPECT_EQ(pod.service_account, "default") << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, PodState, testing::ValuesIn(pod_cases));

TEST(PodDecoding, ItsNameBelowAHeadlessServiceIsItsHostnameElseItsOwn) {
  const std::string pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: db-0}\n";
  const auto named = only<Pod>(pod + "spec: {hostname: Primary, subdomain: DB}\n");
  EXPECT_EQ(named.host_name, "primary");
  EXPECT_EQ(named.subdomain, "db");
  const auto unnamed = only<Pod>(pod + "spec: {subdomain: db}\n");
  EXPECT_EQ(unnamed.host_name, "db-0");
  EXPECT_EQ(only<Pod>(pod + "spec: {}\n").subdomain, "");
}

std::string slice(const std::string& body) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-x, labels: "
         "{kubernetes.io/service-name: web}}\n" +
         body;
}

TEST(EndpointSliceDecoding, ReadsAddressesPortsAndReadiness) {
  const auto web = only<EndpointSlice>(slice(R"(addressType: IPv4
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: true, serving: true}
  targetRef: {kind: Pod, name: web-1}
  zone: z1
  nodeName: n
- {addresses: [10.0.0.2], conditions: {ready: false}, targetRef: {kind: Node, name: n}}
- {addresses: [10.0.0.3], conditions: {}}
ports:
- {name: http, port: 8080, protocol: TCP, appProtocol: http}
- {name: dns, port: 53, protocol: UDP}
)"));
  EXPECT_EQ(web.service, "web");
  ASSERT_EQ(web.endpoints.size(), 3u);
  EXPECT_EQ(web.endpoints[0].addresses, std::vector<std::string>{"10.0.0.1"});
  EXPECT_EQ(web.endpoints[0].pod, "web-1");
  EXPECT_EQ(web.endpoints[0].zone, "z1");
  EXPECT_FALSE(web.endpoints[1].ready);
  EXPECT_EQ(web.endpoints[1].pod, "");
  EXPECT_TRUE(web.endpoints[2].ready) << "unknown counts as ready";
  ASSERT_EQ(web.ports.size(), 1u);
  EXPECT_EQ(web.ports[0].name, "http");
  EXPECT_EQ(web.ports[0].number, 8080);
}

TEST(EndpointSliceDecoding, TakesNoNamesForEndpoints) {
  const std::string text = slice("addressType: FQDN\nendpoints: [{addresses: [a.example.com]}]\n");
  EXPECT_TRUE(only<EndpointSlice>(text).endpoints.empty());
  EXPECT_EQ(complaints(text),
            std::vector<std::string>{"4: addressType: names are no endpoints: Istio and this proxy "
                                     "take IP addresses"});
}

TEST(WorkloadGroupDecoding, ReadsTheTemplate) {
  const auto group = only<WorkloadGroup>(document("WorkloadGroup", R"(
metadata: {labels: {app: vm}, annotations: {a: b}}
template:
  serviceAccount: vm-account
  ports: {http: 8080}
  network: n1
  locality: r/z
  labels: {app: other, version: v1}
)"));
  EXPECT_EQ(group.labels.at("app"), "vm");
  EXPECT_EQ(group.labels.at("version"), "v1");
  EXPECT_EQ(group.service_account, "vm-account");
  EXPECT_EQ(group.ports.at("http"), 8080);
  EXPECT_EQ(group.locality, "r/z");
}

struct Complaint {
  const char* name;
  const char* body;
  const char* complaint;  // the first one; empty: none
};
const Complaint group_cases[] = {
    {"a template is required", "metadata: {}\n", "6: spec.template: template is required"},
    {"labels are checked", "metadata: {labels: {'a b': c}}\ntemplate: {}\n",
     "6: spec.metadata.labels: invalid tag key: \"a b\""},
    {"a probe's method is one of four", "template: {}\nprobe: {periodSeconds: 1}\n",
     "7: spec.probe: unknown health check method"},
    {"times of a probe are not negative",
     "template: {}\nprobe: {periodSeconds: -1, exec: {command: [a]}}\n",
     "7: spec.probe.periodSeconds: periodSeconds must be non-negative"},
    {"a command is needed", "template: {}\nprobe: {exec: {}}\n",
     "7: spec.probe.exec.command: exec.command is required"},
    {"a scheme is HTTP or HTTPS", "template: {}\nprobe: {httpGet: {port: 80, scheme: ftp}}\n",
     "7: spec.probe.httpGet.scheme: httpGet.scheme must be one of \"HTTPS\", \"HTTP\""},
};
class WorkloadGroupRefusal : public testing::TestWithParam<Complaint> {};
TEST_P(WorkloadGroupRefusal, NamesWhatIsWrong) {
  const auto all = complaints(document("WorkloadGroup", GetParam().body));
  ASSERT_FALSE(all.empty()) << GetParam().name;
  EXPECT_EQ(all[0], GetParam().complaint) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, WorkloadGroupRefusal, testing::ValuesIn(group_cases));

TEST(SidecarDecoding, ReadsAllThatDecides) {
  const auto sidecar = only<Sidecar>(document("Sidecar", R"(
workloadSelector: {labels: {app: web}}
egress:
- {port: {number: 9080, protocol: HTTP, name: http}, hosts: [./*, prod/a.b.c]}
- {hosts: ['*/*', '~dev/*']}
ingress:
- {port: {number: 8080, protocol: http, name: http-in}, defaultEndpoint: 127.0.0.1:9000}
outboundTrafficPolicy: {mode: ALLOW_ANY}
)"));
  ASSERT_TRUE(sidecar.workload_selector);
  EXPECT_EQ(sidecar.workload_selector->at("app"), "web");
  ASSERT_EQ(sidecar.egress.size(), 2u);
  EXPECT_EQ(sidecar.egress[0].port->number, 9080);
  EXPECT_EQ(sidecar.egress[0].hosts, (std::vector<std::string>{"./*", "prod/a.b.c"}));
  EXPECT_FALSE(sidecar.egress[1].port);
  ASSERT_EQ(sidecar.ingress.size(), 1u);
  EXPECT_EQ(sidecar.ingress[0].port.number, 8080);
  EXPECT_EQ(sidecar.ingress[0].port.protocol, "HTTP");
  EXPECT_EQ(sidecar.ingress[0].default_endpoint, "127.0.0.1:9000");
  EXPECT_EQ(sidecar.allow_any, true);
}

TEST(SidecarDecoding, APolicyWithoutAModeIsRegistryOnlyAndNoPolicyIsTheMeshs) {
  const std::string egress = "egress: [{hosts: ['*/*']}]\n";
  EXPECT_EQ(only<Sidecar>(document("Sidecar", egress)).allow_any, std::nullopt);
  EXPECT_EQ(only<Sidecar>(document("Sidecar", egress + "outboundTrafficPolicy: {}\n")).allow_any,
            false);
  EXPECT_EQ(
      only<Sidecar>(document("Sidecar", egress + "outboundTrafficPolicy: {mode: ALLOW_ANY, "
                                                 "egressProxy: {host: a.b, port: {number: 1}}}\n"))
          .allow_any,
      false)
      << "nothing goes past the egress proxy that was asked for";
}

const Complaint sidecar_cases[] = {
    {"empty", "{}\n", "6: spec: sidecar: empty configuration provided"},
    {"no hosts", "egress: [{hosts: []}]\n",
     "6: spec.egress[0].hosts: sidecar: egress listener must contain at least one host"},
    {"a host without a namespace", "egress: [{hosts: [a.b]}]\n",
     "6: spec.egress[0].hosts[0]: host must be of form namespace/dnsName"},
    {"a short name", "egress: [{hosts: [ns/a]}]\n",
     "6: spec.egress[0].hosts[0]: short names (non FQDN) are not allowed"},
    {"a namespace that is none", "egress: [{hosts: ['N_S/a.b']}]\n",
     "6: spec.egress[0].hosts[0]: invalid namespace value \"n_s\" in sidecar"},
    {"nothing at all is a host", "egress: [{hosts: ['~/*']}]\n", ""},
    {"an excluded namespace", "egress: [{hosts: ['*/*', '~prod/*']}]\n", ""},
    {"the listener for the rest is not last",
     "egress: [{hosts: ['*/*']}, {port: {number: 1, protocol: TCP}, hosts: ['*/*']}]\n",
     "6: spec.egress[1]: sidecar: the egress listener with empty port should be the last listener "
     "in the list"},
    {"one port twice",
     "egress: [{port: {number: 1}, hosts: ['*/*']}, {port: {number: 1}, hosts: ['*/*']}]\n",
     "6: spec.egress[1].port: sidecar: ports on IP bound listeners must be unique"},
    {"a protocol that nobody knows", "egress: [{port: {number: 1, protocol: X}, hosts: ['*/*']}]\n",
     "6: spec.egress[0].port.protocol: unsupported protocol: X"},
    {"an ingress listener without a port", "ingress: [{defaultEndpoint: '127.0.0.1:1'}]\n",
     "6: spec.ingress[0].port: sidecar: port is required for ingress listeners"},
    {"an ingress listener elsewhere",
     "ingress: [{port: {number: 1, protocol: TCP}, defaultEndpoint: '10.0.0.1:1'}]\n",
     "6: spec.ingress[0].defaultEndpoint: sidecar: defaultEndpoint must be of form "
     "127.0.0.1:<port>,0.0.0.0:<port>,[::1]:port,[::]:port,unix://filepath or unset"},
    {"an ingress listener on a port that is none",
     "ingress: [{port: {number: 1, protocol: TCP}, defaultEndpoint: '127.0.0.1:0'}]\n",
     "6: spec.ingress[0].defaultEndpoint: port number 0 must be in the range 1..65535"},
    {"ingress to a unix socket",
     "ingress: [{port: {number: 1, protocol: TCP}, defaultEndpoint: 'unix:///run/a.sock'}]\n", ""},
    {"a mode that nobody knows", "outboundTrafficPolicy: {mode: REGISTRY}\n",
     "6: spec.outboundTrafficPolicy.mode: unsupported value \"REGISTRY\", supported: "
     "REGISTRY_ONLY, ALLOW_ANY, ALLOW_ANY_DYNAMIC_DNS"},
    {"a mistyped field of the policy", "outboundTrafficPolicy: {mod: ALLOW_ANY}\n",
     "6: spec.outboundTrafficPolicy.mod: unknown field; did you mean \"mode\"?"},
    {"an egress proxy needs ALLOW_ANY", "outboundTrafficPolicy: {egressProxy: {host: a.b}}\n",
     "6: spec.outboundTrafficPolicy.egressProxy: sidecar: egress_proxy must be set only with "
     "ALLOW_ANY outbound_traffic_policy mode"},
    {"wildcards in selectors", "workloadSelector: {labels: {a: '*'}}\noutboundTrafficPolicy: {}\n",
     "6: spec.workloadSelector.labels: wildcard is not supported in selector: \"a=*\""},
    {"targetPort", "ingress: [{port: {number: 1, protocol: TCP, targetPort: 2}}]\n",
     "6: spec.ingress[0].port.targetPort: targetPort has no impact on Sidecars"},
    {"TLS of ingress needs a TLS port",
     "ingress: [{port: {number: 1, protocol: HTTP}, tls: {mode: SIMPLE}}]\n",
     "6: spec.ingress[0].tls: server cannot have TLS settings for non HTTPS/TLS ports"},
    {"TLS of ingress needs its files",
     "ingress: [{port: {number: 1, protocol: HTTPS}, tls: {mode: SIMPLE, privateKey: k}}]\n",
     "6: spec.ingress[0].tls.serverCertificate: SIMPLE TLS requires a server certificate"},
    {"mutual TLS of ingress needs a CA too",
     "ingress: [{port: {number: 1, protocol: HTTPS}, "
     "tls: {mode: MUTUAL, serverCertificate: c, privateKey: k}}]\n",
     "6: spec.ingress[0].tls.caCertificates: MUTUAL TLS requires a client CA bundle"},
    {"a unix socket is not captured by iptables",
     "egress: [{port: {number: 0, protocol: TCP}, bind: 'unix:///a', captureMode: IPTABLES, "
     "hosts: ['*/*']}]\n",
     "6: spec.egress[0].captureMode: sidecar: captureMode must be DEFAULT/NONE for unix domain "
     "socket listeners"},
    {"a unix socket's path begins at the root",
     "egress: [{port: {number: 0, protocol: TCP}, bind: 'unix://a', hosts: ['*/*']}]\n",
     "6: spec.egress[0].bind: \"a\" is not an absolute path to a file"},
    {"an egress proxy needs a port",
     "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.b}}\n",
     "6: spec.outboundTrafficPolicy.egressProxy.port: sidecar: egress_proxy port must be non-nil"},
};
class SidecarVerdict : public testing::TestWithParam<Complaint> {};
TEST_P(SidecarVerdict, IsIstios) {
  const auto& c = GetParam();
  const auto decoded = decode(document("Sidecar", c.body), "f.yaml");
  const auto all = complaints(document("Sidecar", c.body));
  EXPECT_EQ(all.empty() ? "" : all[0], c.complaint) << c.name;
  EXPECT_EQ(decoded.refused.empty(), std::string_view(c.complaint).empty()) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, SidecarVerdict, testing::ValuesIn(sidecar_cases));

TEST(SidecarDecoding, AUnixSocketBelongsToOneListener) {
  const std::string listener =
      "{port: {number: 0, protocol: TCP}, bind: 'unix:///a', hosts: ['*/*']}";
  const auto all =
      complaints(document("Sidecar", "egress: [" + listener + ", " + listener + "]\n"));
  EXPECT_EQ(std::count(all.begin(), all.end(),
                       "6: spec.egress[1].bind: sidecar: unix domain socket values for listeners "
                       "must be unique"),
            1);
}

TEST(SidecarDecoding, NamesHostsThatAreThereAlready) {
  const auto warned = [](const std::string& hosts) {
    return complaints(document("Sidecar", "egress: [{hosts: [" + hosts + "]}]\n"));
  };
  const std::vector<std::string> second = {
      "6: spec.egress[0].hosts[1]: duplicated egress host: a/b.c"};
  EXPECT_EQ(warned("a/b.c, a/b.c"), second);
  EXPECT_EQ(warned("'a/*', a/b.c"), second);
  EXPECT_EQ(warned("a/b.c, 'a/*'").size(), 1u);
  EXPECT_EQ(warned("a/b.c, a/c.d, b/b.c"), std::vector<std::string>{});
}

}  // namespace
}  // namespace sallyport::istio
