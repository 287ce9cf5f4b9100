#include <algorithm>
#include <tuple>

#include "agent/cli/proxy_config_view.h"
#include "agent/cli/table.h"

namespace sallyport::cli {
namespace {

struct ClusterRow {
  const Json* cluster;
  std::string name;
  bool named = false;  // "outbound|80||a.test", not "PassthroughCluster"
  ClusterName parts;
  int port() const { return named ? std::atoi(parts.port.c_str()) : 0; }
};

std::vector<ClusterRow> cluster_rows(const Json* clusters) {
  std::vector<ClusterRow> rows;
  for (const auto* key : {"dynamic_active_clusters", "static_clusters"}) {
    for (const auto* one : elements(member(clusters, key))) {
      ClusterRow row{member(one, "cluster"), text_of(member(one, "cluster.name")), false, {}};
      row.named = parse_cluster_name(row.name, row.parts);
      if (!row.named) row.parts.fqdn = row.name;
      if (row.cluster) rows.push_back(std::move(row));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const ClusterRow& a, const ClusterRow& b) {
    return std::forward_as_tuple(a.parts.fqdn, a.parts.subset, a.port(), a.parts.direction) <
           std::forward_as_tuple(b.parts.fqdn, b.parts.subset, b.port(), b.parts.direction);
  });
  return rows;
}

bool is_asked_for(const ClusterRow& row, const ProxyConfigQuery& query) {
  const auto contains = [](const std::string& text, const std::string& part) {
    return part.empty() || text.find(part) != text.npos;
  };
  return contains(row.parts.fqdn, query.fqdn) && contains(row.parts.direction, query.direction) &&
         contains(row.parts.subset, query.subset) && (query.port == 0 || row.port() == query.port);
}

std::vector<std::string> cells(const ClusterRow& row, bool typed_names) {
  const auto type = text_of(member(row.cluster, "type"));
  const auto rule = managed_by(row.cluster);
  const std::string name = typed_names ? "cluster/" + row.name : row.name;
  std::vector<std::string> out;
  if (typed_names) out.push_back(name);
  if (!row.named) {
    // With the type in the name here too, as istioctl has it.
    out.insert(out.end(), {name, "-", "-", "-"});
  } else {
    const auto& [direction, port, subset, fqdn] = row.parts;
    out.insert(out.end(), {fqdn, port, subset.empty() ? "-" : subset, direction});
  }
  out.insert(out.end(), {type.empty() ? "STATIC" : type, rule});
  return out;
}

}  // namespace

Result<std::string> view_clusters(const Json* dump, const ProxyConfigQuery& query) {
  const auto clusters = section(dump, "ClustersConfigDump");
  if (!clusters) return clusters.error();
  auto rows = cluster_rows(*clusters);
  std::erase_if(rows, [&](const ClusterRow& row) { return !is_asked_for(row, query); });
  if (query.output != Output::table) {
    std::vector<const Json*> shown;
    for (const auto& row : rows) shown.push_back(row.cluster);
    return print_list(shown, query.output, Names::camel_case);
  }
  Table table(table_padding);
  std::vector<std::string> titles = {"SERVICE FQDN", "PORT", "SUBSET",
                                     "DIRECTION",    "TYPE", "DESTINATION RULE"};
  if (query.typed_names) titles.insert(titles.begin(), "NAME");
  table.add(titles);
  std::string notes;
  for (const auto& row : rows) {
    table.add(cells(row, query.typed_names));
    const auto refused = text_of(member(row.cluster, "refused"));
    // Closed by nature, and there whether or not anything leads to it.
    if (row.name == "BlackHoleCluster") continue;
    if (!refused.empty()) notes += "\n" + row.name + " is closed: " + refused;
  }
  return table.text() + (notes.empty() ? "" : notes + "\n");
}

}  // namespace sallyport::cli
