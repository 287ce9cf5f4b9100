#include "agent/cli/explain_question.h"

#include <algorithm>
#include <charconv>

#include "agent/istio/labels.h"
#include "agent/istio/scalar.h"
#include "agent/mesh/host_names.h"

namespace sallyport::cli {
namespace {

constexpr const char* stand_in = "192.0.2.1";  // RFC 5737: an address of documentation
constexpr std::string_view prefix = "traffic.sidecar.istio.io/";

Error wrong_url(std::string_view text, std::string_view why) {
  return Error{.context = "--to: \"" + std::string(text) + "\": " + std::string(why)};
}

bool has_port(std::string_view list, uint16_t port) {
  for (const auto part : istio::comma_separated(list)) {
    if (part == "*" || part == std::to_string(port)) return true;
  }
  return false;
}

bool has_ip(std::string_view list, const IpAddress& ip) {
  for (const auto part : istio::comma_separated(list)) {
    const auto block = Cidr::parse(part);
    if (part == "*" || (block && block->contains(ip))) return true;
  }
  return false;
}

// The value of an annotation and the place where it stands.
struct Annotation {
  const std::string* value = nullptr;
  std::string from;
};

class Annotations {
public:
  explicit Annotations(const analyze::Workload& pod) : pod_(pod) {}
  Annotation find(std::string_view name) const {
    const auto key = std::string(name.find('/') == name.npos ? prefix : "") + std::string(name);
    const auto at = pod_.annotations.find(key);
    if (at == pod_.annotations.end()) return {};
    ResourceRef place = *pod_.ref;
    // A key with dots and slashes is no path: its line is looked up by hand.
    const auto* map = analyze::find(*pod_.pod, "metadata.annotations");
    for (const auto& entry : map->entries) place.line = entry.key == key ? entry.line : place.line;
    return {&at->second, place.text()};
  }

private:
  const analyze::Workload& pod_;
};

Capture not_captured(std::string why, std::string from) {
  return {false, {"capture", "not captured: " + std::move(why), std::move(from), {}}};
}

std::optional<uint16_t> port_of(std::string_view text) {
  unsigned value = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || value == 0 || value > 65535) return std::nullopt;
  return static_cast<uint16_t>(value);
}

// What a pod's resolver asks for, in order: the search list of Kubernetes, then the name as it is.
std::vector<std::string> names_asked(const std::string& host, const std::string& space,
                                     const std::string& domain) {
  constexpr std::ptrdiff_t ndots = 5;
  if (host.ends_with('.')) return {host.substr(0, host.size() - 1)};
  if (std::count(host.begin(), host.end(), '.') >= ndots) return {host};
  return {host + "." + space + ".svc." + domain, host + ".svc." + domain, host + "." + domain,
          host};
}

std::vector<const analyze::Host*> hosts_asked(const analyze::World& world, const std::string& host,
                                              const std::string& from) {
  const auto names = names_asked(host, from, world.mesh().cluster_domain);
  for (const auto& name : names) {
    auto hosts = world.hosts_called(name, from);
    std::erase_if(hosts, [&](const auto* one) { return one->name != name; });
    if (!hosts.empty()) return hosts;
  }
  return world.hosts_called(names.back(), from);  // by a wildcard
}

IpAddress first_address(const std::vector<std::string>& texts) {
  for (const auto& text : texts)
    if (const auto ip = IpAddress::parse(text)) return *ip;
  return {};
}

bool is_headless(const istio::Service& service) {
  return !first_address(service.cluster_ips).is_set();
}

IpAddress address_of_pods(const istio::Service& service, const mesh::Resources& resources) {
  const auto& space = service.metadata.namespace_name();
  for (const auto& resource : resources) {
    if (istio::metadata_of(*resource).namespace_name() != space) continue;
    IpAddress found;
    if (const auto* slice = std::get_if<istio::EndpointSlice>(resource.get());
        slice && slice->service == service.metadata.name()) {
      for (const auto& one : slice->endpoints)
        if (!found.is_set()) found = first_address(one.addresses);
    } else if (const auto* pod = std::get_if<istio::Pod>(resource.get());
               pod && !service.selector.empty() &&
               istio::selects(service.selector, pod->metadata.labels)) {
      found = first_address(pod->ips);
    }
    if (found.is_set()) return found;
  }
  return {};
}

// Unset: it has none, or a range.
IpAddress address_of(const istio::Service& named, const mesh::Resources& resources) {
  for (const auto& resource : resources) {
    const auto* service = std::get_if<istio::Service>(resource.get());
    if (!service || *service->metadata.ref != *named.metadata.ref) continue;
    const auto own = first_address(service->cluster_ips);
    return own.is_set() ? own : address_of_pods(*service, resources);
  }
  return first_address(named.cluster_ips);
}

}  // namespace

