// Secrets that rules name: where they are, what is in them, and until when.
#include <set>

#include "agent/analyze/checks.h"
#include "certs/describe.h"
#include "certs/key_pair.h"
#include "certs/trust.h"

namespace sallyport::analyze {
namespace {

constexpr std::string_view secret_prefix = "kubernetes://", map_prefix = "configmap://";
constexpr std::string_view ca_suffix = "-cacert";
constexpr int64_t day_s = 86'400, soon_s = 30 * day_s;

std::string value_of(const istio::Secret& secret, std::initializer_list<std::string_view> keys) {
  for (const auto key : keys) {
    const auto at = secret.data.find(key);
    if (at != secret.data.end() && !at->second.empty()) return at->second;
  }
  return {};
}

std::string names_in(const istio::Secret& secret) {
  std::string out;
  for (const auto& [key, value] : secret.data) out += (out.empty() ? "" : ", ") + key;
  return out.empty() ? "nothing" : out;
}

class Credentials {
public:
  explicit Credentials(Checks& checks) : checks_(checks) {
    for (const auto& secret : checks.world.all<istio::Secret>()) {
      const auto& about = secret->metadata;
      secrets_[about.name()].push_back(secret);
    }
  }
  void look_at(const TlsBlock& block);

private:
  using Secret = Typed<istio::Secret>;
  const Secret* find(const std::string& space, std::string_view name) const;
  void missing(const TlsBlock& block, const std::string& space, const std::string& name);
  void check_pair(const TlsBlock& block, const Secret& secret);
  void check_roots(const TlsBlock& block, const Secret* secret, const Secret* twin);
  void check_revocation(const Secret& secret, const certs::TrustStore& roots);
  void check_time(const Secret& secret, const certs::CertificateInfo& info, const char* what);

