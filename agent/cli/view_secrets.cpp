#include <openssl/x509v3.h>

#include <ctime>

#include "agent/cli/proxy_config_view.h"
#include "agent/cli/table.h"
#include "certs/describe.h"
#include "certs/pem.h"
#include "certs/vault.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t serial_digits = 32;
constexpr std::size_t certificates_read_max = 4096;

struct SecretRow {
  std::string name, type, status, serial, not_after, not_before, trust_domain, problem;
  bool valid = false;
};

std::string time_text(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// What istioctl says of a secret is what its first certificate says.
void take_certificate(SecretRow& row, const std::string& pem, int64_t now) {
  const auto contents = certs::read_pem(pem, certificates_read_max);
  if (!contents || contents->certificates.empty()) return;
  X509* const first = contents->certificates.front().get();
  X509_check_purpose(first, -1, 0);  // fills the flags below in
  row.type = X509_get_extension_flags(first) & EXFLAG_CA ? "CA" : "Cert Chain";
  const auto info = certs::describe(*first);
  row.serial = info.serial;
  if (row.serial.size() < serial_digits) {
    row.serial.insert(0, serial_digits - row.serial.size(), '0');
  }
  row.not_after = time_text(info.not_after);
  row.not_before = time_text(info.not_before);
  row.valid = info.not_before < now && now < info.not_after;
  constexpr std::string_view spiffe = "spiffe://";
  for (const auto& uri : info.uris) {
    if (!uri.starts_with(spiffe)) continue;
    row.trust_domain = uri.substr(spiffe.size(), uri.find('/', spiffe.size()) - spiffe.size());
  }
}

void add_rows(std::vector<SecretRow>& rows, const Json* secrets, bool active,
              const ProxyConfigQuery& query) {
  const auto* key = active ? "dynamic_active_secrets" : "dynamic_warming_secrets";
  for (const auto* one : elements(member(secrets, key))) {
    SecretRow row;
    row.name = text_of(member(one, "name"));
    if (!query.name.empty() && row.name != query.name) continue;
    row.status = active ? "ACTIVE" : "WARMING";
    row.problem = text_of(member(one, "error_state.details"));
    take_certificate(row, secret_pem(one), query.now);
    rows.push_back(std::move(row));
  }
}

std::string table_text(const std::vector<SecretRow>& rows, bool typed_names) {
  // istioctl's rule: the column is there when every certificate has a SPIFFE identity.
  bool domains = true;
  for (const auto& row : rows) domains &= !row.trust_domain.empty();
  Table table(table_padding);
  std::vector<std::string> titles = {"RESOURCE NAME", "TYPE",      "STATUS",    "VALID CERT",
                                     "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"};
  if (domains) titles.push_back("TRUST DOMAIN");
  table.add(std::move(titles));
  for (const auto& row : rows) {
    std::vector<std::string> cells = {
        (typed_names ? "secret/" : "") + row.name,
        row.type,
        row.status,
        row.valid ? "true" : "false",
        row.serial,
        row.not_after,
        row.not_before,
    };
    if (domains) cells.push_back(row.trust_domain);
    table.add(std::move(cells));
  }
  return table.text();
}

// Below the table, so that the columns stay istioctl's.
std::string reasons(const std::vector<SecretRow>& rows) {
  std::string out;
  for (const auto& row : rows) {
    if (row.problem.empty()) continue;
    if (row.status == "ACTIVE" && row.problem.ends_with("missing")) {
      out += "\n" + row.name + " is ACTIVE: it was deleted (" + row.problem +
             "); the last good version stays in force";
      continue;
    }
    if (row.status == "ACTIVE" && row.name == certs::identity_name) {
      out += "\n" + row.name + " is ACTIVE, but " + row.problem;
      continue;
    }
    out += "\n" + row.name + " is " + row.status +
           (row.status == "ACTIVE" ? ", but a newer version was not taken: " : ": ") + row.problem;
  }
  return out.empty() ? out : out + "\n";
}

}  // namespace

Result<std::string> view_secrets(const Json* dump, const ProxyConfigQuery& query) {
  const auto secrets = section(dump, "SecretsConfigDump");
  if (!secrets) return secrets.error();
  if (query.output != Output::table) return print(**secrets, query.output, Names::camel_case);
  std::vector<SecretRow> rows;
  add_rows(rows, *secrets, false, query);
  add_rows(rows, *secrets, true, query);
  if (rows.empty()) return std::string("No active or warming secrets found.\n");
  return table_text(rows, query.typed_names) + reasons(rows);
}

}  // namespace sallyport::cli
