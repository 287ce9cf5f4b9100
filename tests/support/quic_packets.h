// A QUIC client's Initial packets, made as RFC 9001 section 5 and RFC 9369 say; and a ClientHello
// to put into them.
#pragma once
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::test::quic {

inline std::string big_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; i--) out += static_cast<char>(value >> (8 * i));
  return out;
}
// RFC 9000 section 16: in two or four bytes.
inline std::string number(uint64_t value) {
  return value < 16'384 ? big_endian(value | 0x4000, 2) : big_endian(value | 0x80000000, 4);
}

inline std::string hmac(std::string_view key, std::string_view text) {
  std::string out(32, '\0');
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), int(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}
// HKDF-Expand-Label for at most 32 bytes.
inline std::string expand(std::string_view secret, const std::string& label, std::size_t size) {
  const std::string whole = "tls13 " + label;
  return hmac(secret, big_endian(size, 2) + static_cast<char>(whole.size()) + whole +
                          std::string("\0\1", 2))
      .substr(0, size);
}

struct Version {
  uint32_t number;
  unsigned initial_type;
  std::string salt, label;
};
inline Version v1() {
  return {1, 0, "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
          "quic "};
}
inline Version v2() {
  return {0x6b3343cf, 1,
          std::string("\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e"
                      "\xd9",
                      20),
          "quicv2 "};
}

struct Keys {
  std::string key, iv, header;
};
inline Keys keys_of(const Version& version, std::string_view connection_id) {
  const auto client = expand(hmac(version.salt, connection_id), "client in", 32);
  return {expand(client, version.label + "key", 16), expand(client, version.label + "iv", 12),
          expand(client, version.label + "hp", 16)};
}

inline std::string encrypt(const EVP_CIPHER* cipher, const std::string& key, const std::string& iv,
                           const std::string& more, const std::string& text) {
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  const auto bytes = [](const std::string& of) {
    return reinterpret_cast<const unsigned char*>(of.data());
  };
  std::string out(text.size() + 16, '\0');
  auto* const into = reinterpret_cast<unsigned char*>(out.data());
  int size = 0;
  EVP_EncryptInit_ex(context, cipher, nullptr, bytes(key), iv.empty() ? nullptr : bytes(iv));
  EVP_CIPHER_CTX_set_padding(context, 0);
  if (!iv.empty()) EVP_EncryptUpdate(context, nullptr, &size, bytes(more), int(more.size()));
  EVP_EncryptUpdate(context, into, &size, bytes(text), int(text.size()));
  if (!iv.empty()) {
    EVP_EncryptFinal_ex(context, into + size, &size);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, into + text.size());
  } else {
    out.resize(text.size());
  }
  EVP_CIPHER_CTX_free(context);
  return out;
}

struct Initial {
  Version version = v1();
  std::string connection_id = "\x83\x94\xc8\xf0\x3e\x51\x57\x08", source_id = "", token = "";
  uint32_t packet_number = 2;
  std::size_t size = 1'200;  // padded to it
};

inline std::string crypto_frame(uint64_t offset, std::string_view bytes) {
  return "\x06" + number(offset) + number(bytes.size()) + std::string(bytes);
}

inline std::string packet(const Initial& how, std::string frames) {
  std::string header(1, static_cast<char>(0xc3 | how.version.initial_type << 4));
  header += big_endian(how.version.number, 4);
  header += static_cast<char>(how.connection_id.size()) + how.connection_id;
  header += static_cast<char>(how.source_id.size()) + how.source_id;
  header += number(how.token.size()) + how.token;
  const std::size_t around = header.size() + 2 + 4 + 16;
  frames.resize(std::max(frames.size(), how.size > around ? how.size - around : 4), '\0');
  header += number(4 + frames.size() + 16);
  const std::size_t number_at = header.size();
  header += big_endian(how.packet_number, 4);
  const Keys keys = keys_of(how.version, how.connection_id);
  std::string nonce = keys.iv;
  for (int i = 0; i < 4; i++)
    nonce[std::size_t(8 + i)] =
        static_cast<char>(nonce[std::size_t(8 + i)] ^ header[number_at + std::size_t(i)]);
  const auto payload = encrypt(EVP_aes_128_gcm(), keys.key, nonce, header, frames);
  const auto mask = encrypt(EVP_aes_128_ecb(), keys.header, "", "", payload.substr(0, 16));
  header[0] = static_cast<char>(header[0] ^ (mask[0] & 0x0f));
  for (std::size_t i = 0; i < 4; i++)
    header[number_at + i] = static_cast<char>(header[number_at + i] ^ mask[1 + i]);
  return header + payload;
}

// With SNI and the ALPN h3; `padding` bytes of an extension that nobody knows.
inline std::string client_hello(const std::string& host, std::size_t padding = 0) {
  const auto block = [](const std::string& text, int size) {
    return big_endian(text.size(), size) + text;
  };
  const auto extension = [&](unsigned type, const std::string& text) {
    return big_endian(type, 2) + block(text, 2);
  };
  const std::string extensions = extension(0, block('\0' + block(host, 2), 2)) +
                                 extension(16, block(block("h3", 1), 2)) +
                                 extension(21, std::string(padding, '\0'));
  const std::string body = big_endian(0x0303, 2) + std::string(32, 'r') + block("", 1) +
                           block("\x13\x01", 2) + block(std::string(1, '\0'), 1) +
                           block(extensions, 2);
  return "\x01" + block(body, 3);
}

}  // namespace sallyport::test::quic
