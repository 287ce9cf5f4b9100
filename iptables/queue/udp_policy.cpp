#include "iptables/queue/udp_policy.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cstring>

#include "agent/core/limits.h"
#include "agent/core/wall_clock.h"
#include "agent/mesh/decide_udp.h"
#include "iptables/queue/udp_flows.h"
#include "iptables/udp_marks.h"

namespace sallyport::rules {
namespace {

using Kind = mesh::UdpFlow::Kind;
using Verdict = NetfilterQueue::Verdict;

constexpr int messages_a_turn = 64;  // then the loop's connections have theirs

// "a rule has the sidecar ...; DestinationRule default/x (rules.yaml:12)"
std::string reason_of(const ReadFlow& flow, const mesh::UdpPlan& plan) {
  std::string out(plan.why);
  if (!flow.why.empty()) out.append(": ").append(flow.why);
  if (plan.from) out += "; " + plan.from->text();
  return out;
}

}  // namespace

struct UdpPolicy::State {
  State(Sources from, Kernel kernel)
      : sources(std::move(from)),
        snapshots(sources.snapshots),
        mode(kernel.mode),
        queue(std::move(kernel.queue)),
        refused(std::move(kernel.refused)) {}

  // Level-triggered: what a turn leaves is told again in the next one of the loop.
  struct Door final : net::EventSource {
    explicit Door(State& of) : state(of) {}
    void on_events(uint32_t) override { state.receive(); }
    State& state;
  };

  bool enforced() const { return mode == istio::UdpPolicy::enforce; }
  void receive();
  void take(Queued queued, std::span<const char> packet);
  void follow_configuration();
  void judge(const ReadFlow& flow);
  void carry_out(const ReadFlow& flow, bool allowed);
  void learn(const ReadFlow& flow, const mesh::UdpPlan& plan);
  void log(const ReadFlow& flow, const mesh::UdpPlan& plan);
  void log_dropped(uint64_t count);
  void tick();
  void note_trouble(int error);

