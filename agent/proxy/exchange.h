// One request and its answer. `serve_request` is the straight line; the steps are members, each in
// the file that its comment names, so that a step reads alone. Internal to agent/proxy.
//
// Ownership: lives in serve_request's frame for the time of one exchange; an idle connection has
// none.
#pragma once
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/http/body.h"
#include "agent/http/message/head.h"
#include "agent/http/rewrite.h"
#include "agent/mesh/decide.h"
#include "agent/mesh/request_overrides.h"
#include "agent/mesh/route.h"
#include "agent/net/relay.h"
#include "agent/net/task.h"
#include "agent/net/timers.h"
#include "agent/observe/access_record.h"
#include "agent/observe/metric_labels.h"
#include "agent/proxy/client.h"
#include "agent/proxy/edits.h"
#include "agent/proxy/heads.h"
#include "agent/upstream/upstreams.h"

namespace sallyport::proxy {

class Worker;

enum class Next : uint8_t {
  keep,         // the connection serves another request
  say_goodbye,  // close it so that the answer arrives (close_gently)
  close,        // close it at once
};

// Serves the request whose first bytes lie in client.inbox.
net::Task<Next> serve_request(Client& client, Worker& worker);

// An answer that no upstream gave.
struct Refusal {
  int status = 0;
  uint32_t flags = observe::no_flag;
  std::string_view details;
  std::string body;  // a short sentence for who sees it; empty as Envoy's where it has none
  bool close = false;
  std::string location = {};  // of a redirect
  std::string fields = {};    // further ones, "name: value\r\n" each
};

// A head that a route's actions changed.
struct EditedHead {
  std::string text;
  http::Head head;
};

class Exchange {
public:
  Exchange(Client& client, Worker& worker);
  ~Exchange();  // logs and counts, on every way out, once a head was there
  Exchange(const Exchange&) = delete;

  enum class Answered : uint8_t {
    whole,
    nothing,         // the upstream ended without a byte
    failed,          // it ended, or broke, before its head was whole
    timed_out,       // the route's timeout is over
    cut,             // its body is not whole
    malformed,       // it broke the protocol
    upgraded,        // 101, as was asked for
    client_left,     // nobody waits for it any more
    body_malformed,  // the client broke its body's framing
    body_stalled,    // the client sent nothing of its body for body_stall
    retriable,       // a whole head with a status that the policy tries again
  };

  // request.cpp
  http::Parse take_head();  // of the bytes that are there, and of what can be read without waiting
  net::Task<http::Parse> await_head();
  std::optional<Refusal> refuse_head(http::Parse parsed);
  std::optional<Refusal> route();          // decides, on the newest snapshot
  std::optional<Refusal> route_inbound();  // inbound_request.cpp: the same for what enters the pod
  std::optional<Refusal> route_gateway();  // gateway_request.cpp: the same at a gateway
  std::optional<Refusal> no_cluster() const;
  std::optional<Refusal> take_body_at_hand();

  // actions.cpp: only where the route has actions
  net::Task<std::optional<Refusal>> act();
  std::optional<Refusal> edit_request();

  // forward.cpp
  bool take_idle();           // a pooled connection, without waiting
  net::Task<bool> connect();  // false: `failure` says why; or the client has left (client_left)
  net::Task<void> send_request();  // head and the body at hand
  void begin_timeout();
  // Nothing came back, on a connection that had been idle or under a policy that says so; or an
  // answer that the policy has tried again.
  bool may_retry(Answered answered);
  net::Task<void> back_off();

  // mirror.cpp
  void begin_mirrors(const http::Outgoing& out);
  void mirror_body(std::string_view more);

  // answer.cpp
  net::Task<Answered> relay_answer();
  net::Task<Answered> relay_answer_and_body();  // while the request's body is still coming
  net::Task<Next> relay_upgraded();             // upgrade.cpp
  Next finish(Answered answered);

  // local_answer.cpp
  net::Task<Next> refuse(const Refusal& refusal);
  Refusal failed_connect() const;
  Refusal failed_answer(Answered answered);

private:
  // load_policy.cpp
  std::optional<uint64_t> hash();
  void report(Answered head);
  bool begin_retry();  // false: too many are under way

