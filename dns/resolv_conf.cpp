#include "dns/resolv_conf.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "agent/core/limits.h"
#include "dns/names.h"

namespace sallyport::dns {
namespace {

constexpr uint16_t dns_port = 53;

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

void read_line(const std::vector<std::string>& words, ResolvConf& into) {
  if (words.size() < 2) return;
  if (words[0] == "nameserver") {
    if (const auto ip = IpAddress::parse(words[1])) into.servers.emplace_back(*ip, dns_port);
  }
  // Each of the two ends what an earlier one said.
  if (words[0] == "domain") into.search = {canonical(words[1])};
  if (words[0] != "search") return;
  into.search.clear();
  for (std::size_t i = 1; i < words.size() && i <= limits::dns_search_domains; i++)
    into.search.push_back(canonical(words[i]));
}

}  // namespace

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf out;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with('#') || line.starts_with(';')) continue;
    read_line(words_of(line), out);
  }
  return out;
}

Result<ResolvConf> read_resolv_conf(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf() || file.peek() == EOF)) {
    return Error{Fault::internal, Side::local, false, path + ": " + std::strerror(errno), {}};
  }
  return parse_resolv_conf(text.str());
}

}  // namespace sallyport::dns
