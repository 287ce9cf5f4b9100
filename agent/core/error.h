// Errors are values: what went wrong, on whose side, whether another try can help, and a sentence
// for the operator. They travel unchanged from where they arise to the access log, the response and
// the metrics.
#pragma once
#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace sallyport {

enum class Side : uint8_t { downstream, upstream, local };

enum class Fault : uint8_t {
  refused,         // connect refused, unreachable
  timed_out,       // connect, handshake, request or idle time over
  reset,           // peer closed or reset where it should not have
  tls_handshake,   // alert, wrong version, plain HTTP where TLS was expected
  tls_verify,      // chain, expiry, name
  missing_secret,  // a rule names a certificate that is absent or broken
  no_route,        // no virtual host, no filter chain
  no_cluster,      // route names a cluster that does not exist
  no_endpoint,     // cluster known, nobody to send to (DNS gave nothing)
  denied,          // policy says no (REGISTRY_ONLY, a loop)
  overflow,        // a limit was reached
  protocol,        // bytes that no standard allows
  internal,        // no descriptors left, a bug
  unresolved,      // dynamic DNS: the host that the client named has no address
};

struct Error {
  Fault fault = Fault::internal;
  Side side = Side::local;
  bool retryable = false;
  std::string context;   // "connect 10.0.0.7:443 for api.example.com: Connection refused"
  std::string resource;  // What caused it: "DestinationRule default/x (file.yaml:12)", or empty.
};

template <class T>
using Result = boost::system::result<T, Error>;

// Prefixes the context: "what: context".
inline Error while_doing(std::string_view what, Error cause) {
  std::string whole(what);
  whole.append(": ").append(cause.context);
  cause.context = std::move(whole);
  return cause;
}

// boost::system::result asks for this when value() is called on an error: a bug of ours, so it ends
// the process.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location&);

}  // namespace sallyport
