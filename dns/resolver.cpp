#include "dns/resolver.h"

#include <algorithm>
#include <unordered_set>

#include "agent/core/limits.h"
#include "agent/net/combine.h"
#include "dns/cache.h"
#include "dns/channel.h"

namespace sallyport::dns {
namespace {

using Clock = net::Loop::Clock;

std::string normal(std::string_view host) {
  std::string out(host);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (out.ends_with('.')) out.pop_back();
  return out;
}

Error problem_of(std::string_view host, Fault fault, std::string_view reason,
                 std::string_view servers) {
  std::string text = "resolve " + std::string(host) + ": " + std::string(reason);
  if (!servers.empty()) text += " (asked " + std::string(servers) + ")";
  return Error{fault, Side::upstream, false, std::move(text), {}};
}

std::chrono::seconds bounded(std::chrono::seconds ttl) {
  return std::clamp<std::chrono::seconds>(ttl, limits::dns_ttl_min, limits::dns_ttl_max);
}

net::Task<void> end_of(std::shared_ptr<Query> query) { co_await query->waiters.wait(); }

}  // namespace

struct Resolver::State : std::enable_shared_from_this<State> {
  State(net::Loop& l, ResolverOptions o)
      : loop(l), options(std::move(o)), cache(limits::dns_cached_names) {
    if (!options.want_v4 && !options.want_v6) options.want_v4 = true;
    auto opened = Channel::open(loop, options);
    if (opened) {
      channel = std::move(*opened);
    } else {
      unusable = opened.error();
    }
  }

  Result<Answer> known(const Entry& entry) const;
  Result<Answer> old_answer(const Entry& entry) const;
  bool begin(Entry& entry);
  bool answer_from_hosts_file(Entry& entry);
  void ended(const std::string& host, const std::shared_ptr<Query>& query, Family family,
             Outcome outcome);
  void finish(const std::string& host, const std::shared_ptr<Query>& query);
  Result<Answer> conclude(Entry& entry, Query& query);
  void close();
  static net::Task<void> finish_without_the_other(std::weak_ptr<State> weak, net::Loop& loop,
                                                  std::string host, std::weak_ptr<Query> late);

