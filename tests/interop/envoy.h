// A real Envoy in a pod without a sidecar of ours, configured as Istio configures its sidecars:
// what it offers and what it verifies (istio-api.md 2.11, 2.12).
#pragma once
#include <string>

namespace sallyport::interop {

inline const std::string access_log = R"(
          access_log:
          - name: stdout
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                text_format_source:
                  inline_string: "envoy %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% reason=%UPSTREAM_TRANSPORT_FAILURE_REASON% peer=%DOWNSTREAM_PEER_URI_SAN% upstream=%UPSTREAM_PEER_URI_SAN% sni=%REQUESTED_SERVER_NAME%\n"
)";

inline const std::string own_certificate = R"(
        tls_certificates:
        - certificate_chain: {filename: /etc/identity/certificates.pem}
          private_key: {filename: /etc/identity/private_key.pem}
)";

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
  const std::string head = "  - name: " + name +
                           "\n    address: {socket_address: {address: 127.0.0.1, port_value: " +
                           std::to_string(out.port) + "}}\n    filter_chains:\n    - filters:\n";
  if (!out.http) {
    return head + R"(      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: )" +
           name + access_log;
  }
  return head + R"(      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: )" +
         name + R"(}}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router})" +
         access_log;
}

inline std::string cluster(const Outbound& out) {
  const std::string to = std::to_string(out.to);
  return "  - name: out_" + std::to_string(out.port) + R"(
    type: STRICT_DNS
    load_assignment:
      cluster_name: x
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: )" +
         out.server + ", port_value: " + to + R"(}}}}]}]
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: outbound_.)" +
         to + "_._." + out.server + R"(
        common_tls_context:
          alpn_protocols: [)" +
         (out.http ? "istio-http/1.1, istio, http/1.1" : "istio-peer-exchange, istio") + R"(]
          tls_certificates:
          - certificate_chain: {filename: /etc/identity/certificates.pem}
            private_key: {filename: /etc/identity/private_key.pem}
          validation_context:
            trusted_ca: {filename: /etc/identity/ca_certificates.pem}
            match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: ")" +
         out.san + "\"}}]\n";
}

// The server's end: mutual TLS of the mesh on 0.0.0.0:`port` becomes plaintext to 127.0.0.1:`app`.
struct Inbound {
  int port = 0, app = 0;
  bool http = true;
};

inline std::string listener(const Inbound& in) {
  const std::string name = "in_" + std::to_string(in.port);
  std::string filter = R"(      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: )" + name;
  if (in.http) {
    filter = R"(      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          forward_client_cert_details: APPEND_FORWARD
          set_current_client_cert_details: {subject: true, uri: true, dns: true}
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: )" +
             name + R"(}}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router})";
  }
  return "  - name: " + name + "\n    address: {socket_address: {address: 0.0.0.0, port_value: " +
         std::to_string(in.port) + R"(}}
    listener_filters:
    - name: envoy.filters.listener.tls_inspector
      typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}
    filter_chains:
    - filter_chain_match: {transport_protocol: tls, application_protocols: [istio, istio-peer-exchange, istio-http/1.0, istio-http/1.1, istio-h2]}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            alpn_protocols: [)" +
         (in.http ? "h2, http/1.1" : "istio-peer-exchange, h2, http/1.1") + R"(]
            tls_certificates:
            - certificate_chain: {filename: /etc/identity/certificates.pem}
              private_key: {filename: /etc/identity/private_key.pem}
            validation_context:
              trusted_ca: {filename: /etc/identity/ca_certificates.pem}
              match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "spiffe://cluster.local/"}}]
      filters:
)" + filter +
         access_log;
}

inline std::string cluster(const Inbound& in) {
  return "  - name: in_" + std::to_string(in.port) + R"(
    type: STATIC
    load_assignment:
      cluster_name: x
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: )" +
         std::to_string(in.app) + "}}}}]}]\n";
}

inline std::string configuration(const std::string& listeners, const std::string& clusters) {
  return "static_resources:\n  listeners:\n" + listeners + "  clusters:\n" + clusters;
}

}  // namespace sallyport::interop