std::string Url::authority() const {
  const bool v6 = host.find(':') != host.npos;
  const auto name = v6 ? "[" + host + "]" : host;
  const bool usual = (scheme == "http" && port == 80) || (scheme == "https" && port == 443);
  return usual ? name : name + ":" + std::to_string(port);
}

std::string Url::text() const {
  return scheme + "://" + authority() + (scheme == "tcp" ? "" : path);
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  const auto colon = text.find("://");
  if (colon == text.npos) return wrong_url(text, "no URL, such as http://host:port/path");
  url.scheme = mesh::lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https" && url.scheme != "tcp") {
    return wrong_url(text, "http, https and tcp are known");
  }
  auto rest = text.substr(colon + 3);
  const auto slash = std::min(rest.find_first_of("/?"), rest.size());
  auto authority = rest.substr(0, slash);
  rest.remove_prefix(slash);
  if (!rest.empty()) url.path = rest.front() == '/' ? std::string(rest) : "/" + std::string(rest);
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == authority.npos) return wrong_url(text, "\"[\" without \"]\"");
    url.host = authority.substr(1, end - 1);
    if (end + 1 < authority.size()) port = authority.substr(end + 1);
  } else {
    const auto at = std::min(authority.find(':'), authority.size());
    url.host = mesh::lower(authority.substr(0, at));
    port = authority.substr(at);
  }
  if (url.host.empty()) return wrong_url(text, "names no host");
  if (port.starts_with(':')) port.remove_prefix(1);
  if (port.empty()) {
    if (url.scheme == "tcp") return wrong_url(text, "tcp needs a port");
    url.port = url.scheme == "http" ? 80 : 443;
    return url;
  }
  const auto number = port_of(port);
  if (!number) return wrong_url(text, "port " + std::string(port) + " is none");
  url.port = *number;
  return url;
}

Dialled dialled(const analyze::World& world, const mesh::Resources& resources, const Url& url,
                const std::string& from, const std::string& given) {
  if (const auto ip = IpAddress::parse(given)) return {{*ip, url.port}, "as --dialled says"};
  if (const auto ip = IpAddress::parse(url.host)) return {{*ip, url.port}, "as the URL says"};
  for (const auto* host : hosts_asked(world, url.host, from)) {
    const auto found = host->entry.value ? first_address(host->entry->addresses)
                                         : address_of(*host->service.value, resources);
    if (!found.is_set()) continue;
    const auto whose = host->object().ref->text();
    if (mesh::is_stand_in(found))
      return {{found, url.port}, "stands for an address of " + whose + ", which it has not yet"};
    const bool headless = host->service.value && is_headless(*host->service.value);
    return {{found, url.port}, (headless ? "the address of a pod of " : "the address of ") + whose};
  }
  return {{*IpAddress::parse(stand_in), url.port},
          "stands for the address that DNS gives (--dialled sets it)",
          true};
}