  net::Loop& loop;
  ResolverOptions options;
  Cache cache;
  std::unique_ptr<Channel> channel;  // null: unusable, or closed
  Error unusable;
  Counts counts;
  std::unordered_set<std::shared_ptr<Query>> running;
};

// What the cache says now. REQUIRES: the entry has an answer or a problem.
Result<Answer> Resolver::State::known(const Entry& entry) const {
  if (!entry.last_good) return *entry.problem;
  Answer answer = *entry.last_good;
  answer.ttl = std::max<std::chrono::seconds>(
      limits::dns_ttl_min,
      std::chrono::duration_cast<std::chrono::seconds>(entry.expires - loop.now()));
  answer.stale = entry.problem.has_value();
  return answer;
}

Result<Answer> Resolver::State::old_answer(const Entry& entry) const {
  Answer answer = *entry.last_good;
  answer.ttl = limits::dns_ttl_min;
  answer.stale = true;
  return answer;
}

bool Resolver::State::answer_from_hosts_file(Entry& entry) {
  Answer answer;
  for (const Family family : {Family::v4, Family::v6}) {
    if (!(family == Family::v4 ? options.want_v4 : options.want_v6)) continue;
    const auto found = channel->from_hosts_file(entry.host, family);
    answer.addresses.insert(answer.addresses.end(), found.begin(), found.end());
  }
  if (answer.addresses.empty()) return false;
  entry.last_good = std::move(answer);
  entry.problem.reset();
  entry.expires = loop.now() + limits::dns_hosts_file_ttl;
  return true;
}

// Asks for both families. False: too much is asked already.
bool Resolver::State::begin(Entry& entry) {
  if (running.size() >= limits::dns_queries) return false;
  entry.running = std::make_shared<Query>();
  const auto query = entry.running;
  running.insert(query);
  query->outstanding = int{options.want_v4} + int{options.want_v6};
  for (const Family family : {Family::v4, Family::v6}) {
    if (!(family == Family::v4 ? options.want_v4 : options.want_v6)) continue;
    ++counts.queries;
    // The channel drops its callbacks when it goes, and it goes with this state.
    channel->ask(entry.host, family, [this, host = entry.host, query, family](Outcome outcome) {
      ended(host, query, family, std::move(outcome));
    });
  }
  return true;
}

void Resolver::State::ended(const std::string& host, const std::shared_ptr<Query>& query,
                            Family family, Outcome outcome) {
  --query->outstanding;
  if (query->result) return;  // went on without this family
  Answer& answer = query->answer;
  if (outcome.verdict == Verdict::answered) {
    const auto& found = outcome.records.addresses;
    const auto ttl = bounded(outcome.records.ttl);
    answer.ttl = answer.addresses.empty() ? ttl : std::min(answer.ttl, ttl);
    answer.addresses.insert(
        family == Family::v4 ? answer.addresses.begin() : answer.addresses.end(), found.begin(),
        found.end());
  } else {
    const bool unknown =
        outcome.verdict != Verdict::no_data && outcome.verdict != Verdict::no_such_name;
    if (query->reason.empty() || (unknown && !query->failed)) query->reason = outcome.reason;
    query->failed |= unknown;
    query->timed_out |= outcome.verdict == Verdict::timed_out;
  }
  if (query->outstanding == 0) return finish(host, query);
  if (outcome.verdict == Verdict::answered) {
    loop.spawn(finish_without_the_other(weak_from_this(), loop, host, query));
  }
}

// Some servers drop questions for AAAA: addresses at hand are not kept waiting for them (RFC 8305
// section 3).
net::Task<void> Resolver::State::finish_without_the_other(std::weak_ptr<State> weak,
                                                          net::Loop& loop, std::string host,
                                                          std::weak_ptr<Query> late) {
  co_await net::sleep_for(loop, limits::dns_family_wait);
  const auto self = weak.lock();
  const auto query = late.lock();
  if (self && self->channel && query && !query->result) self->finish(host, query);
}

void Resolver::State::finish(const std::string& host, const std::shared_ptr<Query>& query) {
  running.erase(query);
  Entry* entry = cache.known(host);
  Entry dropped(host);  // The cache may have forgotten the name meanwhile.
  if (!entry || entry->running != query) entry = &dropped;
  query->result = conclude(*entry, *query);
  entry->running.reset();
  query->waiters.wake_all(loop);
}

Result<Answer> Resolver::State::conclude(Entry& entry, Query& query) {
  if (!query.answer.addresses.empty()) {
    entry.last_good = std::move(query.answer);
    entry.problem.reset();
    entry.expires = loop.now() + entry.last_good->ttl;
    return known(entry);
  }
  ++counts.failures;
  entry.problem = problem_of(entry.host, query.timed_out ? Fault::timed_out : Fault::no_endpoint,
                             query.reason, channel->servers());
  // "No such name" and "no address" are answers; only silence and failures keep the old one (Envoy,
  // STRICT_DNS).
  if (!query.failed) entry.last_good.reset();
  entry.expires = loop.now();
  entry.expires += entry.last_good ? std::chrono::seconds(limits::dns_refresh_on_error)
                                   : std::chrono::seconds(limits::dns_negative_ttl);
  return known(entry);
}

void Resolver::State::close() {
  channel.reset();
  const auto open = std::exchange(running, {});
  for (const auto& query : open) {
    query->result = Error{Fault::internal, Side::local, false, "the resolver is closing", {}};
    query->waiters.wake_all(loop);
  }
}

Resolver::Resolver(net::Loop& loop, ResolverOptions options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}

Resolver::~Resolver() { state_->close(); }

const Counts& Resolver::counts() const { return state_->counts; }

net::Task<Result<Answer>> Resolver::resolve(std::string host) {
  if (const auto literal = IpAddress::parse(host)) {
    co_return Answer{{*literal}, limits::dns_ttl_max, false};
  }
  host = normal(host);
  const auto state = state_;
  if (host.empty() || host.size() > 253) {  // RFC 1035 section 2.3.4, without the last dot
    co_return problem_of(host, Fault::no_endpoint, "not a host name", {});
  }
  if (!state->channel) co_return while_doing("resolve " + host, state->unusable);
  Entry& entry = state->cache.find(host);
  if (!entry.running) {
    const bool fresh = (entry.last_good || entry.problem) && state->loop.now() < entry.expires;
    if (fresh || state->answer_from_hosts_file(entry)) co_return state->known(entry);
    if (!state->begin(entry)) {
      if (entry.last_good) co_return state->old_answer(entry);
      co_return problem_of(host, Fault::overflow, "too many names are asked for at once", {});
    }
  }
  const auto query = entry.running;
  if (!entry.last_good) {
    co_await end_of(query);
    co_return *query->result;
  }
  const auto old = state->old_answer(entry);  // Before waiting: the cache may drop the entry.
  net::Loop& loop = state->loop;
  const auto ended = co_await net::with_deadline(loop, limits::dns_client_wait, end_of(query));
  co_return ended ? *query->result : old;
}

}  // namespace sallyport::dns
