#include "agent/proxy/log_facts.h"

namespace sallyport::proxy {
namespace {

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

}  // namespace

std::string url_encoded(std::string_view pem) {
  std::string text;
  for (const char c : pem) {
    switch (c) {
      case '\n':
        text += "%0A";
        break;
      case ' ':
        text += "%20";
        break;
      case '+':
        text += "%2B";
        break;
      case '/':
        text += "%2F";
        break;
      case '=':
        text += "%3D";
        break;
      default:
        text += c;
    }
  }
  return text;
}

std::string rbac_details(const mesh::AuthorizationAnswer& answer) {
  std::string out = "rbac_access_denied_matched_policy[";
  (out += answer.policy) += ']';
  if (!answer.reason.empty()) ((out += '{') += answer.reason) += '}';
  return out;
}

observe::TlsFacts log_facts(const tls::SessionFacts& facts) {
  observe::TlsFacts out;
  out.version = facts.version;
  out.cipher = facts.cipher;
  out.session_id = facts.session_id;
  if (const auto& peer = facts.peer) {
    out.peer_uri_san = join(peer->info.uris);
    out.peer_dns_san = join(peer->info.dns_names);
    out.peer_subject = peer->info.subject;
    out.peer_issuer = peer->info.issuer;
    out.peer_serial = peer->info.serial;
    out.peer_fingerprint_256 = peer->sha256;
    out.peer_fingerprint_1 = peer->sha1;
    out.peer_certificate = url_encoded(peer->pem);
    out.peer_valid_from = peer->info.not_before;
    out.peer_valid_to = peer->info.not_after;
  }
  if (const auto& local = facts.local) {
    out.local_uri_san = join(local->uris);
    out.local_dns_san = join(local->dns_names);
    out.local_subject = local->subject;
  }
  return out;
}

}  // namespace sallyport::proxy
