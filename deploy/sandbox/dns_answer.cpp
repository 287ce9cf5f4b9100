#include "deploy/sandbox/dns_answer.h"

#include <algorithm>

namespace sallyport::sandbox {
namespace {

constexpr std::size_t header_bytes = 12;
constexpr uint16_t type_a = 1, type_cname = 5, type_aaaa = 28, type_opt = 41, type_any = 255;
constexpr uint8_t no_error = 0, format_error = 1, server_failure = 2, name_error = 3,
                  not_implemented = 4;

uint16_t number(std::span<const uint8_t> bytes, std::size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put16(std::vector<uint8_t>& to, uint16_t value) {
  to.push_back(static_cast<uint8_t>(value >> 8));
  to.push_back(static_cast<uint8_t>(value));
}

struct Question {
  std::string name;  // lower case
  uint16_t type = 0;
  std::size_t end = 0;  // offset behind it
};

std::optional<Question> read_question(std::span<const uint8_t> query) {
  Question question;
  std::size_t at = header_bytes;
  while (at < query.size() && query[at] != 0) {
    const std::size_t length = query[at];
    if (length > 63 || at + 1 + length >= query.size()) return {};  // a question has no compression
    if (!question.name.empty()) question.name += '.';
    for (std::size_t i = 1; i <= length; ++i) {
      const uint8_t letter = query[at + i];
      question.name += static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter + 32 : letter);
    }
    at += 1 + length;
  }
  if (at + 5 > query.size() || question.name.size() > 253) return {};
  question.type = number(query, at + 1);
  question.end = at + 5;
  return question;
}

// The payload size of an OPT record right behind the question, as resolvers send it.
std::size_t udp_size(std::span<const uint8_t> query, std::size_t at) {
  if (number(query, 10) != 1 || at + 5 > query.size()) return 0;
  if (query[at] != 0 || number(query, at + 1) != type_opt) return 0;
  return number(query, at + 3);
}

const DnsName* look_up(const DnsZone& zone, const std::string& name) {
  if (const auto exact = zone.find(name); exact != zone.end()) return &exact->second;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    if (const auto wild = zone.find("*" + name.substr(dot)); wild != zone.end())
      return &wild->second;
  }
  return nullptr;
}

void put_name(std::vector<uint8_t>& to, const std::string& name) {
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    to.push_back(static_cast<uint8_t>(end - at));
    to.insert(to.end(), name.begin() + at, name.begin() + end);
    at = end + 1;
  }
  to.push_back(0);
}

struct Records {
  std::vector<uint8_t> bytes;
  uint16_t count = 0;

  void add(const std::string& owner, uint16_t type, uint32_t ttl, std::span<const uint8_t> data) {
    put_name(bytes, owner);
    put16(bytes, type);
    put16(bytes, 1);  // IN
    put16(bytes, static_cast<uint16_t>(ttl >> 16));
    put16(bytes, static_cast<uint16_t>(ttl));
    put16(bytes, static_cast<uint16_t>(data.size()));
    bytes.insert(bytes.end(), data.begin(), data.end());
    ++count;
  }
};

Records records_for(const Question& question, const DnsName& first, const DnsZone& zone) {
  Records records;
  std::string owner = question.name;
  const DnsName* known = &first;
  for (int hops = 0; known && !known->alias.empty() && hops < 8; ++hops) {
    std::vector<uint8_t> target;
    put_name(target, known->alias);
    records.add(owner, type_cname, known->ttl_seconds, target);
    owner = known->alias;
    known = look_up(zone, owner);
  }
  if (!known) return records;
  for (const IpAddress& ip : known->addresses) {
    const uint16_t type = ip.is_v4() ? type_a : type_aaaa;
    if (question.type == type || question.type == type_any) {
      records.add(owner, type, known->ttl_seconds, {ip.bytes(), ip.is_v4() ? 4U : 16U});
    }
  }
  return records;
}

std::vector<uint8_t> message(std::span<const uint8_t> query, std::size_t question_end, uint8_t code,
                             const Records& records, bool cut) {
  std::vector<uint8_t> answer(query.begin(), query.begin() + 2);
  answer.push_back(static_cast<uint8_t>(0x84 | (query[2] & 0x01) |
                                        (cut ? 0x02 : 0)));  // QR, AA, RD as asked, TC
  answer.push_back(static_cast<uint8_t>(0x80 | code));       // RA: resolvers ask for it
  put16(answer, question_end > header_bytes ? 1 : 0);
  put16(answer, cut ? 0 : records.count);
  put16(answer, 0);
  put16(answer, 0);
  answer.insert(answer.end(), query.begin() + header_bytes, query.begin() + question_end);
  if (!cut) answer.insert(answer.end(), records.bytes.begin(), records.bytes.end());
  return answer;
}

}  // namespace

std::optional<std::vector<uint8_t>> dns_answer(std::span<const uint8_t> query, const DnsZone& zone,
                                               std::size_t limit) {
  if (query.size() < header_bytes || (query[2] & 0x80)) return {};
  if (query[2] & 0x78) return message(query, header_bytes, not_implemented, {}, false);
  const auto question = number(query, 4) == 1 ? read_question(query) : std::nullopt;
  if (!question) return message(query, header_bytes, format_error, {}, false);
  const DnsName* known = look_up(zone, question->name);
  if (!known) return message(query, question->end, name_error, {}, false);
  if (known->behaviour == DnsName::Behaviour::silent) return {};
  if (known->behaviour == DnsName::Behaviour::server_fails) {
    return message(query, question->end, server_failure, {}, false);
  }
  const Records records = records_for(*question, *known, zone);
  if (limit < dns_tcp_bytes) limit = std::max(limit, udp_size(query, question->end));
  const bool cut = question->end + records.bytes.size() > limit;
  return message(query, question->end, no_error, records, cut);
}

}  // namespace sallyport::sandbox
