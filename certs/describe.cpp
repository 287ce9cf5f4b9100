#include "certs/describe.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <ctime>

#include "agent/core/address.h"
#include "certs/openssl_ptr.h"

namespace sallyport::certs {
namespace {

std::string bio_text(BIO& bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string utc_text(int64_t seconds_since_1970, const char* format, const char* unknown) {
  const time_t time = seconds_since_1970;
  tm parts{};
  char text[32];
  if (!gmtime_r(&time, &parts) || std::strftime(text, sizeof text, format, &parts) == 0)
    return unknown;
  return text;
}

// istioctl prints Go's %x of the number: lower case, no leading zero.
std::string serial_text(const ASN1_INTEGER* serial) {
  const BignumPtr number(ASN1_INTEGER_to_BN(serial, nullptr));
  const OpensslText hex(number ? BN_bn2hex(number.get()) : nullptr);
  if (!hex) return {};
  std::string_view digits(hex.get());
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  std::string text(digits);
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// With its length: a NUL inside stays visible and never shortens a name.
std::string raw_text(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string ip_text(const ASN1_OCTET_STRING* address) {
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  if (ASN1_STRING_length(address) == 4)
    return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 |
                         uint32_t{bytes[2]} << 8 | bytes[3])
        .text();
  if (ASN1_STRING_length(address) != 16) return {};
  in6_addr v6;
  std::memcpy(&v6, bytes, sizeof v6);
  return IpAddress::v6(v6).text();
}

void add_alternative_names(const X509& certificate, CertificateInfo& info) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    switch (name->type) {
      case GEN_DNS:
        info.dns_names.push_back(raw_text(name->d.dNSName));
        break;
      case GEN_URI:
        info.uris.push_back(raw_text(name->d.uniformResourceIdentifier));
        break;
      case GEN_EMAIL:
        info.emails.push_back(raw_text(name->d.rfc822Name));
        break;
      case GEN_IPADD:
        if (std::string text = ip_text(name->d.iPAddress); !text.empty())
          info.ips.push_back(std::move(text));
        break;
      default:
        break;
    }
  }
}

}  // namespace

CertificateInfo describe(const X509& certificate) {
  CertificateInfo info;
  info.subject = subject_text(certificate);
  info.issuer = issuer_text(certificate);
  info.serial = serial_text(X509_get0_serialNumber(&certificate));
  info.not_before = seconds_of(X509_get0_notBefore(&certificate));
  info.not_after = seconds_of(X509_get0_notAfter(&certificate));
  add_alternative_names(certificate, info);
  ERR_clear_error();  // A broken extension leaves its reason there.
  return info;
}

std::string name_text(const X509_NAME& name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio) return {};
  X509_NAME_print_ex(bio.get(), &name, 0, XN_FLAG_RFC2253);
  return bio_text(*bio);
}

std::string subject_text(const X509& certificate) {
  return name_text(*X509_get_subject_name(&certificate));
}

std::string issuer_text(const X509& certificate) {
  return name_text(*X509_get_issuer_name(&certificate));
}

std::string date_text(int64_t seconds_since_1970) {
  return utc_text(seconds_since_1970, "%F", "an unknown day");
}

std::string time_text(int64_t seconds_since_1970) {
  return utc_text(seconds_since_1970, "%FT%TZ", "an unknown time");
}

int64_t seconds_of(const ASN1_TIME* time) {
  tm parts{};
  return time && ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

std::string printable(std::string_view bytes, std::size_t limit) {
  std::string text;
  for (const char c : bytes.substr(0, limit)) {
    if (c >= ' ' && c <= '~') {
      text += c;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
    text += escaped;
  }
  if (bytes.size() > limit) text += "...";
  return text;
}

std::string hexadecimal(std::span<const unsigned char> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 0xf];
  }
  return text;
}

std::string take_openssl_errors() {
  std::string line;
  char text[256];
  while (const unsigned long code = ERR_get_error()) {
    ERR_error_string_n(code, text, sizeof text);
    if (!line.empty()) line += "; ";
    line += text;
  }
  return line;
}

}  // namespace sallyport::certs
