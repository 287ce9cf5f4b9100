#include "agent/cli/identity.h"

#include <charconv>
#include <fstream>
#include <sstream>

#include "agent/cli/udp_policy.h"
#include "agent/core/address.h"
#include "agent/istio/scalar.h"

namespace sallyport::cli {
namespace {

constexpr const char* injected_labels_file = "/etc/istio/pod/labels";

Error invalid(std::string text) {
  return {.fault = Fault::internal, .side = Side::local, .context = std::move(text)};
}

std::string first_of(const std::string& flag, const Environment& environment, const char* variable,
                     const char* otherwise) {
  if (!flag.empty()) return flag;
  const char* value = environment(variable);
  return value && *value ? value : otherwise;
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(by), text.size());
    if (end) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// Undoes strconv.Quote: \" \\ \n \t \xHH \uHHHH and their like; label values are ASCII, so only
// one-byte results are taken.
std::optional<std::string> unquote(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::string plain;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] == '"') return std::nullopt;
    if (text[i] != '\\') {
      plain += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const std::size_t digits = text[i] == 'x' ? 2 : text[i] == 'u' ? 4 : 0;
    if (digits) {
      unsigned value = 0;
      const char* begin = text.data() + i + 1;
      if (i + digits >= text.size() ||
          std::from_chars(begin, begin + digits, value, 16).ptr != begin + digits || value > 127)
        return std::nullopt;
      plain += char(value);
      i += digits;
      continue;
    }
    constexpr std::string_view names = "\"\\ntrabfv", values = "\"\\\n\t\r\a\b\f\v";
    const auto at = names.find(text[i]);
    if (at == names.npos) return std::nullopt;
    plain += values[at];
  }
  return plain;
}

Result<istio::Labels> read_labels(const std::string& flag) {
  const std::string path = flag.empty() ? injected_labels_file : flag;
  std::ifstream file(path);
  if (!file && flag.empty()) return istio::Labels();
  std::ostringstream text;
  if (!file || !(text << file.rdbuf() || file.peek() == EOF))
    return invalid("labels file " + path + ": can't be read");
  auto labels = parse_labels_file(text.str());
  if (!labels) return while_doing("labels file " + path, labels.error());
  return labels;
}

// As `init` reads it: the rules know the agent's packets by it.
Result<uint32_t> read_tproxy_mark(const Environment& environment) {
  if (first_of("", environment, "ISTIO_META_INTERCEPTION_MODE", "") != "TPROXY") return 0u;
  const std::string text = first_of("", environment, "ISTIO_INBOUND_TPROXY_MARK", "1337");
  uint32_t mark = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mark);
  if (error != std::errc() || end != text.data() + text.size() || mark == 0)
    return invalid("ISTIO_INBOUND_TPROXY_MARK \"" + text + "\" is not a mark");
  return mark;
}

// As `init` reads it, too: the one redirects what the other answers.
Result<bool> read_dns_capture(const Environment& environment) {
  const std::string text = first_of("", environment, "ISTIO_META_DNS_CAPTURE", "false");
  const auto wish = istio::go_boolean(text);
  if (!wish) return invalid("ISTIO_META_DNS_CAPTURE \"" + text + "\" is neither true nor false");
  return *wish;
}

Result<istio::UdpPolicy> read_udp_policy(const std::string& flag, const Environment& environment) {
  const std::string text = first_of(flag, environment, "UDP_POLICY", "off");
  const auto policy = udp_policy_of(text);
  if (!policy) return invalid("UDP policy \"" + text + "\" is none of off, log and enforce");
  return *policy;
}

}  // namespace

Result<istio::Labels> parse_labels_file(std::string_view text) {
  istio::Labels labels;
  int number = 0;
  for (const auto& line : split(text, '\n')) {
    number++;
    const auto equals = line.find('=');
    const auto value =
        equals == line.npos ? std::nullopt : unquote(std::string_view(line).substr(equals + 1));
    if (!value || !equals)
      return invalid("line " + std::to_string(number) + ": not of the form key=\"value\"");
    labels.emplace(line.substr(0, equals), *value);
  }
  return labels;
}

Result<istio::Proxy> find_identity(const IdentityFlags& flags, const Environment& environment) {
  istio::Proxy proxy;
  proxy.name = first_of(flags.name, environment, "POD_NAME", "");
  proxy.namespace_name = first_of(flags.namespace_name, environment, "POD_NAMESPACE", "default");
  proxy.service_account =
      first_of(flags.service_account, environment, "SERVICE_ACCOUNT", "default");
  proxy.workload_name = first_of("", environment, "ISTIO_META_WORKLOAD_NAME", "");
  proxy.cluster_id = first_of("", environment, "ISTIO_META_CLUSTER_ID", "");
  auto dns_capture = read_dns_capture(environment);
  if (!dns_capture) return dns_capture.error();
  proxy.dns_capture = *dns_capture;
  auto udp_policy = read_udp_policy(flags.udp_policy, environment);
  if (!udp_policy) return udp_policy.error();
  proxy.udp_policy = *udp_policy;
  auto mark = read_tproxy_mark(environment);
  if (!mark) return mark.error();
  proxy.tproxy_mark = *mark;
  proxy.addresses = flags.addresses;
  if (proxy.addresses.empty())
    proxy.addresses = split(first_of("", environment, "INSTANCE_IPS", ""), ',');
  if (proxy.addresses.empty())
    proxy.addresses = split(first_of("", environment, "INSTANCE_IP", ""), ',');
  for (const auto& address : proxy.addresses)
    if (!IpAddress::parse(address))
      return invalid("proxy address \"" + address + "\" is not an IP address");

  auto labels = read_labels(flags.labels_file);
  if (!labels) return labels.error();
  proxy.labels = std::move(*labels);
  for (const auto& label : flags.labels) {
    const auto equals = label.find('=');
    if (equals == label.npos || !equals)
      return invalid("label \"" + label + "\" is not of the form key=value");
    proxy.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return proxy;
}

}  // namespace sallyport::cli
