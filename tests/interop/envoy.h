// A real Envoy in a pod without a sidecar of ours, configured as Istio configures its sidecars:
// what it offers and what it verifies (istio-api.md 2.11, 2.12).
#pragma once
#include <string>

namespace sallyport::interop {

// `"@type": ...` of an extension's configuration.
inline std::string type_of(const std::string& extension) {
  return "\"@type\": type.googleapis.com/envoy.extensions." + extension;
}

inline const std::string access_log = R"(
          access_log:
          - name: stdout
            typed_config:
              )" + type_of("access_loggers.stream.v3.StdoutAccessLog") +
                                      R"(
              log_format:
                text_format_source:
                  inline_string: "envoy %RESPONSE_CODE% %RESPONSE_FLAGS%
                    reason=%UPSTREAM_TRANSPORT_FAILURE_REASON% peer=%DOWNSTREAM_PEER_URI_SAN%
                    upstream=%UPSTREAM_PEER_URI_SAN% sni=%REQUESTED_SERVER_NAME%\n"
)";

inline const std::string identity_files = R"(
          tls_certificates:
          - certificate_chain: {filename: /etc/identity/certificates.pem}
            private_key: {filename: /etc/identity/private_key.pem}
          validation_context:
            trusted_ca: {filename: /etc/identity/ca_certificates.pem}
)";

// What both ends do with a connection: HTTP requests or bytes to the cluster.
inline std::string filter(const std::string& cluster, bool http) {
  if (!http) {
    return R"(      - name: envoy.filters.network.tcp_proxy
        typed_config:
          )" +
           type_of("filters.network.tcp_proxy.v3.TcpProxy") + R"(
          stat_prefix: tcp
          cluster: )" +
           cluster + access_log;
  }
  return R"(      - name: envoy.filters.network.http_connection_manager
        typed_config:
          )" +
         type_of("filters.network.http_connection_manager.v3.HttpConnectionManager") + R"(
          stat_prefix: http
          forward_client_cert_details: APPEND_FORWARD
          set_current_client_cert_details: {subject: true, uri: true, dns: true}
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: )" +
         cluster + R"(}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {)" +
         type_of("filters.http.router.v3.Router") + "}" + access_log;
}

inline std::string address(const std::string& host, int port) {
  return "{socket_address: {address: " + host + ", port_value: " + std::to_string(port) + "}}";
}

inline std::string endpoints(const std::string& host, int port) {
  return "\n    load_assignment:\n      cluster_name: x\n      endpoints:\n      - lb_endpoints: "
         "[{endpoint: {address: " +
         address(host, port) + "}}]\n";
}

// The client's end: plaintext on 127.0.0.1:`port` goes to server:`to` by mutual TLS.
struct Outbound {
  int port = 0;
  std::string server;
  int to = 0;
  bool http = true;
  std::string san;  // the SPIFFE id that the server must have
};

inline std::string listener(const Outbound& out) {
  const std::string name = "out_" + std::to_string(out.port);
  return "  - name: " + name + "\n    address: " + address("127.0.0.1", out.port) +
         "\n    filter_chains:\n    - filters:\n" + filter(name, out.http);
}

inline std::string cluster(const Outbound& out) {
  return "  - name: out_" + std::to_string(out.port) + "\n    type: STRICT_DNS" +
         endpoints(out.server, out.to) + R"(    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        )" +
         type_of("transport_sockets.tls.v3.UpstreamTlsContext") + R"(
        sni: outbound_.)" +
         std::to_string(out.to) + "_._." + out.server + R"(
        common_tls_context:
          alpn_protocols: [)" +
         (out.http ? "istio-http/1.1, istio, http/1.1" : "istio-peer-exchange, istio") + "]" +
         identity_files + R"(            match_typed_subject_alt_names:
            - {san_type: URI, matcher: {exact: ")" +
         out.san + "\"}}\n";
}

// The server's end: mutual TLS of the mesh on 0.0.0.0:`port` becomes plaintext to 127.0.0.1:`app`.
struct Inbound {
  int port = 0, app = 0;
  bool http = true;
};

inline std::string listener(const Inbound& in) {
  const std::string name = "in_" + std::to_string(in.port);
  return "  - name: " + name + "\n    address: " + address("0.0.0.0", in.port) + R"(
    listener_filters:
    - name: envoy.filters.listener.tls_inspector
      typed_config:
        )" +
         type_of("filters.listener.tls_inspector.v3.TlsInspector") + R"(
    filter_chains:
    - filter_chain_match:
        transport_protocol: tls
        application_protocols:
          [istio, istio-peer-exchange, istio-http/1.0, istio-http/1.1, istio-h2]
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
         )" +
         type_of("transport_sockets.tls.v3.DownstreamTlsContext") + R"(
         require_client_certificate: true
         common_tls_context:
          alpn_protocols: [)" +
         (in.http ? "h2, http/1.1" : "istio-peer-exchange, h2, http/1.1") + "]" + identity_files +
         R"(            match_typed_subject_alt_names:
            - {san_type: URI, matcher: {prefix: "spiffe://cluster.local/"}}
      filters:
)" + filter(name, in.http);
}

inline std::string cluster(const Inbound& in) {
  return "  - name: in_" + std::to_string(in.port) + "\n    type: STATIC" +
         endpoints("127.0.0.1", in.app);
}

inline std::string configuration(const std::string& listeners, const std::string& clusters) {
  return "static_resources:\n  listeners:\n" + listeners + "  clusters:\n" + clusters;
}

}  // namespace sallyport::interop
