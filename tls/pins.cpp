#include "tls/pins.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

#include "agent/core/ascii.h"
#include "certs/describe.h"

namespace sallyport::tls {
namespace {

constexpr std::size_t base64_size = 44, hexadecimal_size = 64;
constexpr std::size_t pin_bytes_shown = 100;  // of a bad one

Error bad_pin(std::string_view pin, std::string_view wanted) {
  return {Fault::tls_verify, Side::local, false,
          "'" + certs::printable(pin, pin_bytes_shown) + "' is no " + std::string(wanted), ""};
}

bool is_base64_digit(char c) {
  const char lower = ascii::lower(c);
  return (lower >= 'a' && lower <= 'z') || ascii::is_digit(c) || c == '+' || c == '/';
}

// -1: it is none.
int hexadecimal_digit(char c) {
  if (ascii::is_digit(c)) return c - '0';
  const char lower = ascii::lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

Result<Sha256> parse_spki_pin(std::string_view base64) {
  constexpr std::string_view wanted = "SHA-256 in base64: 44 characters, the last of them '='";
  const bool well_formed =
      base64.size() == base64_size && base64.back() == '=' &&
      std::all_of(base64.begin(), base64.end() - 1, [](char c) { return is_base64_digit(c); });
  if (!well_formed) return bad_pin(base64, wanted);
  std::array<unsigned char, base64_size / 4 * 3> bytes;
  EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(base64.data()),
                  static_cast<int>(base64.size()));
  // Bits beyond the 32nd byte: RFC 4648 section 3.5 lets a reader refuse them, and Envoy does.
  if (bytes.back() != 0) return bad_pin(base64, wanted);
  Sha256 out;
  std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}

Result<Sha256> parse_certificate_pin(std::string_view hexadecimal) {
  constexpr std::string_view wanted =
      "SHA-256 in hexadecimal: 64 digits, or with a colon between every two";
  const std::size_t step = hexadecimal.size() == hexadecimal_size ? 2 : 3;
  if (step == 3 && hexadecimal.size() != hexadecimal_size / 2 * 3 - 1)
    return bad_pin(hexadecimal, wanted);
  Sha256 out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t at = i * step;
    const int high = hexadecimal_digit(hexadecimal[at]),
              low = hexadecimal_digit(hexadecimal[at + 1]);
    const bool parted = step == 2 || i + 1 == out.size() || hexadecimal[at + 2] == ':';
    if (high < 0 || low < 0 || !parted) return bad_pin(hexadecimal, wanted);
    out[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return out;
}

std::optional<Sha256> spki_sha256(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  Sha256 out{};
  const bool made = size > 0 && EVP_Digest(der, static_cast<std::size_t>(size), out.data(), nullptr,
                                           EVP_sha256(), nullptr) == 1;
  OPENSSL_free(der);
  ERR_clear_error();
  return made ? std::optional(out) : std::nullopt;
}

std::optional<Sha256> certificate_sha256(const X509& certificate) {
  Sha256 out{};
  const bool made = X509_digest(&certificate, EVP_sha256(), out.data(), nullptr) == 1;
  ERR_clear_error();
  return made ? std::optional(out) : std::nullopt;
}

std::string spki_pin_text(const Sha256& pin) {
  std::array<unsigned char, base64_size + 1> text;  // and a NUL
  EVP_EncodeBlock(text.data(), pin.data(), static_cast<int>(pin.size()));
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace sallyport::tls
