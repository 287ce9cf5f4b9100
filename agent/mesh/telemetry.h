// Which access loggers hold for this proxy: Telemetry of the mesh, the namespace and the workload,
// merged as istiod does, else meshConfig.accessLogFile (istio-api.md 1.10;
// istio/istio:pilot/pkg/model/telemetry.go). Pure; runs on the configuration thread.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agent/core/resource_ref.h"
#include "agent/istio/decode.h"

namespace sallyport::mesh {

struct CompileInput;

struct AccessLogger {
  std::string provider;  // as meshConfig names it; empty: of accessLogFile
  std::string path;      // "/dev/stdout", "/dev/stderr" or a file
  std::string format;    // empty: Istio's default, of either encoding
  bool json = false;
  bool omit_empty_values = false;
  std::string filter;  // a CEL expression, not looked at here; empty: everything
  // For which connections: those that this proxy makes for its workload (or as a gateway), and
  // those that enter the pod.
  bool client = false, server = false;
  ResourceRefPtr filter_from;  // the Telemetry; null: there is no filter
  std::string filter_field;    // "spec.accessLogging[0].filter.expression"
  int filter_line = 0;
};

struct AccessLogging {
  std::vector<AccessLogger> loggers;  // by provider; empty: nothing is logged
};

// Never null. `findings` gets what has no effect: Telemetries beside an older one of their scope,
// entries without a provider, providers that are missing or not supported.
std::shared_ptr<const AccessLogging> access_logging(const CompileInput& input,
                                                    std::vector<istio::Finding>& findings);

}  // namespace sallyport::mesh
