#include "dns/answer.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "dns/codes.h"
#include "dns/message_walk.h"

namespace sallyport::dns {
namespace {

constexpr std::size_t opt_bytes = 11;
constexpr uint16_t own_udp_size = 1232;  // of what we take ourselves (DNS flag day 2020)
constexpr uint8_t flag_response = 0x80, flag_authoritative = 0x04, flag_truncated = 0x02;
constexpr uint16_t pointer = 0xc000;  // RFC 1035 section 4.1.4

class Writer {
public:
  Writer(std::span<char> into, std::size_t limit) : into_(into.first(limit)) {}

  bool fits(std::size_t bytes) const { return into_.size() - at_ >= bytes; }
  void number(uint16_t value) {
    into_[at_++] = static_cast<char>(value >> 8);
    into_[at_++] = static_cast<char>(value & 0xff);
  }
  void bytes(std::span<const char> what) {
    std::copy(what.begin(), what.end(), into_.begin() + std::ptrdiff_t(at_));
    at_ += what.size();
  }
  void name(std::string_view dotted) {
    while (!dotted.empty()) {
      const auto label = dotted.substr(0, dotted.find('.'));
      into_[at_++] = static_cast<char>(label.size());
      bytes(label);
      dotted.remove_prefix(std::min(dotted.size(), label.size() + 1));
    }
    into_[at_++] = 0;
  }
  // Up to the length of the data.
  void record(uint16_t owner_at, uint16_t type, std::size_t data) {
    number(pointer | owner_at);
    number(type);
    number(class_in);
    number(0);
    number(own_ttl);
    number(static_cast<uint16_t>(data));
  }
  void set(std::size_t at, uint16_t value) {
    into_[at] = static_cast<char>(value >> 8);
    into_[at + 1] = static_cast<char>(value & 0xff);
  }
  void add_flags(uint8_t flags) { into_[2] = static_cast<char>(into_[2] | flags); }
  std::size_t at() const { return at_; }
  void reserve(std::size_t bytes) { into_ = into_.first(into_.size() - bytes); }
  void release(std::size_t bytes) { into_ = {into_.data(), into_.size() + bytes}; }

private:
  std::span<char> into_;
  std::size_t at_ = 0;
};

constexpr std::size_t record_bytes = 12;  // but for the data, the owner being a pointer

// Header and question. What a response takes over is miekg/dns's rule (SetReply): RD and CD.
void write_head(Writer& to, std::span<const char> query, std::size_t question_end, uint8_t code) {
  constexpr uint8_t operation_and_recursion = 0x79, checking_disabled = 0x10;
  to.bytes(query.first(2));
  const auto flags = static_cast<uint8_t>(query[2]) & operation_and_recursion;
  const auto more = static_cast<uint8_t>(query[3]) & checking_disabled;
  to.number(static_cast<uint16_t>((flags | flag_response) << 8 | more | (code & 0xf)));
  to.number(question_end > dns_header_bytes ? 1 : 0);
  for (int i = 0; i < 3; i++) to.number(0);
  if (question_end > dns_header_bytes)
    to.bytes(query.subspan(dns_header_bytes, question_end - dns_header_bytes));
}

// RFC 6891 section 6.1.1: whoever is asked with it answers with it.
void write_opt(Writer& to, const Question& question, uint8_t code) {
  if (!question.edns) return;
  to.bytes(std::span<const char>("\0", 1));
  to.number(type_opt);
  to.number(own_udp_size);
  to.number(static_cast<uint16_t>((code >> 4) << 8));
  to.number(question.dnssec_ok ? 0x8000 : 0);
  to.number(0);
  to.set(10, 1);
}

bool write_cname(Writer& to, std::string_view target) {
  const std::size_t size = target.size() + 2;  // a length before each label, and the root's
  if (!to.fits(record_bytes + size)) return false;
  to.record(dns_header_bytes, type_cname, size);
  to.name(target);
  return true;
}

}  // namespace

std::size_t answer_limit(const Question& question, bool tcp) {
  if (tcp) return limits::dns_proxy_tcp_answer;
  return std::clamp<std::size_t>(question.udp_size, 512, limits::dns_proxy_datagram);
}

std::size_t write_answer(std::span<const char> query, const Question& question,
                         const OwnAnswer& answer, std::size_t limit, std::span<char> into) {
  Writer to(into, limit);
  write_head(to, query, question.end, 0);
  to.add_flags(flag_authoritative);
  const std::size_t opt = question.edns ? opt_bytes : 0;
  to.reserve(opt);
  uint16_t count = 0;
  std::size_t owner = dns_header_bytes;
  const auto& addresses = answer.addresses;
  bool whole = true;
  // As istio-agent's: an alias of nothing is not told.
  if (!addresses.empty() && !answer.cname.empty()) {
    const std::size_t target = to.at() + record_bytes;
    whole = write_cname(to, answer.cname);
    if (whole) count++;
    owner = target;
  }
  for (std::size_t i = 0; whole && i < addresses.size(); i++) {
    const IpAddress& ip = addresses[(answer.first + i) % addresses.size()];
    const std::size_t size = ip.is_v4() ? 4 : 16;
    whole = to.fits(record_bytes + size);
    if (!whole) break;
    to.record(static_cast<uint16_t>(owner), ip.is_v4() ? type_a : type_aaaa, size);
    to.bytes({reinterpret_cast<const char*>(ip.bytes()), size});
    count++;
  }
  to.set(6, count);
  if (!whole) to.add_flags(flag_truncated);
  to.release(opt);
  write_opt(to, question, 0);
  return to.at();
}

std::size_t write_refusal(std::span<const char> query, const Question* question, uint8_t code,
                          std::span<char> into) {
  Writer to(into, std::min<std::size_t>(into.size(), 512));
  write_head(to, query, question ? question->end : dns_header_bytes, code);
  if (question) write_opt(to, *question, code);
  return to.at();
}

}  // namespace sallyport::dns
