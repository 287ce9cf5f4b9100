#include "dns/resolver.h"

#include <algorithm>
#include <random>
#include <unordered_set>
#include <utility>

#include "agent/core/ascii.h"
#include "agent/core/limits.h"
#include "agent/net/combine.h"
#include "dns/cache.h"
#include "dns/channel.h"
#include "dns/file_watch.h"
#include "dns/names.h"
#include "dns/reports.h"
#include "dns/turns.h"

namespace sallyport::dns {
namespace {

using Clock = net::Loop::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string_view bare(std::string_view host) {
  return host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
}

Error problem_of(std::string_view host, Fault fault, std::string_view reason,
                 std::string_view servers) {
  constexpr std::size_t shown = 253;
  std::string text = "resolve " + std::string(bare(host).substr(0, shown));
  if (host.size() > shown + 1) text += "...";
  text += ": " + std::string(reason);
  if (!servers.empty()) text += " (asked " + std::string(servers) + ")";
  return Error{fault, Side::upstream, false, std::move(text), {}};
}

net::Task<void> end_of(std::shared_ptr<Query> query) { co_await query->waiters.wait(); }

}  // namespace

struct Resolver::State : std::enable_shared_from_this<State> {
  State(net::Loop& l, ResolverOptions o)
      : loop(l),
        options(std::move(o)),
        cache(limits::dns_cached_names),
        resolv_conf(options.resolv_conf_path()),
        looked_at(loop.now()),
        reports(options.warn),
        random(std::random_device()()) {
    if (!options.want_v4 && !options.want_v6) options.want_v4 = true;
  }

  void open();
  void follow_resolv_conf();
  std::string key_of(std::string_view host) const;
  milliseconds share_of(milliseconds time);
  Result<Answer> known(const Entry& entry) const;
  std::optional<Answer> old_answer(const Entry& entry) const;
  bool begin(Entry& entry, milliseconds retry_after);
  void begin_waiting();
  void ask(const std::shared_ptr<Query>& query);
  bool answer_from_hosts_file(Entry& entry);
  void ended(const std::shared_ptr<Query>& query, Family family, Outcome outcome);
  static void add(Query& query, Family family, const Records& records);
  bool add_kept(const Entry& entry, Query& query) const;
  static void add_problem(Query& query, const Outcome& outcome);
  void finish(const std::shared_ptr<Query>& query);
  Result<Answer> conclude(Entry& entry, Query& query);
  Result<Answer> succeed(Entry& entry, Query& query);
  void close();
  static net::Task<void> finish_without_the_other(std::weak_ptr<State> weak, net::Loop& loop,
                                                  std::weak_ptr<Query> late);

