#include "agent/analyze/codes.h"

#include <algorithm>
#include <cassert>

namespace sallyport::analyze {
namespace {

using enum Level;

// IST: istio/istio:pkg/config/analysis/msg/messages.yaml. SLP: ours; 01 references, 02 TLS modes,
// 03 credentials and certificates, 04 names, 05 routes and delegates, 06 pods, 07 policies, 09 this
// product.
constexpr Code table[] = {
    {"IST0101", error, "A resource that is referred to does not exist",
     "create it, or correct the name"},
    {"IST0103", warning, "A pod of an injected namespace has no proxy",
     "restart or redeploy the workload, so that it is injected"},
    {"IST0106", error, "The resource does not pass schema validation",
     "correct the field; until then a proxy refuses the resource and closes the hosts it names"},
    {"IST0109", error, "VirtualServices of the gateway mesh have the same host",
     "merge them into one VirtualService, or split it by delegates"},
    {"IST0110", error, "Sidecars select the same pod",
     "give them selectors that exclude each other, or merge them"},
    {"IST0111", error, "Several Sidecars of a namespace have no workloadSelector",
     "merge them, or give all but one a workloadSelector"},
    {"IST0112", error, "A VirtualService's destination needs a port",
     "give destination.port.number: the service has several ports"},
    {"IST0118", info, "The name of a Service's port gives no protocol",
     "name it PROTOCOL or PROTOCOL-SUFFIX (http-web, tcp-db), or set appProtocol"},
    {"IST0127", warning, "A selector matches no workload",
     "correct the labels of the selector or of the pods"},
    {"IST0128", warning, "A DestinationRule verifies servers without caCertificates",
     "set caCertificates or credentialName; without them the operating system's CAs are trusted"},
    {"IST0129", warning, "A port of a DestinationRule verifies servers without caCertificates",
     "set caCertificates or credentialName; without them the operating system's CAs are trusted"},
    {"IST0130", warning, "A VirtualService's rule is never used",
     "remove it, or put it before the rule that hides it"},
    {"IST0131", info, "A match of a VirtualService's rule never has an effect",
     "remove it, or put it before the match that hides it"},
    {"IST0132", warning, "A gateway has none of a VirtualService's hosts",
     "add the host to a server of the Gateway, or correct it"},
    {"IST0133", warning, "The schema warns",
     "correct the field: as it is, it has no effect or another one than meant"},
    {"IST0134", warning, "A ServiceEntry's port needs addresses",
     "set spec.addresses, so that the connection can be told from others of that port"},
    {"IST0140", warning, "A gateway's VirtualService goes past the subsets of another",
     "name the subset in the destination of the gateway's VirtualService too"},
    {"IST0144", warning, "An application runs as user 1337, the proxy's",
     "give the application another runAsUser: as 1337 its traffic is never captured"},
    {"IST0145", error, "Servers of Gateways have the same hosts on one port",
     "give them different hosts or ports: a proxy serves the first of them, and not the other"},
    {"IST0150", warning, "A port of an ExternalName Service has no good name",
     "name it after its protocol (http, tls), not tcp"},
    {"IST0157", warning, "A Telemetry names no provider, and the mesh has no default",
     "name a provider, or set meshConfig.defaultProviders.accessLogging"},
    {"IST0159", error, "Telemetries select the same pod",
     "give them selectors that exclude each other, or merge them"},
    {"IST0160", error, "Several Telemetries of a namespace have no selector",
     "give all but one a selector, or merge them: the oldest counts"},
    {"IST0161", error, "The Secret of a Gateway's credentialName can't be used",
     "give it a certificate that is valid now with its key (tls.crt and tls.key, or cert and key)"},
    {"IST0162", warning, "No Service of a Gateway's pods has a server's port",
     "add the port to the gateway's Service"},
    {"IST0165", warning, "A VirtualService names a gateway that Istio made for itself",
     "name the Gateway of gateway.networking.k8s.io that it was made from"},
    {"IST0167", warning, "A policy has no impact",
     "remove it, or merge it into the one that counts"},
    {"IST0173", error, "A DestinationRule's subset selects nothing",
     "correct the subset's labels, or the labels of pods and endpoints"},
    {"IST0174", warning, "A DestinationRule's host matches no service",
     "correct spec.host (its namespace, a typing error), or add the ServiceEntry"},
    {"IST0177", warning, "ServiceEntries declare one host and port with different protocols",
     "declare the port once, or with the same protocol"},
    {"SLP0102", error, "Two documents define the same resource",
     "remove one of them; the first counts"},
    {"SLP0103", warning, "ServiceEntries or Services declare one host and port twice",
     "declare it once: only the oldest counts"},
    {"SLP0104", warning, "Two DestinationRules for one host disagree",
     "merge them; only the oldest trafficPolicy counts"},
    {"SLP0201", error, "TLS inside TLS: the client's own TLS is wrapped again",
     "remove tls from this port (mode DISABLE), or declare the port HTTP and let clients speak "
     "plain HTTP"},
    {"SLP0202", error, "Plaintext goes to a port where the server speaks TLS",
     "add a DestinationRule for this host with portLevelSettings and tls for this port"},
    {"SLP0203", warning, "TLS goes to a port where servers usually speak plaintext",
     "set targetPort of the ServiceEntry's port to the server's TLS port (443)"},
    {"SLP0204", error, "portLevelSettings names a port that the service does not have",
     "name the port that clients dial (the service's, not the targetPort)"},
    {"SLP0205", warning, "tls without mode means DISABLE",
     "set mode: SIMPLE or MUTUAL, or say DISABLE if that is meant"},
    {"SLP0206", warning, "An entry of portLevelSettings drops the tls of the whole host",
     "repeat tls in the entry: what is absent there is not inherited"},
    {"SLP0207", warning, "sni is set, subjectAltNames is not: the server's name is not checked",
     "set subjectAltNames to the names that the server's certificate has"},
    {"SLP0208", warning, "insecureSkipVerify: whoever answers is believed",
     "verify with caCertificates or credentialName"},
    {"SLP0209", warning, "Port 443 is declared HTTP, and clients speak TLS there",
     "declare the protocol HTTPS (or TLS); HTTP only where clients send plain HTTP to 443"},
    {"SLP0210", error, "A DestinationRule sends no mutual TLS to workloads that take nothing else",
     "set tls.mode ISTIO_MUTUAL, or leave tls out: auto mTLS then does it"},
    {"SLP0211", error, "A DestinationRule sends Istio's mutual TLS where it is switched off",
     "leave tls out, or set mode DISABLE; or let the PeerAuthentication take mutual TLS"},
    {"SLP0212", warning,
     "Nothing makes clients speak mutual TLS to workloads that take nothing else",
     "set enableAutoMtls, or add a DestinationRule with tls.mode ISTIO_MUTUAL for the host"},
    {"SLP0301", error, "credentialName in a rule without workloadSelector",
     "add spec.workloadSelector: sidecars honour credentialName only then (Istio's send plaintext; "
     "this one refuses)"},
    {"SLP0302", error, "The Secret of a credentialName is in another namespace",
     "create it in the namespace of the client pods"},
    {"SLP0303", error, "The Secret of a credentialName has no certificate with its key",
     "give it tls.crt and tls.key (or cert and key)"},
    {"SLP0304", error, "The Secret of a credentialName has no CA certificate",
     "give it ca.crt (or cacert), or a Secret NAME-cacert with it"},
    {"SLP0305", error, "A certificate has expired",
     "renew it; changed Secrets and files are picked up live"},
    {"SLP0306", error, "A certificate is not valid yet",
     "wait, correct the clock, or issue it with an earlier start"},
    {"SLP0307", error, "A private key does not belong to its certificate",
     "put the key that the certificate was made with beside it"},
    {"SLP0308", error, "A certificate, key or CA can't be read",
     "give PEM text, base64 only once in data (or plain in stringData)"},
    {"SLP0309", warning, "A certificate expires soon", "renew it"},
    {"SLP0310", info, "A credentialName could not be checked: no Secrets are given",
     "analyze the Secrets, too"},
    {"SLP0401", warning, "subjectAltNames can match no certificate of this host",
     "give exact names as they stand in the certificate (api.example.com, spiffe://...)"},
    {"SLP0501", warning, "Conditions of a rule and of its delegate exclude each other",
     "let the delegate's match begin with the root's"},
    {"SLP0502", error, "Delegates lead in a circle", "a delegate must not delegate"},
    {"SLP0503", warning, "The VirtualService does not apply to sidecars",
     "add mesh to spec.gateways, or remove gateways"},
    {"SLP0504", error, "A delegate is not there",
     "create the VirtualService (without hosts), or correct name and namespace"},
    {"SLP0505", info, "A VirtualService's host matches no service",
     "correct the host, or add the ServiceEntry"},
    {"SLP0506", warning, "http rules of a VirtualService behind servers that see no requests",
     "write tls rules with sniHosts (or tcp ones), or let the server end TLS (mode SIMPLE)"},
    {"SLP0507", warning, "tls rules of a VirtualService behind servers that pass no TLS through",
     "write http rules (tcp ones behind protocol TLS), or give the server mode PASSTHROUGH"},
    {"SLP0508", info, "Of a VirtualService's wildcard host a gateway serves a part alone",
     "add the wildcard to a server's hosts, or name the host that is meant"},
    {"SLP0601", warning, "The kubelet's probe of a port that takes mutual TLS alone",
     "remove the annotation sidecar.istio.io/rewriteAppHTTPProbers, or set the port PERMISSIVE or "
     "DISABLE in portLevelMtls"},
    {"SLP0701", warning, "A rule asks who the client is where clients need not have an identity",
     "set mtls.mode STRICT for these workloads in a PeerAuthentication"},
    {"SLP0702", error, "A policy can't be evaluated and denies all that it selects",
     "let the application or a gateway check what only CUSTOM or a JWT can tell"},
    {"SLP0703", warning, "A policy names a Service's port in place of the container's",
     "write the port that the container listens on (the Service's targetPort)"},
    {"SLP0704", warning, "A value of a policy's rule can match nothing",
     "write it as clients have it: TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT, GET, /path"},
    {"SLP0705", warning, "A principal's trust domain is not one of the mesh",
     "write the mesh's trust domain, or add this one to meshConfig.trustDomainAliases"},
    {"SLP0901", error, "A proxy would refuse this", "see the reason"},
    {"SLP0902", warning, "A proxy would warn of this", "see the reason"},
    {"SLP0903", info, "Not supported: this has no effect in this product", "see the README"},
    {"SLP0904", warning, "A policy that protects has no effect in this product",
     "what it asks for has to be enforced elsewhere"},
};

}  // namespace

std::string Finding::resource() const {
  std::string out = kind + " " + name;
  if (!namespace_name.empty()) out += "." + namespace_name;
  return out;
}

std::string_view text_of(Level level) {
  return level == error ? "Error" : level == warning ? "Warning" : "Info";
}

std::span<const Code> codes() { return table; }

const Code& code(std::string_view id) {
  const auto* at = std::find_if(std::begin(table), std::end(table),
                                [&](const Code& one) { return one.id == id; });
  assert(at != std::end(table));
  return *at;
}

}  // namespace sallyport::analyze
