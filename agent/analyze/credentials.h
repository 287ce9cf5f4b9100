// The Secrets of an analysis, and what is wrong with one that somebody asks for.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/analyze/checks.h"
#include "certs/describe.h"
#include "certs/trust.h"

namespace sallyport::analyze {

// Who asks for which.
struct SecretUse {
  const Object* about = nullptr;  // the DestinationRule or Gateway
  std::string field;              // of the name, there
  std::string name;               // the Secret's
  std::string namespace_name;     // whose Secrets its proxies read
  const char* reader = "";        // "a sidecar", "a gateway's proxy"
  const char* until = "";         // what they do without it
};

class Credentials {
public:
  using Secret = Typed<istio::Secret>;
  explicit Credentials(Checks& checks);
  Credentials(const Credentials&) = delete;

  const Secret* find(std::string_view namespace_name, std::string_view name) const;
  // Tells where it is instead, or that it is nowhere.
  void report_missing(const SecretUse& use);

  // What is wrong with the certificate and key of a Secret. `code` empty: nothing is.
  struct Problem {
    std::string_view code;  // "SLP0303"
    std::string field, cause;
  };
  // `owner`: what asks for them, "mode MUTUAL of ..."; `what`: "the client certificate".
  Problem pair_problem(const Secret& secret, const std::string& owner, const char* what) const;
  // Tells of the CA in `twin` (NAME-cacert), else in `secret`; either may be null, not both. Once
  // for each Secret. `verifies`: "verifies servers with its CA"; `refused`: "every server".
  void report_roots(const SecretUse& use, const Secret* secret, const Secret* twin,
                    const char* verifies, const char* refused);
  void report(const Secret& secret, const Problem& problem);

private:
  Problem time_problem(const Secret& secret, const certs::CertificateInfo& info,
                       const char* what) const;
  void report_trust(const Secret& secret, const certs::TrustStore& roots);

  Checks& checks_;
  std::map<std::string, std::vector<Secret>, std::less<>> secrets_;  // by name
  std::set<const void*> roots_done_;  // one finding a Secret, however many use it
};

constexpr std::string_view ca_suffix = "-cacert";

}  // namespace sallyport::analyze
