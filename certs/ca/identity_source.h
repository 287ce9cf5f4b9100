// Where a workload's identity comes from: a CA, mounted files, the SPIFFE Workload API.
#pragma once
#include <functional>
#include <string>

#include "agent/core/error.h"
#include "certs/ca/secret_text.h"

namespace sallyport::ca {

struct IdentityMaterial {
  std::string chain_pem;  // leaf first
  SecretText key_pem;
  std::string roots_pem;
  // The id that the leaf must carry; empty: whatever SPIFFE id it has, or none.
  std::string spiffe_id = {};
  // The pod's own id, where another is taken too, but with a warning; empty: none is expected.
  std::string expected_id = {};
};

// Threading: all calls, and what is handed in, on one io_context's thread (or before it runs).
// Destroying a source ends what it has under way; it delivers nothing after that.
class IdentitySource {
public:
  using Deliver = std::function<void(Result<IdentityMaterial>)>;

  virtual ~IdentitySource() = default;
  // One attempt. It ends in a delivery, at once or later; a source that `follows` delivers again
  // whenever there is something newer, until an error, after which it is to be asked again.
  virtual void fetch(Deliver deliver) = 0;
  virtual bool follows() const = 0;
  // For logs: "CA istiod.istio-system.svc:15012".
  virtual std::string name() const = 0;
};

}  // namespace sallyport::ca
