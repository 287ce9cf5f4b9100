#include "dns/message.h"

#include <ares.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "agent/core/limits.h"
#include "dns/codes.h"
#include "dns/message_walk.h"
#include "dns/names.h"

namespace sallyport::dns {
namespace {

constexpr int cname_hops = 16;  // c-ares and BIND follow as many

struct Record {
  std::string owner;
  std::string target;  // of a CNAME, else empty
  IpAddress address;
  uint32_t ttl = 0;
};

struct AresFree {
  void operator()(char* text) const { ares_free_string(text); }
};

// Walks the message; every take_ fails at its end.
class Reader {
public:
  explicit Reader(std::span<const unsigned char> message) : message_(message) {}

  bool skip(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }
  std::optional<uint16_t> take_u16() {
    if (message_.size() - at_ < 2) return std::nullopt;
    const auto value = static_cast<uint16_t>(message_[at_] << 8 | message_[at_ + 1]);
    at_ += 2;
    return value;
  }
  std::optional<uint32_t> take_u32() {
    const auto high = take_u16(), low = take_u16();
    if (!high || !low) return std::nullopt;
    return uint32_t{*high} << 16 | *low;
  }
  // ares_expand_name bounds the number of compression pointers, so that a loop of them ends.
  std::optional<std::string> take_name() {
    if (at_ >= message_.size()) return std::nullopt;
    char* text = nullptr;
    long encoded = 0;
    const int status = ares_expand_name(message_.data() + at_, message_.data(),
                                        static_cast<int>(message_.size()), &text, &encoded);
    const std::unique_ptr<char, AresFree> owned(text);
    if (status != ARES_SUCCESS || encoded <= 0 || !skip(static_cast<std::size_t>(encoded))) {
      return std::nullopt;
    }
    return canonical(text);
  }
  std::span<const unsigned char> rest() const { return message_.subspan(at_); }
  std::size_t at() const { return at_; }

private:
  std::span<const unsigned char> message_;
  std::size_t at_ = 0;
};

IpAddress address_of(std::span<const unsigned char> data, uint16_t type) {
  if (type == type_a) {
    return IpAddress::v4(uint32_t{data[0]} << 24 | uint32_t{data[1]} << 16 |
                         uint32_t{data[2]} << 8 | data[3]);
  }
  in6_addr bytes;
  std::memcpy(&bytes, data.data(), sizeof bytes);
  return IpAddress::v6(bytes);
}

// One resource record. nullopt: cut short or with a length its type can't have. A record of another
// type has neither target nor address.
std::optional<Record> take_record(Reader& reader, uint16_t wanted) {
  auto owner = reader.take_name();
  const auto type = reader.take_u16(), klass = reader.take_u16();
  const auto ttl = reader.take_u32();
  const auto length = reader.take_u16();
  if (!owner || !type || !klass || !ttl || !length || reader.rest().size() < *length) {
    return std::nullopt;
  }
  Record record;
  record.owner = std::move(*owner);
  record.ttl = *ttl > INT32_MAX ? 0 : *ttl;  // RFC 2181 section 8
  const std::size_t end = reader.at() + *length;
  if (*klass == class_in && *type == type_cname) {
    auto target = reader.take_name();
    if (!target || reader.at() > end) return std::nullopt;
    record.target = std::move(*target);
  } else if (*klass == class_in && *type == wanted) {
    if (*length != (wanted == type_a ? 4 : 16)) return std::nullopt;
    record.address = address_of(reader.rest(), wanted);
  }
  if (!reader.skip(end - reader.at())) return std::nullopt;
  return record;
}

Error bad(std::string_view what) {
  return Error{Fault::protocol, Side::upstream, false, std::string(what), {}};
}

// The addresses of the name at the end of the CNAME chain that starts at `host`.
Result<Records> follow(const std::vector<Record>& records, std::string_view host) {
  std::string name = canonical(host);
  uint32_t ttl = INT32_MAX;
  bool ended = false;
  for (int hop = 0; hop < cname_hops && !ended; ++hop) {
    const auto alias = std::find_if(records.begin(), records.end(), [&](const Record& record) {
      return !record.target.empty() && record.owner == name;
    });
    ended = alias == records.end();
    if (!ended) {
      ttl = std::min(ttl, alias->ttl);
      name = alias->target;
    }
  }
  if (!ended) return bad("the answer's CNAMEs go in a circle or are too many");
  Records out;
  bool foreign = false;
  for (const Record& record : records) {
    if (!record.address.is_set() || record.address.is_unspecified()) continue;
    if (record.owner != name) {
      foreign = true;
      continue;
    }
    if (out.addresses.size() == limits::dns_addresses) {
      out.cut = true;
      break;
    }
    ttl = std::min(ttl, record.ttl);
    if (std::find(out.addresses.begin(), out.addresses.end(), record.address) ==
        out.addresses.end()) {
      out.addresses.push_back(record.address);
    }
  }
  if (out.addresses.empty() && foreign) return bad("the answer is about other names only");
  out.ttl = std::chrono::seconds(ttl);
  return out;
}

}  // namespace

Result<Records> read_addresses(std::span<const unsigned char> message, std::string_view host,
                               Family family) {
  Reader reader(message);
  if (!reader.skip(4)) return bad("the answer is cut short");
  const auto questions = reader.take_u16(), answers = reader.take_u16();
  if (!answers || !reader.skip(dns_header_bytes - 8)) return bad("the answer is cut short");
  if (*questions != 1) return bad("the answer has not exactly one question");
  const auto question = reader.take_name();
  if (!question || !reader.skip(4)) return bad("the answer is cut short");
  if (*question != canonical(host)) return bad("the answer is to another question");
  std::vector<Record> records;
  const uint16_t wanted = family == Family::v4 ? type_a : type_aaaa;
  for (std::size_t i = 0; i < std::min<std::size_t>(*answers, limits::dns_records); ++i) {
    auto record = take_record(reader, wanted);
    if (!record) return bad("the answer is cut short or malformed");
    if (!record->target.empty() || record->address.is_set()) records.push_back(std::move(*record));
  }
  return follow(records, host);
}

std::optional<std::chrono::seconds> denial_ttl(std::span<const unsigned char> message) {
  constexpr std::size_t serial_refresh_retry_expire = 16;
  Reader reader(message);
  if (!reader.skip(4)) return std::nullopt;
  const auto questions = reader.take_u16(), answers = reader.take_u16();
  const auto authorities = reader.take_u16();
  if (!authorities || !reader.skip(2) || *questions != 1) return std::nullopt;
  if (!reader.take_name() || !reader.skip(4)) return std::nullopt;
  const std::size_t records =
      std::min<std::size_t>(std::size_t{*answers} + *authorities, limits::dns_records);
  for (std::size_t i = 0; i < records; ++i) {
    const bool named = reader.take_name().has_value();
    const auto type = reader.take_u16(), klass = reader.take_u16();
    const auto ttl = reader.take_u32();
    const auto length = reader.take_u16();
    if (!named || !type || !klass || !ttl || !length) return std::nullopt;
    if (*type != type_soa || *klass != class_in) {
      if (!reader.skip(*length)) return std::nullopt;
      continue;
    }
    const bool names = reader.take_name() && reader.take_name();
    if (!names || !reader.skip(serial_refresh_retry_expire)) return std::nullopt;
    const auto minimum = reader.take_u32();
    if (!minimum) return std::nullopt;
    return std::chrono::seconds(std::min<uint32_t>({*ttl, *minimum, INT32_MAX}));
  }
  return std::nullopt;
}

}  // namespace sallyport::dns
