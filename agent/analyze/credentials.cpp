#include "agent/analyze/credentials.h"

#include "certs/key_pair.h"

namespace sallyport::analyze {
namespace {

constexpr int64_t day_s = 86'400, soon_s = 30 * day_s;

std::string value_of(const istio::Secret& secret, std::string_view key) {
  const auto at = secret.data.find(key);
  return at == secret.data.end() ? std::string() : at->second;
}

std::string names_in(const istio::Secret& secret) {
  std::string out;
  for (const auto& [key, value] : secret.data) out += (out.empty() ? "" : ", ") + key;
  return out.empty() ? "nothing" : out;
}

const char* data_field(const Credentials::Secret& secret) {
  return secret.object->node->find("data") ? "data" : "stringData";
}

}  // namespace

Credentials::Credentials(Checks& checks) : checks_(checks) {
  for (const auto& secret : checks.world.all<istio::Secret>())
    secrets_[secret->metadata.name()].push_back(secret);
}

const Credentials::Secret* Credentials::find(std::string_view namespace_name,
                                             std::string_view name) const {
  const auto named = secrets_.find(name);
  if (named == secrets_.end()) return nullptr;
  for (const auto& secret : named->second) {
    if (secret->metadata.namespace_name() == namespace_name) return &secret;
  }
  return nullptr;
}

void Credentials::report_missing(const SecretUse& use) {
  for (const auto& called : {use.name, use.name + std::string(ca_suffix)}) {
    const auto named = secrets_.find(called);
    if (named == secrets_.end()) continue;
    const auto& secret = named->second.front();
    return checks_.add("SLP0302", *use.about, use.field,
                       "credentialName " + use.name + ": " + secret.object->ref->text() +
                           " is in namespace " + secret->metadata.namespace_name() + ", and " +
                           use.reader + " reads Secrets of its own namespace only (" +
                           use.namespace_name + ")",
                       "create it in namespace " + use.namespace_name);
  }
  // Refused ones are told of by the schema check.
  if (checks_.world.find("Secret", use.namespace_name, use.name)) return;
  if (secrets_.empty()) {  // they are elsewhere
    return checks_.add("SLP0310", *use.about, use.field,
                       "credentialName " + use.name + " was not looked at: no Secrets are given");
  }
  checks_.add("IST0101", *use.about, use.field,
              "Referenced credentialName not found: \"" + use.name + "\"",
              "create the Secret " + use.name + " in namespace " + use.namespace_name +
                  "; until then " + use.until);
}

Credentials::Problem Credentials::time_problem(const Secret& secret,
                                               const certs::CertificateInfo& info,
                                               const char* what) const {
  const auto whose = std::string(what) + " " + info.subject;
  const char* field = data_field(secret);
  if (info.not_after < checks_.now)
    return {"SLP0305", field, whose + " expired on " + certs::date_text(info.not_after)};
  if (info.not_before > checks_.now)
    return {"SLP0306", field, whose + " is valid only from " + certs::date_text(info.not_before)};
  if (info.not_after - checks_.now >= soon_s) return {};
  const auto days = (info.not_after - checks_.now) / day_s;
  return {"SLP0309", field,
          whose + " expires on " + certs::date_text(info.not_after) + ", in " +
              std::to_string(days) + " days"};
}

Credentials::Problem Credentials::pair_problem(const Secret& secret, const std::string& owner,
                                               const char* what) const {
  const auto& data = *secret.value;
  const bool old_style = !value_of(data, "cert").empty() && !value_of(data, "key").empty();
  const auto chain = value_of(data, old_style ? "cert" : "tls.crt");
  const auto key = value_of(data, old_style ? "key" : "tls.key");
  if (chain.empty() || key.empty()) {
    return {"SLP0303", "data",
            owner +
                " needs a certificate with its key (tls.crt and tls.key, or cert and key); "
                "there is " +
                names_in(data)};
  }
  const auto pair = certs::KeyPair::parse(chain, key);
  if (pair) return time_problem(secret, (*pair)->info(), what);
  const auto& why = pair.error().context;
  const bool mismatch = why.find("does not match") != why.npos;
  return {mismatch ? "SLP0307" : "SLP0308", data_field(secret), why};
}

void Credentials::report(const Secret& secret, const Problem& problem) {
  if (!problem.code.empty())
    checks_.add(problem.code, *secret.object, problem.field, problem.cause);
}

// A CRL that has run out refuses everybody of its CA.
void Credentials::report_trust(const Secret& secret, const certs::TrustStore& roots) {
  for (const auto& info : roots.certificates())
    report(secret, time_problem(secret, info, "the CA certificate"));
  for (const auto& crl : roots.crls()) {
    if (crl.next_update == 0 || crl.next_update >= checks_.now) continue;
    report(secret,
           {"SLP0305", data_field(secret),
            "the CRL of " + crl.issuer + " ran out on " + certs::date_text(crl.next_update)});
  }
}

void Credentials::report_roots(const SecretUse& use, const Secret* secret, const Secret* twin,
                               const char* verifies, const char* refused) {
  for (const auto* one : {twin, secret}) {
    if (!one) continue;
    const auto& data = *one->value;
    const bool old_style = !value_of(data, "cacert").empty();
    const auto text = value_of(data, old_style ? "cacert" : "ca.crt");
    if (text.empty()) continue;
    if (!roots_done_.insert(one->value).second) return;
    const auto roots = certs::TrustStore::parse(text, value_of(data, old_style ? "crl" : "ca.crl"));
    if (!roots) return report(*one, {"SLP0308", data_field(*one), roots.error().context});
    return report_trust(*one, **roots);
  }
  const auto& about = secret ? *secret : *twin;
  if (!roots_done_.insert(about.value).second) return;
  report(about, {"SLP0304", "data",
                 use.about->ref->text() + " " + verifies + " (ca.crt or cacert), and there is " +
                     names_in(*about.value) + ": " + refused + " is refused"});
}

}  // namespace sallyport::analyze
