// Exchange, where its cluster is no plain one: the hash that chooses the endpoint, what outlier
// detection is told, and whether one more retry may be under way.
#include "agent/mesh/request_hash.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

// Once a request: a retry goes where the first try went. REQUIRES: cluster_->load.
std::optional<uint64_t> Exchange::hash() {
  if (!cluster_->load->hash || hashed_) return hash_;
  hashed_ = true;
  const mesh::HashPolicy& policy = *cluster_->load->hash;
  const SocketAddress& client = record_.downstream_remote;
  const std::string cookie = mesh::new_cookie(policy, outgoing(), client, client_.destination);
  if (!cookie.empty()) own_fields_.add.emplace_back("set-cookie", mesh::set_cookie(policy, cookie));
  hash_ = mesh::request_hash(policy, outgoing(), client.ip(), cookie);
  return hash_;
}

// REQUIRES: read_answer_head() gave `head`.
void Exchange::report(Answered head) {
  switch (head) {
    case Answered::whole:
      return worker_.upstreams().report(upstream_, response_.status);
    case Answered::nothing:
      // An idle connection that the upstream had closed says nothing of its health.
      if (upstream_.reused && attempts_ == 1) return;
      [[fallthrough]];
    case Answered::failed:
    case Answered::timed_out:
    case Answered::malformed:
      return worker_.upstreams().report(upstream_, 0);
    default:
      return;
  }
}

bool Exchange::begin_retry() {
  if (retry_slot_ || worker_.upstreams().begin_retry(*cluster_, retry_slot_)) return true;
  record_.flags |= observe::UO;
  return false;
}

}  // namespace sallyport::proxy
