#include "agent/observe/standard_metrics.h"

#include <boost/container_hash/hash.hpp>

#include "agent/mesh/telemetry_metrics.h"

namespace sallyport::observe {
namespace {

constexpr std::size_t first_of_http = static_cast<std::size_t>(StandardMetric::requests_total);
constexpr std::size_t first_of_tcp = static_cast<std::size_t>(StandardMetric::tcp_opened);

}  // namespace

template <class Text>
std::size_t StandardMetrics::Hash::hash(const BasicKey<Text>& key) const {
  std::size_t seed = std::hash<std::string_view>()(key.more);
  boost::hash_combine(seed, key.cluster);
  boost::hash_combine(seed, key.principals);
  boost::hash_combine(seed, AddressHash()(key.endpoint));
  boost::hash_combine(seed, key.flags);
  boost::hash_combine(seed, key.code * 4 + key.server_side * 2 + key.http);
  return seed;
}

template <class A, class B>
bool StandardMetrics::Equal::operator()(const A& a, const B& b) const {
  return a.cluster == b.cluster && a.code == b.code && a.endpoint == b.endpoint &&
         a.principals == b.principals && a.flags == b.flags && a.server_side == b.server_side &&
         a.http == b.http && a.more == b.more;
}

std::size_t StandardMetrics::PrincipalsHash::operator()(const Principals& one) const {
  std::size_t seed = std::hash<std::string>()(one.peer);
  boost::hash_combine(seed, std::hash<std::string>()(one.own));
  return seed;
}

void StandardMetrics::take_up(const mesh::Snapshot& snapshot) {
  followed_ = true;
  version_ = snapshot.version;
  paths_.clear();
  reporter_ = {.workload = mesh::facts_of(snapshot.proxy),
               .cluster_id = snapshot.proxy.cluster_id,
               .cluster_domain = snapshot.mesh.cluster_domain,
               .gateway = snapshot.proxy.type == istio::Proxy::Type::router};
  const bool same = config_ && snapshot.metrics && *config_ == *snapshot.metrics;
  config_ = snapshot.metrics;
  if (same) return;
  client_ = config_ ? compile_metrics(config_->client) : MetricPlan();
  server_ = config_ ? compile_metrics(config_->server) : MetricPlan();
  interval_ = config_ ? config_->reporting_interval : std::chrono::milliseconds(0);
}

// What the client called the host where that is a label, and what labels are set to.
std::string_view StandardMetrics::more_of(const AccessRecord& record,
                                          const Destination& destination) {
  more_.clear();
  if (!destination.cluster) more_.append(record.cluster) += '\0';
  if (names_host(reporter_, record, destination)) {
    more_.append(record.authority.substr(0, limits::metric_label_bytes)) += '\0';
    more_.append(record.route_name) += '\0';
  }
  const MetricPlan& by = plan(record.server_side);
  if (by.expressions.empty()) return more_;
  evaluate_tags(by, record, values_);
  for (const std::string& value : values_) more_.append(value) += '\0';
  return more_;
}

StandardMetrics::Path StandardMetrics::make_path(const AccessRecord& record,
                                                 const Destination& destination) {
  Path out;
  out.cluster = destination.cluster;
  const MetricPlan& by = plan(record.server_side);
  auto labels = labels_of(reporter_, record, destination);
  const std::size_t first = record.http ? first_of_http : first_of_tcp;
  for (std::size_t i = 0; i < out.series.size() && !out.overflowed; i++) {
    if (by.disabled[first + i]) continue;
    const auto text = text_of(labels, by.tags[first + i], values_);
    out.series[i] = store_.find(static_cast<StandardMetric>(first + i), text);
    out.overflowed = !out.series[i];
  }
  if (!out.overflowed) return out;
  overflow(labels);
  const auto text = text_of(labels, {}, {});
  for (std::size_t i = 0; i < out.series.size(); i++) {
    const auto metric = static_cast<StandardMetric>(first + i);
    out.series[i] = by.disabled[first + i] ? nullptr : store_.find(metric, text, true);
  }
  return out;
}

const StandardMetrics::Path& StandardMetrics::path_of(const AccessRecord& record,
                                                      const Destination& destination) {
  const KeyView key{.cluster = destination.cluster.get(),
                    .principals = destination.principals,
                    .endpoint = record.upstream_host,
                    .flags = record.flags,
                    .code = record.response_code,
                    .server_side = record.server_side,
                    .http = record.http,
                    .more = more_of(record, destination)};
  auto found = paths_.find(key);
  if (found == paths_.end()) {
    if (paths_.size() >= limits::metric_paths) paths_.clear();
    Key owned{key.cluster, key.principals,  key.endpoint, key.flags,
              key.code,    key.server_side, key.http,     std::string(key.more)};
    found = paths_.emplace(std::move(owned), make_path(record, destination)).first;
  } else if (key.cluster && found->second.cluster.expired()) {
    found->second = make_path(record, destination);
  }
  if (found->second.overflowed) store_.overflows.add();
  return found->second;
}

void StandardMetrics::count_request(const AccessRecord& record, const Destination& destination) {
  if (!counts(record.server_side)) return;
  const auto& [requests, duration, request_bytes, response_bytes] =
      path_of(record, destination).series;
  if (requests) requests->add(1);
  if (duration)
    duration->observe(static_cast<uint64_t>(std::max<int64_t>(record.duration_us, 0)) / 1000);
  if (request_bytes) request_bytes->observe(record.bytes_received);
  if (response_bytes) response_bytes->observe(record.bytes_sent);
}

StandardMetrics::TcpSeries StandardMetrics::find_tcp(const AccessRecord& record,
                                                     const Destination& destination) {
  if (!counts(record.server_side)) return {};
  const auto& [opened, closed, sent, received] = path_of(record, destination).series;
  return {opened, closed, sent, received};
}

const Principals* StandardMetrics::intern(Principals principals) {
  const auto known = principals_.find(principals);
  if (known != principals_.end()) return &*known;
  if (principals_.size() >= limits::metric_principals) return nullptr;
  return &*principals_.insert(std::move(principals)).first;
}

}  // namespace sallyport::observe
