// `sallyport inject`: adds the init container and the sidecar to the pod templates in a text of
// Kubernetes manifests. Pure: text in, text out.
//
// The document is edited, not rewritten: what is put in is put between the author's own bytes, so
// comments, order, quoting and unknown fields stay. YAML in block or flow style, JSON, several
// documents, and `kind: List`.
//
// Idempotent: a pod template with the annotation `sidecar.istio.io/status` is left as it is.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/inject_mesh.h"
#include "agent/core/error.h"

namespace sallyport::cli {

struct InjectOptions {
  std::string image =
      "sallyport:" SALLYPORT_VERSION;  // annotation sidecar.istio.io/proxyImage wins
  MeshSettings mesh;
};

struct Injected {
  std::string text;
  std::vector<std::string> notes;     // a line for each template: injected, or why not
  std::vector<std::string> warnings;  // "FILE:LINE: Deployment default/sleep: ..."
};

// Left alone, as Istio does: label or annotation `sidecar.istio.io/inject: "false"` (any other word
// than "true" and "false" counts as none, with a warning); hostNetwork;
// namespaces kube-system, kube-public, kube-node-lease, local-path-storage; and those whose
// Namespace in the same text has the label `istio-injection: disabled`. Error: broken YAML, an
// annotation that Istio refuses or that can't be honoured. A container of the pod's own that is
// called istio-proxy or istio-init lies over the template's (inject_merge.h).
Result<Injected> inject(std::string_view text, const std::string& file,
                        const InjectOptions& options = {});

}  // namespace sallyport::cli
