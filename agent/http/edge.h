// What a gateway does to the head of a request from outside of the mesh, beside what every hop does
// (rewrite.h): it says who the client is, and takes nobody else's word for what only the mesh may
// say.
//
// Source: Envoy's HTTP connection manager with use_remote_address, as istiod sets gateways up
// (ConnectionManagerUtility::mutateRequestHeaders). Since Envoy 1.33 no address is internal unless
// meshNetworks name it, which are not read here: every request to a gateway is from outside.
// Threading: pure functions and values.
#pragma once
#include <cstdint>

#include "agent/core/address.h"
#include "agent/http/message/head.h"

namespace sallyport::http {

// What becomes of the sender's X-Forwarded-Client-Cert (Envoy's forward_client_cert_details, in
// the order of its numbers). "Shown": the connection came with a client's certificate.
enum class ForwardClientCert : uint8_t {
  sanitize,            // dropped
  forward_only,        // goes on if a certificate was shown, else dropped
  append_forward,      // our element behind it if one was shown, else dropped: a sidecar
  sanitize_set,        // our element in its place if one was shown, else dropped: a gateway
  always_forward_only  // goes on, whoever sent it
};

// What a gateway knows of one request's sender.
struct Edge {
  // Of the connection, or what its PROXY protocol header said. Unset (a unix socket): nothing is
  // appended to X-Forwarded-For.
  IpAddress peer;
  IpAddress own;     // this proxy's; appended in a loopback peer's place. Unset: nothing is.
  IpAddress client;  // trusted_client()'s; x-envoy-external-address. Unset: there is none.
  // numTrustedProxies. More than 0: the sender's x-forwarded-proto is believed.
  uint32_t trusted_proxies = 0;
};

// Whom access logs, policies and the upstream are told as the client: with N trusted proxies in
// front of this one, what they made of X-Forwarded-For is its Nth last address; the peer where N is
// 0, where the list is shorter, and where that place holds no IP address.
IpAddress trusted_client(const Head& head, uint32_t trusted_proxies, const IpAddress& peer);

}  // namespace sallyport::http
