// LoadBalancerSettings of a TrafficPolicy: simple, consistentHash, warmup (istio-api.md 1.3).
#include <algorithm>
#include <limits>
#include <set>

#include "agent/core/limits.h"
#include "agent/istio/kinds.h"

namespace sallyport::istio {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view hash_keys[] = {"httpHeaderName", "httpCookie", "useSourceIp",
                                          "httpQueryParameterName"};
constexpr uint64_t ring_size_most = 8 * 1024 * 1024;  // Envoy's
constexpr uint64_t maglev_size_end = 5'000'011;       // Envoy's last; Istio takes less only

// LEAST_CONN is the old name of LEAST_REQUEST.
constexpr Choice balancers[] = {{"UNSPECIFIED", 0}, {"LEAST_CONN", 1},  {"RANDOM", 2},
                                {"PASSTHROUGH", 3}, {"ROUND_ROBIN", 4}, {"LEAST_REQUEST", 5}};

SimpleLb simple_balancer(int number) {
  constexpr SimpleLb by_number[] = {SimpleLb::unspecified, SimpleLb::least_request,
                                    SimpleLb::random,      SimpleLb::passthrough,
                                    SimpleLb::round_robin, SimpleLb::least_request};
  return by_number[number];
}

bool is_prime(uint64_t number) {  // As Envoy sees it: 1 too.
  for (uint64_t by = 2; by * by <= number; ++by) {
    if (number % by == 0) return false;
  }
  return true;
}

void decode_cookie(ConsistentHash& hash, Fields& cookie) {
  hash.key = ConsistentHash::Key::cookie;
  hash.name = cookie.text("name");
  if (hash.name.empty()) cookie.error("name", "name required for HttpCookie");
  hash.path = cookie.text("path");
  hash.ttl = cookie.duration("ttl", milliseconds(0));
  std::set<std::string> names;
  cookie.each("attributes", [&](Fields& attribute) {
    std::string name = attribute.text("name");
    if (name.empty()) {
      attribute.error("name", "cookie attribute name cannot be empty");
    } else if (!names.insert(name).second) {
      attribute.error("name", "duplicate cookie attribute name: " + name);
    }
    hash.attributes.emplace_back(std::move(name), attribute.text("value"));
  });
}

void decode_key(ConsistentHash& hash, Fields& fields) {
  using Key = ConsistentHash::Key;
  const auto given = std::count_if(std::begin(hash_keys), std::end(hash_keys),
                                   [&](std::string_view name) { return fields.has(name); });
  if (given > 1) {
    fields.error("",
                 "only one of httpHeaderName, httpCookie, useSourceIp or "
                 "httpQueryParameterName can be set");
  }
  if (fields.has("httpHeaderName")) {
    hash.key = Key::header;
    hash.name = fields.text("httpHeaderName");
  }
  if (fields.has("httpQueryParameterName")) {
    hash.key = Key::query_parameter;
    hash.name = fields.text("httpQueryParameterName");
  }
  if (fields.boolean("useSourceIp").value_or(false)) hash.key = Key::source_ip;
  fields.object("httpCookie", [&](Fields& cookie) { decode_cookie(hash, cookie); });
  if (given == 0) fields.warn("", "no hash key: endpoints are chosen at random");
}

void decode_maglev(ConsistentHash& hash, Fields& maglev) {
  hash.table = ConsistentHash::Table::maglev;
  hash.table_size = static_cast<uint64_t>(maglev.integer("tableSize", 0, INT64_MAX).value_or(0));
  if (hash.table_size == 0) return maglev.error("tableSize", "tableSize must be set for maglev");
  if (*hash.table_size >= maglev_size_end) {
    return maglev.error("tableSize", "tableSize must be less than 5000011 for maglev");
  }
  if (!is_prime(*hash.table_size)) {
    maglev.error("tableSize", "tableSize must be a prime number for maglev");
  }
}

// A worker builds the table while its connections wait.
void warn_of_size(const ConsistentHash& hash, Fields& fields) {
  const bool maglev = hash.table == ConsistentHash::Table::maglev;
  const auto most = maglev ? limits::hash_maglev_entries : limits::hash_ring_points;
  if (hash.table_size.value_or(0) <= most || (maglev && *hash.table_size >= maglev_size_end))
    return;
  fields.warn(maglev ? "maglev.tableSize" : "ringHash.minimumRingSize",
              "a table of " + std::to_string(most) +
                  " entries is built: larger ones would keep "
                  "connections waiting");
}

ConsistentHash decode_consistent_hash(Fields& fields) {
  ConsistentHash hash;
  decode_key(hash, fields);
  const auto ring_size = [&hash](Fields& of) {
    const auto size = of.integer("minimumRingSize", 0, ring_size_most);
    if (size.value_or(0) > 0) hash.table_size = static_cast<uint64_t>(*size);
  };
  ring_size(fields);  // The deprecated place.
  if (hash.table_size) {
    fields.warn("minimumRingSize",
                "consistent hash MinimumRingSize is deprecated, use ConsistentHashLB's RingHash "
                "configuration instead");
    if (fields.has("ringHash") || fields.has("maglev")) {
      fields.error("minimumRingSize",
                   "only one of MinimumRingSize or Maglev/Ringhash can be specified");
    }
  }
  fields.object("ringHash", ring_size);
  fields.object("maglev", [&](Fields& maglev) { decode_maglev(hash, maglev); });
  if (fields.has("ringHash") && fields.has("maglev")) {
    fields.error("maglev", "only one of ringHash or maglev can be set");
  }
  warn_of_size(hash, fields);
  return hash;
}

void decode_warmup(LoadBalancer& balancer, Fields& fields) {
  if (const auto duration = fields.duration("warmupDurationSecs")) {
    balancer.warmup = Warmup{*duration, {}, {}};
  }
  fields.object("warmup", [&](Fields& block) {
    Warmup warmup;
    const auto duration = block.duration("duration");
    if (!block.has("duration")) block.error("duration", "duration is required");
    warmup.duration = duration.value_or(milliseconds(0));
    warmup.minimum_percent = block.real("minimumPercent", 0, 100);
    warmup.aggression = block.real("aggression", 0, std::numeric_limits<double>::max());
    if (warmup.aggression == 0.0) block.error("aggression", "aggression should be greater than 0");
    balancer.warmup = warmup;
  });
}

}  // namespace

LoadBalancer decode_load_balancer(Fields& fields) {
  LoadBalancer balancer;
  balancer.line = fields.line();
  balancer.simple = simple_balancer(fields.choice("simple", balancers).value_or(0));
  if (fields.has("simple") && fields.has("consistentHash")) {
    fields.error("consistentHash", "only one of simple or consistentHash can be set");
  }
  fields.object("consistentHash",
                [&](Fields& hash) { balancer.consistent_hash = decode_consistent_hash(hash); });
  if (fields.has("localityLbSetting") && fields.has("zoneAwareLbSetting")) {
    fields.error("zoneAwareLbSetting",
                 "only one of localityLbSetting or zoneAwareLbSetting can be set");
  }
  fields.object("localityLbSetting",
                [&](Fields& setting) { balancer.locality = decode_locality_lb(setting); });
  fields.object("zoneAwareLbSetting", [](Fields& setting) { check_zone_aware_lb(setting); });
  fields.unsupported({"zoneAwareLbSetting"});
  decode_warmup(balancer, fields);
  return balancer;
}

}  // namespace sallyport::istio