Capture capture(const analyze::World& world, const analyze::Workload* pod,
                const SocketAddress& destination) {
  const auto to = destination.text();
  const auto port = std::to_string(world.mesh().proxy_listen_port);
  if (!pod) {
    return {true,
            {"capture",
             "redirected to " + port + ", unless an annotation of the pod says else",
             "",
             {}}};
  }
  const auto& self = *pod->ref;
  if (auto why = world.why_no_sidecar(*pod); !why.empty())
    return not_captured(std::move(why), self.text());
  const Annotations annotations(*pod);
  const auto mode = annotations.find("sidecar.istio.io/interceptionMode");
  if (mode.value && *mode.value == "NONE") {
    return not_captured("interceptionMode NONE: nothing is redirected", mode.from);
  }
  // In the order of the rules that `init` writes.
  const auto number = destination.port();
  const auto excluded = annotations.find("excludeOutboundPorts");
  if (excluded.value && has_port(*excluded.value, number)) {
    return not_captured("excludeOutboundPorts names " + std::to_string(number), excluded.from);
  }
  if (destination.ip().is_loopback()) {
    return not_captured("loopback is left alone", self.text());
  }
  const auto left_out = annotations.find("excludeOutboundIPRanges");
  if (left_out.value && has_ip(*left_out.value, destination.ip())) {
    return not_captured("excludeOutboundIPRanges holds " + destination.ip().text(), left_out.from);
  }
  const auto forced = annotations.find("includeOutboundPorts");
  if (forced.value && has_port(*forced.value, number)) {
    return {true,
            {"capture",
             "redirected to " + port + ": includeOutboundPorts names " + std::to_string(number),
             forced.from,
             {}}};
  }
  const auto ranges = annotations.find("includeOutboundIPRanges");
  if (ranges.value && !has_ip(*ranges.value, destination.ip())) {
    return not_captured("includeOutboundIPRanges does not hold " + destination.ip().text(),
                        ranges.from);
  }
  return {true,
          {"capture",
           "redirected to " + port + ": no annotation excludes " + to,
           ranges.value ? ranges.from : self.text(),
           {}}};
}

Asked::Asked(const Url& url, std::string method, const std::vector<std::string>& headers)
    : url_(url) {
  bool host_given = false;
  std::string fields;
  for (const auto& header : headers) {
    if (header.find(':') == std::string::npos && bad_header_.empty()) bad_header_ = header;
    host_given = host_given || mesh::lower(header.substr(0, 5)) == "host:";
    fields += header + "\r\n";
  }
  bytes_ = std::move(method) + " " + url.path + " HTTP/1.1\r\n";
  if (!host_given) bytes_ += "Host: " + url.authority() + "\r\n";
  bytes_ += fields + "\r\n";
  parsed_ = http::parse_request(bytes_, head_);
}

std::optional<std::string> Asked::problem() const {
  if (!bad_header_.empty()) {
    return "--header: \"" + bad_header_ + "\" is not \"Name: value\"";
  }
  if (url_.scheme == "tcp" || parsed_ == http::Parse::done) return std::nullopt;
  return "that is no request: " +
         std::string(parsed_ == http::Parse::bad ? head_.refuse_reason : "its head has no end");
}

void Asked::set_request(mesh::Question& question) const {
  question.request.authority = head_.authority();
  question.request.path = head_.origin_path();
  question.request.method = head_.method();
  question.request.head = &head_;
}

mesh::Question Asked::question(const SocketAddress& destination) const {
  mesh::Question out;
  out.destination = destination;
  if (url_.scheme == "http") {
    out.preface.protocol = sniff::Protocol::http1;
    set_request(out);
  } else if (url_.scheme == "https") {
    out.preface.protocol = sniff::Protocol::tls;
    if (!IpAddress::parse(url_.host)) out.preface.sni = url_.host;
  } else {
    out.preface.protocol = sniff::Protocol::opaque;
  }
  return out;
}

mesh::Question Asked::question_inside(const SocketAddress& destination) const {
  auto out = question(destination);
  if (url_.scheme == "https") set_request(out);
  return out;
}

}  // namespace sallyport::cli
