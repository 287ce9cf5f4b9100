#include "agent/proxy/kept.h"

#include "agent/proxy/gateway.h"
#include "agent/proxy/inbound.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

Kept::Kept(KeptConnections& all, Client& client, JudgedBy judged_by)
    : client_(client), judged_by_(std::move(judged_by)) {
  all.fresh_.push_back(*this);
}

bool Kept::still_let_in(Worker& worker) const {
  using istio::MutualTls;
  const auto config = worker.snapshot();
  if (client_.of_gateway()) {
    const auto& was = *client_.inbound;
    if (!is_still_served(chain_now(*config, client_), was)) return false;
    if (was.mesh_only) return true;  // whose identities are between its ends
  } else {
    const auto& mode = mesh::inbound_port(config->inbound, client_.destination.port()).mutual_tls;
    const bool by_tls = client_.inbound->mutual_tls;
    if (mode.refused || mode.mode == (by_tls ? MutualTls::disable : MutualTls::strict))
      return false;
  }
  const auto& policies = config->inbound.authorization;
  if (!judged_by_) return !policies || authorize_connection(*policies, client_).allowed;
  return policies == *judged_by_ || (policies && *judged_by_ && *policies == **judged_by_);
}

void KeptConnections::look_again(Worker& worker) {
  const auto config = worker.snapshot();
  if (!config) return;
  if (config->version != seen_version_) {
    seen_version_ = config->version;
    any_due_ = false;
    judge(all_, worker);
  }
  judge(fresh_, worker);
  all_.splice(all_.end(), fresh_);
  if (any_due_) cut_off_overdue();
}

void KeptConnections::judge(List& some, Worker& worker) {
  const auto config = worker.snapshot();
  const auto end = std::chrono::steady_clock::now() + config->mesh.default_config.drain_duration;
  for (Kept& one : some) {
    if (one.still_let_in(worker))
      one.until_.reset();
    else if (!one.until_)
      one.until_ = end;
    any_due_ = any_due_ || one.until_;
  }
}

void KeptConnections::cut_off_overdue() {
  const auto now = std::chrono::steady_clock::now();
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
