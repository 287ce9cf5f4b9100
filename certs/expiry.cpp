#include "certs/expiry.h"

#include "certs/describe.h"

namespace sallyport::certs {
namespace {

constexpr int64_t day_s = 86'400;
constexpr std::size_t uri_bytes_shown = 512;
constexpr int thresholds[] = {0, 1, 7, 30};  // days; 0: it is over

// The least threshold that is reached; -1: none.
int threshold_of(const Expiry& expiry, int64_t now) {
  for (const int days : thresholds) {
    const bool reached = expiry.until - now <= days * day_s;
    if (reached && expiry.until - expiry.from >= 2 * days * day_s) return days;
  }
  return -1;
}

std::string line_of(const Expiry& expiry, int64_t now) {
  std::string line = expiry.resource + ": " + expiry.what +
                     (expiry.serial.empty() ? " of \"" : " \"") + expiry.subject + "\"";
  if (!expiry.serial.empty()) line += ", serial " + expiry.serial + ",";
  const int64_t days = (expiry.until - now) / day_s;
  if (now >= expiry.until) {
    line += " has expired: it was good until ";
  } else if (days == 0) {
    line += " expires in less than a day: it is good until ";
  } else {
    line += " expires in " + std::to_string(days) + (days == 1 ? " day" : " days") +
            ": it is good until ";
  }
  return line + time_text(expiry.until);
}

}  // namespace

std::vector<Expiry> expiries(const Vault& vault) {
  std::vector<Expiry> all;
  const auto add = [&all](const char* what, const std::string& resource,
                          const std::vector<CertificateInfo>& certificates) {
    for (const CertificateInfo& info : certificates) {
      const bool by_uri = info.subject.empty() && !info.uris.empty();
      all.push_back({what, resource,
                     by_uri ? printable(info.uris.front(), uri_bytes_shown) : info.subject,
                     info.serial, info.not_before, info.not_after});
    }
  };
  for (const auto& [name, entry] : vault.entries) {
    if (entry.pair) add("certificate", name, entry.pair->certificates());
    if (!entry.roots) continue;
    add("CA certificate", name, entry.roots->certificates());
    for (const CrlInfo& crl : entry.roots->crls()) {
      if (crl.next_update != 0)
        all.push_back({"CRL", name, crl.issuer, "", crl.last_update, crl.next_update});
    }
  }
  return all;
}

std::vector<std::string> ExpiryWarnings::due(const Vault& vault, int64_t now) {
  std::vector<std::string> lines;
  std::map<Key, int> told;
  for (const Expiry& expiry : expiries(vault)) {
    const int threshold = threshold_of(expiry, now);
    if (threshold < 0) continue;
    const Key key{expiry.resource, expiry.what + expiry.subject, expiry.serial, expiry.until};
    const auto before = told_.find(key);
    const bool known = told.contains(key) || (before != told_.end() && before->second <= threshold);
    if (!known) lines.push_back(line_of(expiry, now));
    told.emplace(key, before != told_.end() ? std::min(before->second, threshold) : threshold);
  }
  told_ = std::move(told);
  return lines;
}

}  // namespace sallyport::certs
