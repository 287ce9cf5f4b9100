#include <algorithm>
#include <tuple>

#include "agent/cli/proxy_config_view.h"
#include "agent/cli/table.h"

namespace sallyport::cli {
namespace {

struct EndpointRow {
  std::string address, port, status, locality, cluster;
  bool failed_outlier_check = false;
  std::string endpoint() const {
    if (port.empty()) return address;
    const bool v6 = address.find(':') != address.npos;
    return (v6 ? "[" + address + "]" : address) + ":" + port;
  }
};

void take_address(EndpointRow& row, const Json* address) {
  if (const auto* socket = member(address, "socket_address")) {
    row.address = text_of(member(socket, "address"));
    row.port = text_of(member(socket, "port_value"));
  } else {
    row.address = "unix://" + text_of(member(address, "pipe.path"));
  }
}

std::string locality_text(const Json* locality) {
  std::string out;
  for (const auto* part : {"region", "zone", "sub_zone"}) {
    const auto text = text_of(member(locality, part));
    if (text.empty()) break;
    out += (out.empty() ? "" : "/") + text;
  }
  return out;
}

std::string or_unknown(std::string status) { return status.empty() ? "UNKNOWN" : status; }

bool is_asked_for(const EndpointRow& row, const ProxyConfigQuery& query) {
  return (query.address.empty() || equal_ignoring_case(row.address, query.address) ||
          equal_ignoring_case(row.endpoint(), query.address)) &&
         (query.port == 0 || row.port == std::to_string(query.port)) &&
         (query.cluster.empty() || equal_ignoring_case(row.cluster, query.cluster)) &&
         (query.status.empty() || equal_ignoring_case(row.status, query.status));
}

// Adds those that are asked for; false: there is none.
bool add_live(std::vector<EndpointRow>& rows, const Json* status, const ProxyConfigQuery& query) {
  const auto before = rows.size();
  for (const auto* host : elements(member(status, "host_statuses"))) {
    EndpointRow row;
    take_address(row, member(host, "address"));
    row.status = or_unknown(text_of(member(host, "health_status.eds_health_status")));
    row.failed_outlier_check = truth_of(member(host, "health_status.failed_outlier_check"));
    row.locality = locality_text(member(host, "locality"));
    row.cluster = text_of(member(status, "name"));
    if (is_asked_for(row, query)) rows.push_back(std::move(row));
  }
  return rows.size() > before;
}

bool add_configured(std::vector<EndpointRow>& rows, const Json* assignment,
                    const ProxyConfigQuery& query) {
  const auto before = rows.size();
  for (const auto* group : elements(member(assignment, "endpoints"))) {
    for (const auto* one : elements(member(group, "lb_endpoints"))) {
      EndpointRow row;
      take_address(row, member(one, "endpoint.address"));
      row.status = or_unknown(text_of(member(one, "health_status")));
      row.locality = locality_text(member(group, "locality"));
      row.cluster = text_of(member(assignment, "cluster_name"));
      if (is_asked_for(row, query)) rows.push_back(std::move(row));
    }
  }
  return rows.size() > before;
}

// Every load assignment of a dump: Envoy's own section, or the clusters'.
std::vector<const Json*> assignments_of(const Json* dump) {
  std::vector<const Json*> out;
  const auto add = [&out](const Json* assignment) {
    if (assignment) out.push_back(assignment);
  };
  if (const auto endpoints = section(dump, "EndpointsConfigDump")) {
    for (const auto* key : {"dynamic_endpoint_configs", "static_endpoint_configs"}) {
      for (const auto* one : elements(member(*endpoints, key))) add(member(one, "endpoint_config"));
    }
  } else if (const auto clusters = section(dump, "ClustersConfigDump")) {
    for (const auto* one : elements(member(*clusters, "dynamic_active_clusters"))) {
      add(member(one, "cluster.load_assignment"));
    }
  }
  return out;
}

// Of live state: whether an endpoint may be used. Of configuration: where it is.
std::string table_text(std::vector<EndpointRow> rows, bool live, bool typed_names) {
  Table table(table_padding);
  if (live) {
    table.add({"ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"});
  } else {
    table.add({"NAME", "STATUS", "LOCALITY", "CLUSTER"});
  }
  std::stable_sort(rows.begin(), rows.end(), [live](const EndpointRow& a, const EndpointRow& b) {
    const int port_a = std::atoi(a.port.c_str()), port_b = std::atoi(b.port.c_str());
    if (!live) return a.cluster < b.cluster;
    return std::tie(a.address, port_a, a.cluster) < std::tie(b.address, port_b, b.cluster);
  });
  for (const auto& row : rows) {
    const std::string name = (typed_names ? "endpoint/" : "") + row.endpoint();
    const std::string check = row.failed_outlier_check ? "FAILED" : "OK";
    table.add({name, row.status, live ? check : row.locality, row.cluster});
  }
  return table.text();
}

}  // namespace

Result<std::string> view_endpoints(const Json* document, const ProxyConfigQuery& query) {
  std::vector<EndpointRow> rows;
  std::vector<const Json*> shown;
  const auto* live = member(document, "cluster_statuses");
  if (!live) {
    if (const auto is_dump = section(document, "ClustersConfigDump"); !is_dump) {
      return is_dump.error();
    }
    for (const auto* one : assignments_of(document)) {
      if (add_configured(rows, one, query)) shown.push_back(one);
    }
  }
  for (const auto* one : elements(live)) {
    if (add_live(rows, one, query)) shown.push_back(one);
  }
  if (query.output != Output::table) return print_list(shown, query.output, Names::camel_case);
  // Among all parts istioctl shows the columns of the configuration.
  return table_text(std::move(rows), live && !query.typed_names, query.typed_names);
}

}  // namespace sallyport::cli
