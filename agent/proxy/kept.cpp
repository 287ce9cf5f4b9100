#include "agent/proxy/kept.h"

#include "agent/proxy/inbound.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

Kept::Kept(KeptConnections& all, Client& client, mesh::AuthorizationPtr decided_by)
    : client_(client), decided_by_(std::move(decided_by)) {
  all.all_.push_back(*this);
}

bool Kept::still_let_in(Worker& worker) const {
  using istio::MutualTls;
  const auto config = worker.snapshot();
  const auto& mode = mesh::inbound_port(config->inbound, client_.destination.port()).mutual_tls;
  const bool by_tls = client_.inbound->mutual_tls;
  if (mode.refused || mode.mode == (by_tls ? MutualTls::disable : MutualTls::strict)) return false;
  const auto& policies = config->inbound.authorization;
  if (decided_by_) return policies && *policies == *decided_by_;
  return !policies || authorize_connection(*policies, client_).allowed;
}

void KeptConnections::look_again(Worker& worker) {
  const auto config = worker.snapshot();
  const auto now = std::chrono::steady_clock::now();
  if (config && config->version != seen_version_) {
    seen_version_ = config->version;
    any_due_ = false;
    for (Kept& one : all_) {
      if (one.still_let_in(worker))
        one.until_.reset();
      else if (!one.until_)
        one.until_ = now + config->mesh.default_config.drain_duration;
      any_due_ = any_due_ || one.until_;
    }
  }
  if (!any_due_) return;
  List over;  // apart: a connection that is cut off takes itself out of its list
  for (auto at = all_.begin(); at != all_.end();) {
    Kept& one = *at++;
    if (!one.until_ || *one.until_ > now) continue;
    one.unlink();
    over.push_back(one);
  }
  while (!over.empty()) {
    Kept& one = over.front();
    one.unlink();
    all_.push_back(one);  // bytes that are moving put the end off to the next tick
    one.cut_off_ = true;
    one.client_.stream.expire();
  }
}

}  // namespace sallyport::proxy