  void learn_egress(bool refused);
  void follow(const mesh::RequestPlan& plan, mesh::Delivery delivery);
  std::optional<Refusal> check_upgrade();
  Refusal malformed(int status, std::string_view details, std::string_view why);
  bool speaks_http() const;
  Refusal refuse_other_protocol();
  void describe_connection();
  // inbound_request.cpp
  void describe_inbound();
  void describe_sender();
  std::optional<Refusal> authorize();
  // gateway_request.cpp
  void describe_edge();
  void describe_forwarded_for();
  bool came_by_https() const { return http::same_name(record_.scheme, "https"); }
  Refusal redirect_to_https() const;
  std::optional<Refusal> admit();  // once, where rules look at fields
  // The request as rules see it.
  const http::Head& seen() const { return admitted_ ? admitted_->head : request_; }
  http::RequestAdds request_adds() const;
  void add_edge(http::RequestAdds& adds) const;
  // As Istio has it (istio-api.md 3.5).
  std::string_view server_name() const { return client_.inbound ? "istio-envoy" : "envoy"; }
  bool normalize_path();
  std::optional<Refusal> preflight();
  std::optional<Refusal> inject_abort() const;
  std::optional<Refusal> direct_answer();
  bool origin_allowed() const;
  TextOf text_of(bool with_response);
  std::string response_fields();
  bool edits_response() const;
  bool edit_response();
  std::array<const istio::HeaderOperations*, 3> response_operations() const;
  const http::Head& outgoing() const { return edited_request_ ? edited_request_->head : request_; }
  bool retriable_status() const;
  bool retries_connects() const;
  bool retries_resets() const;
  void set_try_deadline();
  void end_try_deadline();
  std::chrono::milliseconds time_left() const;
  std::chrono::milliseconds expected_time() const;
  upstream::Need need();
  net::Task<bool> open_upstream();
  net::Task<void> client_leaves();
  net::Task<Answered>
  pump_body();  // returns only when the client left, stalled or broke its framing
  Answered why_no_head(bool began) const;
  Next finish_whole();
  net::Task<Answered> read_answer_head();
  net::Task<bool> forward_interim();
  net::Task<Answered> relay_answer_body();
  net::Task<ssize_t> read_answer();
  void batch_records();
  // Takes what belongs to the answer's body off the front of `bytes`: how much that was, and what
  // of it the client gets.
  struct Piece {
    std::size_t taken = 0;
    std::string_view content;
  };
  Piece take_piece(std::string_view bytes);
  void detach_record();
  void log_end();
  void make_way();  // for the next request in the inbox

  friend net::Task<Next> serve_request(Client& client, Worker& worker);

  Client& client_;
  Worker& worker_;
  const HeadsLease heads_;
  http::Head& request_;
  http::Head& response_;
  http::Body body_ = http::Body::none();
  http::Body answer_body_ = http::Body::none();
  http::Framing framing_ = http::Framing::as_is;
  char request_id_[36];       // ours, where the client sent none
  std::string_view at_hand_;  // of the request's body
  std::string pipelined_;     // read behind the request's body
  std::string kept_;          // what the record's views point to once the inbox is given back

  mesh::ClusterPtr cluster_;  // null: answered by us
  int direct_status_ = 0;     // with that
  std::string missing_;       // the cluster that the route names and that is not there
  std::shared_ptr<const mesh::RouteActions> actions_;
  std::shared_ptr<const istio::Headers> destination_headers_;
  std::string destination_authority_;
  std::unique_ptr<EditedHead> edited_request_, edited_response_;
  std::unique_ptr<EditedHead> admitted_;    // of a gateway: with what the edge makes of it
  http::Edge edge_;                         // of a gateway
  std::string edge_forwarded_for_;          // what the upstream is told, for the log
  std::vector<mesh::ClusterPtr> mirrored_;  // that a copy goes to, once it is whole
  std::string mirrored_bytes_;
  // What an answer to an allowed origin gets, and a client without the cookie that is hashed.
  istio::HeaderOperations own_fields_;
  std::string route_name_;
  mesh::AuthorizationPtr judged_by_;  // the policies that let the request in; null: there were none
  std::string denied_by_;             // the policy, as the log's details have it
  std::string host_;                  // in lower case, where the client wrote it otherwise
  std::chrono::milliseconds timeout_{0};
  int timeout_status_ = 504;
  std::chrono::steady_clock::time_point due_;  // where there is a timeout
  mesh::RetryPolicy retry_;
  int retried_ = 0;  // after something had been sent
  int attempts_ = 0;
  std::vector<SocketAddress> tried_;
  upstream::RetrySlot retry_slot_;
  std::optional<uint64_t> hash_;
  bool hashed_ = false;
  std::optional<upstream::Failure> failure_;

  // Ends what is waited for from the upstream. Fine, for a timeout of 50 ms means 50 ms.
  struct TryTimer : net::Timer {
    TryTimer(net::Loop& loop, upstream::Connection& connection)
        : Timer(loop, [](Timer& timer) { static_cast<TryTimer&>(timer).upstream.stream.expire(); }),
          upstream(connection) {}
    upstream::Connection& upstream;
  };
  upstream::Connection upstream_;
  TryTimer try_timer_;
  Inbox answer_;  // read from the upstream
  observe::AccessRecord record_;
  const observe::Principals* principals_ = nullptr;  // of the upstream's TLS
  net::RelayCounts relayed_;                         // after an upgrade
  bool started_ = false;                             // a head was there: it is logged
  bool upgrade_ = false, close_ = false;
  bool outdated_ = false;        // the port no longer takes connections such as this one
  bool head_forwarded_ = false;  // the final answer's head has gone to the client
  // False also while a write is under way: bytes that are not out must not be counted as sent.
  bool upstream_took_all_ = true;
  bool body_pumped_ = false;  // more of the body was read than was at hand
  bool half_closed_ = false;  // the client ended its direction, and still waits
  bool client_left_ = false;
  bool timed_out_ = false;  // the route's timeout was over before there was a connection
  int connect_retries_ = 0;
};

std::span<iovec> with_body(http::Outgoing& out, std::string_view body);

}  // namespace sallyport::proxy