  Checks& checks_;
  std::map<std::string, std::vector<Secret>, std::less<>> secrets_;  // by name
  std::set<const void*> pairs_done_, roots_done_;  // one finding a Secret, however many use it
};

const Credentials::Secret* Credentials::find(const std::string& space,
                                             std::string_view name) const {
  const auto named = secrets_.find(name);
  if (named == secrets_.end()) return nullptr;
  for (const auto& secret : named->second) {
    if (secret->metadata.namespace_name() == space) return &secret;
  }
  return nullptr;
}

void Credentials::missing(const TlsBlock& block, const std::string& space,
                          const std::string& name) {
  const auto& object = *block.rule.object;
  const auto field = block.field + ".credentialName";
  for (const auto& called : {name, name + std::string(ca_suffix)}) {
    const auto named = secrets_.find(called);
    if (named == secrets_.end()) continue;
    const auto& secret = named->second.front();
    return checks_.add("SLP0302", object, field,
                       "credentialName " + name + ": " + secret.object->ref->text() +
                           " is in namespace " + secret->metadata.namespace_name() +
                           ", and a sidecar reads Secrets of its own namespace only (" + space +
                           ")",
                       "create it in namespace " + space);
  }
  // Refused ones are told of by the schema check.
  if (checks_.world.find("Secret", space, name)) return;
  if (secrets_.empty()) {  // they are elsewhere
    return checks_.add("SLP0310", object, field,
                       "credentialName " + name + " was not looked at: no Secrets are given");
  }
  checks_.add("IST0101", object, field, "Referenced credentialName not found: \"" + name + "\"",
              "create the Secret " + name + " in namespace " + space +
                  "; until then requests are answered 503");
}

void Credentials::check_time(const Secret& secret, const certs::CertificateInfo& info,
                             const char* what) {
  const auto whose = std::string(what) + " " + info.subject;
  const char* field = secret.object->node->find("data") ? "data" : "stringData";
  if (info.not_after < checks_.now) {
    checks_.add("SLP0305", *secret.object, field,
                whose + " expired on " + certs::date_text(info.not_after));
  } else if (info.not_before > checks_.now) {
    checks_.add("SLP0306", *secret.object, field,
                whose + " is valid only from " + certs::date_text(info.not_before));
  } else if (info.not_after - checks_.now < soon_s) {
    const auto days = (info.not_after - checks_.now) / day_s;
    checks_.add("SLP0309", *secret.object, field,
                whose + " expires on " + certs::date_text(info.not_after) + ", in " +
                    std::to_string(days) + " days");
  }
}

void Credentials::check_pair(const TlsBlock& block, const Secret& secret) {
  if (!pairs_done_.insert(secret.value).second) return;
  const bool old_style =
      !value_of(*secret.value, {"cert"}).empty() && !value_of(*secret.value, {"key"}).empty();
  const auto chain = value_of(*secret.value, {old_style ? "cert" : "tls.crt"});
  const auto key = value_of(*secret.value, {old_style ? "key" : "tls.key"});
  if (chain.empty() || key.empty()) {
    return checks_.add("SLP0303", *secret.object, "data",
                       "mode MUTUAL of " + block.rule.object->ref->text() +
                           " needs a certificate with its key (tls.crt and tls.key, or cert and "
                           "key); there is " +
                           names_in(*secret.value));
  }
  const auto pair = certs::KeyPair::parse(chain, key);
  if (pair) return check_time(secret, (*pair)->info(), "the client certificate");
  const auto& why = pair.error().context;
  const bool mismatch = why.find("does not match") != why.npos;
  const char* field = secret.object->node->find("data") ? "data" : "stringData";
  checks_.add(mismatch ? "SLP0307" : "SLP0308", *secret.object, field, why);
}

// A CRL that has run out refuses every server of its CA.
void Credentials::check_revocation(const Secret& secret, const certs::TrustStore& roots) {
  const char* field = secret.object->node->find("data") ? "data" : "stringData";
  for (const auto& crl : roots.crls()) {
    if (crl.next_update == 0 || crl.next_update >= checks_.now) continue;
    checks_.add("SLP0305", *secret.object, field,
                "the CRL of " + crl.issuer + " ran out on " + certs::date_text(crl.next_update));
  }
}

void Credentials::check_roots(const TlsBlock& block, const Secret* secret, const Secret* twin) {
  for (const auto* one : {twin, secret}) {
    if (!one) continue;
    const bool old_style = !value_of(*one->value, {"cacert"}).empty();
    const auto text = value_of(*one->value, {old_style ? "cacert" : "ca.crt"});
    if (text.empty()) continue;
    if (!roots_done_.insert(one->value).second) return;
    const auto revoked = value_of(*one->value, {old_style ? "crl" : "ca.crl"});
    const auto roots = certs::TrustStore::parse(text, revoked);
    const char* field = one->object->node->find("data") ? "data" : "stringData";
    if (!roots) return checks_.add("SLP0308", *one->object, field, roots.error().context);
    for (const auto& info : (*roots)->certificates()) check_time(*one, info, "the CA certificate");
    return check_revocation(*one, **roots);
  }
  const auto& about = secret ? *secret : *twin;
  if (!roots_done_.insert(about.value).second) return;
  checks_.add("SLP0304", *about.object, "data",
              block.rule.object->ref->text() +
                  " verifies servers with its CA (ca.crt or cacert), and there is " +
                  names_in(*about.value) + ": every server is refused");
}

void Credentials::look_at(const TlsBlock& block) {
  std::string name = block.tls->credential_name;
  if (!is_originating(block.tls) || name.empty() || name.starts_with(map_prefix)) return;
  const auto& about = block.rule->metadata;
  if (!block.rule->workload_selector) {
    checks_.add("SLP0301", *block.rule.object, block.field + ".credentialName",
                "credentialName " + name +
                    " in a rule without workloadSelector: Istio's sidecars send plaintext to " +
                    block.rule->host + " then; this one answers 503");
  }
  if (name.starts_with(secret_prefix))
    name = name.substr(secret_prefix.size());
  else if (name.find("://") != name.npos)
    return;  // no Secret: a proxy says why it can't use it
  std::string space = about.namespace_name();
  if (const auto slash = name.find('/'); slash != name.npos) {
    const auto named = name.substr(0, slash);
    name = name.substr(slash + 1);
    if (named != space) return missing(block, space, name);
  }
  const auto* secret = find(space, name);
  const bool is_ca_name = name.ends_with(ca_suffix);
  const auto* twin = is_ca_name ? nullptr : find(space, name + std::string(ca_suffix));
  const bool mutual = block.tls->mode == istio::TlsMode::mutual;
  if (!secret && (mutual || !twin)) return missing(block, space, name);
  if (mutual && secret) check_pair(block, *secret);
  if (!block.tls->insecure_skip_verify.value_or(false)) check_roots(block, secret, twin);
}

}  // namespace

void check_credentials(Checks& checks) {
  Credentials credentials(checks);
  for (const auto& block : tls_blocks(checks.world.all<istio::DestinationRule>()))
    credentials.look_at(block);
}

}  // namespace sallyport::analyze