  Sources sources;
  Published<mesh::Snapshot>::Reader snapshots;
  const istio::UdpPolicy mode;
  NetfilterQueue queue;
  RefusedFlows refused;
  UdpFlows flows;
  uint64_t dropped = 0;
  uint64_t version = snapshots.get()->version;  // that the refused flows were judged by
  bool came = false;                            // something, since the last tick
  bool told_of_entry = false;
  std::shared_ptr<Door> door = std::make_shared<Door>(*this);
  std::shared_ptr<void> ticking;
};

void UdpPolicy::State::receive() {
  for (int i = 0; i < messages_a_turn; i++) {
    const bool more = queue.read([this](Queued queued, auto packet) { take(queued, packet); });
    if (!more) return;
  }
}

void UdpPolicy::State::take(Queued queued, std::span<const char> packet) {
  came = true;
  const auto datagram = read_udp_packet(packet);
  if (!datagram) {  // Nobody can say where it belongs.
    sources.metrics.udp_unreadable.add();
    return queue.give(queued.id, enforced() ? Verdict::drop : Verdict::accept, queued.mark);
  }
  if (const auto flow = flows.add(queued, *datagram, sources.loop.now())) judge(*flow);
}

// Before anything is judged by the new one.
void UdpPolicy::State::follow_configuration() {
  const uint64_t newest = snapshots.get()->version;
  if (std::exchange(version, newest) != newest && enforced()) note_trouble(refused.forget());
}

void UdpPolicy::State::judge(const ReadFlow& flow) {
  follow_configuration();
  const auto plan = mesh::decide_udp(
      *snapshots.seen(), {.destination = flow.destination, .kind = flow.kind, .sni = flow.sni});
  (plan.allowed ? sources.metrics.udp_allowed : sources.metrics.udp_refused).add();
  carry_out(flow, plan.allowed || !enforced());
  learn(flow, plan);
  log(flow, plan);
}

void UdpPolicy::State::learn(const ReadFlow& flow, const mesh::UdpPlan& plan) {
  const auto& config = *snapshots.seen();
  const bool outside = plan.cluster == config.passthrough || plan.cluster == config.black_hole;
  if (sources.egress == nullptr || !plan.cluster || !outside) return;
  const bool quic = flow.kind != Kind::other;
  sources.egress->record(
      {.name = flow.sni,
       .source = flow.source,
       .destination = flow.destination,
       .protocol = quic ? observe::EgressProtocol::quic : observe::EgressProtocol::udp,
       .refused = !plan.allowed && enforced()},
      wall_clock_us());
}

void UdpPolicy::State::carry_out(const ReadFlow& flow, bool allowed) {
  if (!allowed) note_trouble(refused.add(flow.source, flow.destination));
  const uint32_t verdict = allowed ? udp_allowed : udp_refused;
  for (const auto& one : flow.datagrams)
    queue.give(one.id, Verdict::again, (one.mark & ~udp_mark_mask) | verdict);
}

// An entry that is there already is another datagram's of the same flow.
void UdpPolicy::State::note_trouble(int error) {
  if (error == 0 || error == EEXIST || std::exchange(told_of_entry, true)) return;
  sources.warn(std::string("UDP policy: conntrack takes no entry for a refused flow: ") +
               std::strerror(error) + "; each of its datagrams is judged again");
}

void UdpPolicy::State::log(const ReadFlow& flow, const mesh::UdpPlan& plan) {
  if (!sources.log.on()) return;
  observe::AccessRecord record;
  record.http = false;
  record.protocol = flow.kind == Kind::other ? "UDP" : "QUIC";
  record.start_us = wall_clock_us();
  record.downstream_local = flow.destination;
  record.downstream_remote = record.downstream_direct_remote = flow.source;
  record.sni = flow.sni;
  if (plan.cluster) record.cluster = plan.cluster->name;
  record.connection_id = sources.log.next_connection_id();
  const std::string reason = reason_of(flow, plan);
  if (plan.allowed) {
    record.upstream_host = flow.destination;
  } else {
    record.flags = enforced() ? uint32_t{observe::UH} : uint32_t{observe::no_flag};
    record.details = enforced() ? "udp_policy_refused" : "udp_policy_would_refuse";
    record.failure_reason = reason;
  }
  sources.log.write(record);
}

// What found the queue full had no verdict of ours.
void UdpPolicy::State::log_dropped(uint64_t count) {
  sources.metrics.udp_dropped.add(count);
  if (!sources.log.on()) return;
  const std::string reason =
      std::to_string(count) + (enforced() ? " UDP datagrams were dropped: the queue was full"
                                          : " UDP datagrams passed unread: the queue was full");
  observe::AccessRecord record;
  record.http = false;
  record.protocol = "UDP";
  record.start_us = wall_clock_us();
  record.flags = observe::UO;
  record.details = "udp_policy_overflow";
  record.failure_reason = reason;
  sources.log.write(record);
}

void UdpPolicy::State::tick() {
  for (const auto& flow : flows.overdue(sources.loop.now())) judge(flow);
  follow_configuration();
  if (!std::exchange(came, false)) return;
  const uint64_t now = queue.dropped();
  if (now > dropped) log_dropped(now - dropped);
  dropped = now;
}

Result<UdpPolicy::Kernel> UdpPolicy::open(istio::UdpPolicy mode) {
  auto queue =
      NetfilterQueue::open({.number = udp_queue, .fail_open = mode == istio::UdpPolicy::log});
  if (!queue) return queue.error();
  auto refused = RefusedFlows::open();
  if (!refused) return refused.error();
  return Kernel{mode, std::move(*queue), std::move(*refused)};
}

UdpPolicy::UdpPolicy(Sources sources, Kernel kernel)
    : state_(std::make_unique<State>(std::move(sources), std::move(kernel))) {
  // Of the agent that was here before: under another configuration, perhaps.
  state_->note_trouble(state_->refused.forget());
  auto& loop = state_->sources.loop;
  loop.watch(state_->queue.fd(), EPOLLIN, *state_->door);
  state_->ticking = loop.each_tick([state = state_.get()] { state->tick(); });
}

UdpPolicy::~UdpPolicy() {
  state_->ticking.reset();
  // The queue's descriptor is closed behind this: it leaves the loop's epoll with that.
  state_->sources.loop.retire(state_->door);
}

}  // namespace sallyport::rules