  net::Loop& loop;
  ResolverOptions options;
  Cache cache;
  std::unique_ptr<Channel> channel;  // null: unusable, or closed
  Error unusable;
  bool opened = false;  // once, whether that went well or not
  Counts counts;
  FileWatch resolv_conf;
  Clock::time_point looked_at;  // at resolv.conf
  Reports reports;
  std::minstd_rand random;
  std::unordered_set<std::shared_ptr<Query>> running;  // those that wait for their turn included
  Turns turns;
};

void Resolver::State::open() {
  auto made = Channel::open(loop, options);
  if (made) {
    channel = std::move(*made);
  } else if (!channel) {
    unusable = made.error();
  } else {
    reports.say(resolv_conf.path() +
                    " has changed and can't be used, the servers stay: " + made.error().context,
                loop.now());
  }
}

// A new channel has new servers; what the old one was asked is asked again. Without a channel
// another is tried, whatever was the matter with the file or the machine.
void Resolver::State::follow_resolv_conf() {
  const auto now = loop.now();
  if (!std::exchange(opened, true)) {  // by the first question: 75 KiB, and many pods never ask
    looked_at = now;
    resolv_conf.changed();
    return open();
  }
  if (channel && !options.uses_resolv_conf()) return;
  if (now - looked_at < limits::resolv_conf_recheck) return;
  looked_at = now;
  if (!resolv_conf.changed() && channel) return;
  const Channel* const old = channel.get();
  open();
  if (channel.get() == old) return;
  reports.say(resolv_conf.path() + " has changed, the DNS servers are " + channel->servers(), now);
  for (const auto& query : running)  // with addresses of one family at hand it ends soon
    if (query->begun && query->answer.addresses.empty()) ask(query);
}

// Without search domains a name and the same with a trailing dot are one.
std::string Resolver::State::key_of(std::string_view host) const {
  std::string out = ascii::lower_case(host);
  if (channel->search().domains.empty() && out.ends_with('.')) out.pop_back();
  return out;
}

// Up to a tenth: names that were asked for together are not for ever.
milliseconds Resolver::State::share_of(milliseconds time) {
  return milliseconds(
      std::uniform_int_distribution<milliseconds::rep>(0, time.count() / 10)(random));
}

// What the cache says now. REQUIRES: the entry has an answer or a problem.
Result<Answer> Resolver::State::known(const Entry& entry) const {
  if (!entry.last_good) return *entry.problem;
  Answer answer = *entry.last_good;
  answer.ttl = std::max<seconds>(limits::dns_ttl_min,
                                 std::chrono::duration_cast<seconds>(entry.expires - loop.now()));
  answer.stale = entry.problem.has_value();
  return answer;
}

std::optional<Answer> Resolver::State::old_answer(const Entry& entry) const {
  auto answer = entry.kept(loop.now());
  if (!answer) return answer;
  answer->ttl = limits::dns_ttl_min;
  answer->stale = true;
  return answer;
}

bool Resolver::State::answer_from_hosts_file(Entry& entry) {
  Answer answer;
  const std::string host(bare(entry.host));
  for (const Family family : {Family::v4, Family::v6}) {
    if (!(family == Family::v4 ? options.want_v4 : options.want_v6)) continue;
    const auto found = channel->from_hosts_file(host, family);
    answer.addresses.insert(answer.addresses.end(), found.begin(), found.end());
  }
  if (answer.addresses.empty()) return false;
  entry.last_good = std::move(answer);
  entry.problem.reset();
  entry.found_as.clear();
  entry.good_until.fill(loop.now() + options.keep_stale);
  entry.expires = loop.now() + limits::dns_hosts_file_ttl;
  return true;
}

// Asks, or lets the name wait for its turn. False: too many wait already.
bool Resolver::State::begin(Entry& entry, milliseconds retry_after) {
  const Kind kind = entry.by == NamedBy::client ? Kind::client
                    : entry.last_good           ? Kind::refresh
                                                : Kind::unknown;
  if (turns.full(kind)) return false;
  const auto query = entry.running = std::make_shared<Query>();
  query->key = entry.host;
  query->kind = kind;
  query->names = full_names(entry.host, channel->search());
  query->retry_after = retry_after;
  // The name that had addresses last has them still, as a rule: a refresh does not go through all
  // search domains again.
  const auto last = std::find(query->names.begin(), query->names.end(), entry.found_as);
  if (last != query->names.end()) std::rotate(query->names.begin(), last, last + 1);
  running.insert(query);
  turns.add(query);
  begin_waiting();
  return true;
}

void Resolver::State::begin_waiting() {
  while (const auto query = turns.next()) {
    query->begun = true;
    ask(query);
  }
}

// For both families of the name whose turn it is.
void Resolver::State::ask(const std::shared_ptr<Query>& query) {
  query->outstanding = int{options.want_v4} + int{options.want_v6};
  for (const Family family : {Family::v4, Family::v6}) {
    if (!(family == Family::v4 ? options.want_v4 : options.want_v6)) continue;
    ++counts.queries;
    // The channel drops its callbacks when it goes, and it goes with this state.
    channel->ask(query->names[query->turn], family, [this, query, family](Outcome outcome) {
      ended(query, family, std::move(outcome));
    });
  }
}

void Resolver::State::add(Query& query, Family family, const Records& records) {
  Answer& answer = query.answer;
  const auto ttl = std::clamp<seconds>(records.ttl, limits::dns_ttl_min, limits::dns_ttl_max);
  answer.ttl = answer.addresses.empty() ? ttl : std::min(answer.ttl, ttl);
  answer.addresses.insert(family == Family::v4 ? answer.addresses.begin() : answer.addresses.end(),
                          records.addresses.begin(), records.addresses.end());
  query.cut |= records.cut;
}

// A family that the servers failed to answer for, or are late with, keeps its last good addresses
// beside the other's new ones. False: there are none.
bool Resolver::State::add_kept(const Entry& entry, Query& query) const {
  auto last = entry.kept(loop.now());
  if (!last || entry.found_as != query.names[query.turn]) return false;
  auto& old = last->addresses;
  std::erase_if(old, [&](const IpAddress& ip) { return query.settled[ip.is_v6()]; });
  if (old.empty()) return false;
  auto& all = query.answer.addresses;
  all.insert(old.front().is_v6() ? all.end() : all.begin(), old.begin(), old.end());
  return true;
}

void Resolver::State::add_problem(Query& query, const Outcome& outcome) {
  const bool unknown =
      outcome.verdict != Verdict::no_data && outcome.verdict != Verdict::no_such_name;
  if (query.reason.empty() || (unknown && !query.failed)) query.reason = outcome.reason;
  query.failed |= unknown;
  query.timed_out |= outcome.verdict == Verdict::timed_out;
  if (!outcome.denial_ttl) return;
  query.denial_ttl =
      query.denial_ttl ? std::min(*query.denial_ttl, *outcome.denial_ttl) : *outcome.denial_ttl;
}

void Resolver::State::ended(const std::shared_ptr<Query>& query, Family family, Outcome outcome) {
  --query->outstanding;
  if (query->result) return;  // went on without this family
  const bool answered = outcome.verdict == Verdict::answered;
  query->settled[family == Family::v6] =
      answered || outcome.verdict == Verdict::no_data || outcome.verdict == Verdict::no_such_name;
  if (answered) {
    add(*query, family, outcome.records);
  } else {
    add_problem(*query, outcome);
  }
  if (query->outstanding > 0) {
    if (answered) loop.spawn(finish_without_the_other(weak_from_this(), loop, query));
    return;
  }
  // Servers that are silent are not asked for more (c-ares does the same).
  const bool next =
      query->answer.addresses.empty() && !query->timed_out && query->turn + 1 < query->names.size();
  if (!next) return finish(query);
  ++query->turn;
  query->settled = {};
  ask(query);
}

// Some servers drop questions for AAAA: addresses at hand are not kept waiting for them (RFC 8305
// section 3).
net::Task<void> Resolver::State::finish_without_the_other(std::weak_ptr<State> weak,
                                                          net::Loop& loop,
                                                          std::weak_ptr<Query> late) {
  co_await net::sleep_for(loop, limits::dns_family_wait);
  const auto self = weak.lock();
  const auto query = late.lock();
  if (self && self->channel && query && !query->result) self->finish(query);
}

void Resolver::State::finish(const std::shared_ptr<Query>& query) {
  running.erase(query);
  turns.ended(*query);
  Entry* entry = cache.known(query->key);
  Entry dropped(query->key);  // The cache may have forgotten the name meanwhile.
  if (!entry || entry->running != query) entry = &dropped;
  query->result = conclude(*entry, *query);
  entry->running.reset();
  query->waiters.wake_all(loop);
  begin_waiting();
}

Result<Answer> Resolver::State::succeed(Entry& entry, Query& query) {
  const auto now = loop.now();
  if (entry.problem && entry.last_good) {
    reports.say("resolve " + entry.host + ": the servers answer again", now);
  }
  if (query.cut && !std::exchange(entry.said_cut, true)) {
    reports.say("resolve " + entry.host + ": more addresses than the " +
                    std::to_string(limits::dns_addresses) +
                    " of a family that are used; the others are left out",
                now);
  }
  milliseconds time = query.answer.ttl;
  if (add_kept(entry, query)) time = std::min(time, query.retry_after);
  for (const bool v6 : {false, true}) {
    if (query.settled[v6]) entry.good_until[v6] = now + query.answer.ttl + options.keep_stale;
  }
  entry.last_good = std::move(query.answer);
  entry.problem.reset();
  entry.found_as = query.names[query.turn];
  entry.expires = now + time - share_of(time);
  return known(entry);
}

Result<Answer> Resolver::State::conclude(Entry& entry, Query& query) {
  if (!query.answer.addresses.empty()) return succeed(entry, query);
  const auto now = loop.now();
  ++counts.failures;
  const bool first = !entry.problem;
  entry.problem = problem_of(entry.host, query.timed_out ? Fault::timed_out : Fault::no_endpoint,
                             query.reason, channel->servers());
  if (!query.failed) {
    // "No such name" and "no address" are answers; only silence and failures keep the old one
    // (Envoy, STRICT_DNS).
    entry.last_good.reset();
    entry.expires = now + std::clamp<seconds>(query.denial_ttl.value_or(limits::dns_negative_ttl),
                                              limits::dns_ttl_min, limits::dns_negative_ttl_max);
  } else if (auto last = entry.kept(now)) {
    entry.last_good = std::move(last);
    const auto until = std::max(entry.good_until[0], entry.good_until[1]);
    if (first) {
      const auto left = std::chrono::ceil<seconds>(until - now);
      reports.say(entry.problem->context + "; its last answer is kept for " +
                      std::to_string(left.count()) + " s at most",
                  now);
    }
    entry.expires = std::min(until, now + query.retry_after + share_of(query.retry_after));
  } else {
    if (entry.last_good) {
      reports.say(entry.problem->context + "; its last answer is too old now and given up", now);
    }
    entry.last_good.reset();
    entry.expires = now + std::min<milliseconds>(query.retry_after, limits::dns_negative_ttl);
  }
  return known(entry);
}

void Resolver::State::close() {
  opened = true;  // nothing opens it any more
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

net::Task<Result<Answer>> Resolver::resolve(std::string host, milliseconds retry_after,
                                            NamedBy by) {
  if (const auto literal = IpAddress::parse(host)) {
    co_return Answer{{*literal}, limits::dns_ttl_max, false};
  }
  const auto state = state_;
  if (const auto problem = name_problem(host)) {
    co_return problem_of(host, Fault::no_endpoint, *problem, {});
  }
  state->follow_resolv_conf();
  if (!state->channel) co_return while_doing("resolve " + host, state->unusable);
  host = state->key_of(host);
  Entry& entry = state->cache.find(host, by);
  if (!entry.running) {
    const bool fresh = (entry.last_good || entry.problem) && state->loop.now() < entry.expires;
    if (fresh || state->answer_from_hosts_file(entry)) co_return state->known(entry);
    if (!state->begin(entry, retry_after)) {
      if (auto old = state->old_answer(entry)) co_return std::move(*old);
      co_return problem_of(host, Fault::overflow, "too many names are asked for at once", {});
    }
  }
  const auto query = entry.running;
  query->retry_after = std::min(query->retry_after, retry_after);
  net::Loop& loop = state->loop;
  const auto old = state->old_answer(entry);  // Before waiting: the cache may drop the entry.
  const milliseconds patience = old ? milliseconds(limits::dns_client_wait) : limits::dns_wait;
  const auto ended = co_await net::with_deadline(loop, patience, end_of(query));
  if (ended) co_return *query->result;
  if (old) co_return *old;
  co_return problem_of(host, Fault::timed_out, "no answer in time", {});
}

}  // namespace sallyport::dns
