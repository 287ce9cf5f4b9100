// TLS parameters where a configuration names them (meshConfig.tlsDefaults, meshMTLS).
#pragma once
#include <string>

namespace sallyport::tls {

struct Parameters {
  bool only_tls_1_3 = false;
  std::string ciphers, curves;  // OpenSSL's lists ("a:b"); empty: the context's
};

}  // namespace sallyport::tls
