#include "tls/quic_initial.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::tls {
namespace {

using Bytes = std::span<const char>;

struct QuicVersion {
  uint32_t number;
  uint8_t initial_type;
  std::array<uint8_t, 20> salt;
  const char *key, *iv, *header;  // labels of HKDF-Expand-Label
};
constexpr QuicVersion versions[] = {
    {0x00000001,
     0,
     {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
      0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
     "quic key",
     "quic iv",
     "quic hp"},
    {0x6b3343cf,
     1,
     {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
      0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
     "quicv2 key",
     "quicv2 iv",
     "quicv2 hp"},
};

constexpr std::size_t tag_bytes = 16, sample_bytes = 16, connection_id_most = 20;
// Of the one that a client chooses (RFC 9000 section 7.2).
constexpr std::size_t connection_id_least = 8;
// With an Initial packet in it (RFC 9000 section 14.1).
constexpr std::size_t datagram_least = 1'200;

// Takes numbers and lengths off the front; every take fails at the end.
class Cursor {
public:
  explicit Cursor(Bytes bytes) : bytes_(bytes) {}
  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  bool skip(uint64_t count) {
    if (left() < count) return false;
    at_ += count;
    return true;
  }
  std::optional<uint8_t> take_byte() {
    if (left() == 0) return std::nullopt;
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  std::optional<Bytes> take(uint64_t count) {
    if (left() < count) return std::nullopt;
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  // RFC 9000 section 16.
  std::optional<uint64_t> take_number() {
    const auto first = take_byte();
    if (!first) return std::nullopt;
    uint64_t value = *first & 0x3f;
    for (int more = (1 << (*first >> 6)) - 1; more > 0; more--) {
      const auto next = take_byte();
      if (!next) return std::nullopt;
      value = value << 8 | *next;
    }
    return value;
  }

private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

struct KdfFree {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

// Extract (with a salt) or expand (with a label) of HKDF with SHA-256.
bool hkdf(int mode, std::span<const uint8_t> secret, std::span<const uint8_t> salt_or_info,
          std::span<uint8_t> out) {
  static const std::unique_ptr<EVP_KDF, KdfFree> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, KdfFree> context(EVP_KDF_CTX_new(kdf.get()));
  char digest[] = "SHA256";
  const auto octets = [](const char* name, std::span<const uint8_t> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(bytes.data()),
                                             bytes.size());
  };
  const bool extract = mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, secret),
      octets(extract ? OSSL_KDF_PARAM_SALT : OSSL_KDF_PARAM_INFO, salt_or_info),
      OSSL_PARAM_construct_end()};
  return context && EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) == 1;
}

// RFC 8446 section 7.1, without a context.
bool expand_label(std::span<const uint8_t> secret, std::string_view label, std::span<uint8_t> out) {
  std::vector<uint8_t> info = {0, static_cast<uint8_t>(out.size()),
                               static_cast<uint8_t>(6 + label.size())};
  for (const char c : std::string_view("tls13 ")) info.push_back(static_cast<uint8_t>(c));
  for (const char c : label) info.push_back(static_cast<uint8_t>(c));
  info.push_back(0);
  return hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, secret, info, out);
}

struct CipherFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, CipherFree>;

// RFC 9001 section 5.4.3.
bool header_mask(std::span<const uint8_t, 16> key, Bytes sample,
                 std::span<uint8_t, sample_bytes> mask) {
  const CipherContext context(EVP_CIPHER_CTX_new());
  int size = 0;
  return context &&
         EVP_EncryptInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr) == 1 &&
         EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1 &&
         EVP_EncryptUpdate(context.get(), mask.data(), &size,
                           reinterpret_cast<const uint8_t*>(sample.data()), sample_bytes) == 1 &&
         size == int(sample_bytes);
}

// nullopt: the tag is wrong.
std::optional<std::string> open_payload(std::span<const uint8_t, 16> key,
                                        std::array<uint8_t, 12> nonce, uint64_t number,
                                        Bytes header, Bytes payload) {
  for (std::size_t i = 0; i < 8; i++) nonce[11 - i] ^= static_cast<uint8_t>(number >> (8 * i));
  const auto bytes = [](Bytes of) { return reinterpret_cast<const uint8_t*>(of.data()); };
  const Bytes text = payload.first(payload.size() - tag_bytes), tag = payload.last(tag_bytes);
  std::array<char, tag_bytes> expected;
  std::copy(tag.begin(), tag.end(), expected.begin());
  std::string out(text.size(), '\0');
  const CipherContext context(EVP_CIPHER_CTX_new());
  int size = 0;
  const bool opened =
      context &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, key.data(), nonce.data()) ==
          1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &size, bytes(header), int(header.size())) == 1 &&
      EVP_DecryptUpdate(context.get(), reinterpret_cast<uint8_t*>(out.data()), &size, bytes(text),
                        int(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, expected.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), nullptr, &size) == 1;
  return opened ? std::optional(std::move(out)) : std::nullopt;
}

