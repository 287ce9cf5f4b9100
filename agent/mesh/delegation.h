// The rules of one VirtualService as they hold for one proxy: its delegates' in the place of the
// roots that name them, and only the matches that can hold here (istio-api.md 1.4, 7). Pure. Points
// into the CompileInput, which must outlive it.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/mesh/compile.h"

namespace sallyport::mesh {

struct ServiceRules {
  const istio::VirtualService* service = nullptr;
  // Of http: delegates in place of their roots. A match that is left holds for this proxy; a rule
  // none of whose matches does is gone.
  std::vector<istio::HttpRoute> http;
  std::vector<ResourceRefPtr> from;  // of each: the VirtualService that it stands in
  // Set: it was refused and nobody knows where it would have led. Its host goes nowhere, and
  // `service` is null.
  ClusterPtr closed;
};

class Delegation {
public:
  explicit Delegation(const CompileInput& input);
  using Holds = std::function<bool(const istio::HttpMatch&)>;
  // `holds`: whether a match can hold for this proxy. `findings` learns of delegates that are not
  // there.
  ServiceRules rules_of(const istio::VirtualService& service, const Holds& holds,
                        std::vector<istio::Finding>& findings) const;

private:
  const istio::VirtualService* find(const istio::VirtualService& root,
                                    const istio::Delegate& wanted) const;

  const CompileInput& input_;
  std::map<std::pair<std::string, std::string>, const istio::VirtualService*> delegates_;
};

}  // namespace sallyport::mesh
