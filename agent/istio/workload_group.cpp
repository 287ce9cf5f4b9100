// WorkloadGroup (istio-api.md 1.2): checked as Istio does; who registers workloads by it is istiod.
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

void check_http_probe(Fields& http) {
  http.port("port");
  if (!http.has("port")) http.error("port", "port number 0 must be in the range 1..65535");
  const std::string scheme = http.text("scheme");
  if (!scheme.empty() && scheme != "HTTP" && scheme != "HTTPS") {
    http.error("scheme", "httpGet.scheme must be one of \"HTTPS\", \"HTTP\"");
  }
  http.ignore({"path", "host", "httpHeaders"});
}

void check_tcp_probe(Fields& tcp) {
  tcp.port("port");
  if (!tcp.has("port")) tcp.error("port", "port number 0 must be in the range 1..65535");
  tcp.ignore({"host"});
}

void check_probe(Fields& probe) {
  for (const std::string_view name : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
                                      "successThreshold", "failureThreshold"}) {
    const auto given = probe.integer(name, INT32_MIN, INT32_MAX);
    if (given.value_or(0) < 0) probe.error(name, std::string(name) + " must be non-negative");
  }
  probe.object("httpGet", check_http_probe);
  probe.object("tcpSocket", check_tcp_probe);
  probe.object("exec", [](Fields& exec) {
    if (exec.texts("command").empty()) exec.error("command", "exec.command is required");
  });
  const bool any =
      probe.has("httpGet") || probe.has("tcpSocket") || probe.has("exec") || probe.has("grpc");
  if (!any) probe.error("", "unknown health check method");
  probe.unsupported({"httpGet", "tcpSocket", "exec", "grpc"});
}

void decode_template(WorkloadGroup& group, Fields& fields) {
  const WorkloadEntry entry = decode_workload(fields);
  group.service_account = entry.service_account;
  group.network = entry.network;
  group.locality = entry.locality;
  group.ports = entry.ports;
  for (const auto& [key, value] : entry.labels) group.labels.try_emplace(key, value);
}

void decode_spec(WorkloadGroup& group, Fields& spec) {
  spec.object("metadata", [&](Fields& metadata) {
    group.labels = metadata.labels("labels");
    check_labels(metadata, "labels", group.labels);
    metadata.ignore({"annotations"});
  });
  if (!spec.object("template", [&](Fields& fields) { decode_template(group, fields); })) {
    spec.error("template", "template is required");
  }
  spec.object("probe", check_probe);
}

}  // namespace

WorkloadGroup decode_workload_group(Metadata metadata, Fields& document) {
  WorkloadGroup group;
  group.metadata = std::move(metadata);
  if (!document.object("spec", [&](Fields& spec) { decode_spec(group, spec); })) {
    document.error("spec", "required");
  }
  document.ignore({"status"});
  return group;
}

}  // namespace sallyport::istio