using OnCrypto = std::function<void(uint64_t, std::string_view)>;

// RFC 9000 section 19.3.
bool skip_ack(Cursor& frames, bool with_counts) {
  const auto largest = frames.take_number(), delay = frames.take_number();
  const auto ranges = frames.take_number(), first = frames.take_number();
  if (!largest || !delay || !ranges || !first) return false;
  for (uint64_t i = 0; i < *ranges; i++)
    if (!frames.take_number() || !frames.take_number()) return false;
  for (int i = 0; with_counts && i < 3; i++)
    if (!frames.take_number()) return false;
  return true;
}

// Which frames an Initial packet can have: RFC 9000 section 12.4. False: another, or a broken one.
bool read_frames(std::string_view payload, const OnCrypto& crypto) {
  constexpr uint64_t padding = 0, ping = 1, ack = 2, ack_with_counts = 3, crypto_frame = 6,
                     close = 0x1c;
  Cursor frames(payload);
  while (frames.left() > 0) {
    const auto type = frames.take_number();
    if (!type) return false;
    if (*type == padding || *type == ping) continue;
    if (*type == close) return true;  // what follows is of no connection
    if (*type == ack || *type == ack_with_counts) {
      if (!skip_ack(frames, *type == ack_with_counts)) return false;
      continue;
    }
    if (*type != crypto_frame) return false;
    const auto offset = frames.take_number(), size = frames.take_number();
    const auto bytes = size ? frames.take(*size) : std::nullopt;
    if (!offset || !bytes) return false;
    crypto(*offset, {bytes->data(), bytes->size()});
  }
  return true;
}

}  // namespace

struct QuicInitials::Packet {
  const QuicVersion* version;
  Bytes connection_id;
  std::size_t number_at;  // of the protected packet number, from the packet's begin
  std::size_t size;       // of the whole packet
  bool initial;
  static QuicReading read_header(Bytes packet, Packet& into);
};

// RFC 9000 section 17.2, up to what is protected. `packet`: to the datagram's end.
QuicReading QuicInitials::Packet::read_header(Bytes packet, Packet& into) {
  Cursor cursor(packet);
  const auto first = cursor.take_byte();
  if (!first || !(*first & 0x80)) return QuicReading::not_quic;
  uint32_t number = 0;
  for (int i = 0; i < 4; i++) {
    const auto byte = cursor.take_byte();
    if (!byte) return QuicReading::not_quic;
    number = number << 8 | *byte;
  }
  const auto* const version =
      std::find_if(std::begin(versions), std::end(versions),
                   [number](const QuicVersion& one) { return one.number == number; });
  if (version == std::end(versions)) return QuicReading::unknown_version;
  if (!(*first & 0x40)) return QuicReading::broken;  // the fixed bit
  const auto id_size = cursor.take_byte();
  if (!id_size || *id_size > connection_id_most) return QuicReading::broken;
  const auto id = cursor.take(*id_size);
  const auto source_size = cursor.take_byte();
  if (!id || !source_size || *source_size > connection_id_most || !cursor.skip(*source_size))
    return QuicReading::broken;
  into = {version, *id, 0, packet.size(), (*first >> 4 & 3) == version->initial_type};
  // A Retry packet, which has no length, is a server's.
  const uint8_t retry_type = version->initial_type == 0 ? 3 : 0;
  if ((*first >> 4 & 3) == retry_type) return QuicReading::other;
  if (into.initial) {
    if (*id_size < connection_id_least) return QuicReading::broken;
    const auto token = cursor.take_number();
    if (!token || !cursor.skip(*token)) return QuicReading::broken;
  }
  const auto length = cursor.take_number();
  if (!length || cursor.left() < *length) return QuicReading::broken;
  into.number_at = cursor.at();
  into.size = cursor.at() + *length;
  return into.initial ? QuicReading::initial : QuicReading::other;
}

// RFC 9001 section 5.2.
std::optional<QuicInitials::Connection> QuicInitials::connection_of(const Packet& packet) {
  const QuicVersion& version = *packet.version;
  const Bytes id = packet.connection_id;
  Connection out{version.number, {id.begin(), id.end()}, {}, {}, {}};
  std::array<uint8_t, 32> initial, client;
  const std::span octets(reinterpret_cast<const uint8_t*>(id.data()), id.size());
  const bool done = hkdf(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, octets, version.salt, initial) &&
                    expand_label(initial, "client in", client) &&
                    expand_label(client, version.key, out.key) &&
                    expand_label(client, version.iv, out.iv) &&
                    expand_label(client, version.header, out.header_key);
  return done ? std::optional(std::move(out)) : std::nullopt;
}

QuicReading QuicInitials::read_packet(Bytes whole, const Packet& packet, const OnCrypto& crypto) {
  constexpr std::size_t number_most = 4;
  const Bytes bytes = whole.first(packet.size);
  if (packet.size - packet.number_at < number_most + sample_bytes) return QuicReading::broken;
  if (!connection_) connection_ = connection_of(packet);
  if (!connection_) return QuicReading::broken;
  const std::string_view id(packet.connection_id.data(), packet.connection_id.size());
  if (connection_->version != packet.version->number || connection_->id != id)
    return QuicReading::two_connections;
  std::array<uint8_t, sample_bytes> mask;
  if (!header_mask(connection_->header_key,
                   bytes.subspan(packet.number_at + number_most, sample_bytes), mask))
    return QuicReading::broken;
  std::vector<char> header(bytes.begin(),
                           bytes.begin() + static_cast<std::ptrdiff_t>(packet.number_at));
  header[0] = static_cast<char>(header[0] ^ (mask[0] & 0x0f));
  const std::size_t number_size = static_cast<std::size_t>(header[0] & 3) + 1;
  uint64_t number = 0;
  for (std::size_t i = 0; i < number_size; i++) {
    header.push_back(static_cast<char>(bytes[packet.number_at + i] ^ mask[1 + i]));
    number = number << 8 | static_cast<uint8_t>(header.back());
  }
  const Bytes payload = bytes.subspan(packet.number_at + number_size);
  if (payload.size() < tag_bytes) return QuicReading::broken;
  const auto frames = open_payload(connection_->key, connection_->iv, number, header, payload);
  if (!frames) return QuicReading::wrong_tag;
  return read_frames(*frames, crypto) ? QuicReading::initial : QuicReading::broken;
}

QuicReading QuicInitials::read(Bytes datagram, const OnCrypto& crypto) {
  const bool takable = datagram.size() >= datagram_least;
  QuicReading result = QuicReading::not_quic;
  while (!datagram.empty()) {
    Packet packet;
    const QuicReading header = Packet::read_header(datagram, packet);
    const bool first = result == QuicReading::not_quic;
    // Behind a good packet: one with a short header, or padding (RFC 9000 section 12.2).
    if (header == QuicReading::not_quic || header == QuicReading::unknown_version)
      return first ? header : result;
    if (header == QuicReading::broken) return header;
    if (header == QuicReading::initial) {
      result = takable ? read_packet(datagram, packet, crypto) : QuicReading::too_small;
      if (result != QuicReading::initial) return result;
    } else if (first) {
      result = header;
    }
    datagram = datagram.subspan(packet.size);
  }
  return result;
}

}  // namespace sallyport::tls
