#include "certs/ca/identity_manager.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/system_timer.hpp>
#include <random>

#include "agent/config/file.h"
#include "certs/ca/identity_check.h"
#include "certs/describe.h"

namespace sallyport::ca {
namespace {

using std::chrono::milliseconds;
using SystemTime = std::chrono::system_clock::time_point;

int64_t seconds(SystemTime time) { return std::chrono::system_clock::to_time_t(time); }

std::string who(const certs::KeyPair& pair) {
  const auto& info = pair.info();
  return certs::printable(info.uris.empty() ? info.subject : info.uris.front(), 512);
}

std::string span_text(milliseconds span) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(span).count();
  if (whole < 10) return std::to_string(span.count()) + " ms";
  return whole < 7200 ? std::to_string(whole) + " s" : std::to_string(whole / 3600) + " h";
}

bool power_of_two(int number) { return (number & (number - 1)) == 0; }

}  // namespace

struct IdentityManager::State {
  State(boost::asio::io_context& io, std::unique_ptr<IdentitySource> from, RotationPolicy policy,
        IdentitySinks given)
      : sinks(std::move(given)),
        rotation(policy),
        source(std::move(from)),
        next_timer(io),
        end_timer(io) {}

  void fetch();
  void deliver(Result<IdentityMaterial> delivered);
  Result<void> take(const IdentityMaterial& material);
  Result<std::shared_ptr<const certs::TrustStore>> roots_of(const std::string& pem) const;
  void succeed();
  void fail(const std::string& reason);
  void expire();
  std::string expired(const std::string& why) const;
  void warn_of_identity(const std::string& expected) const;
  void fetch_in(milliseconds wait);
  void await_end();
  void publish(std::string problem);
  double random() { return std::uniform_real_distribution<>(0, 1)(generator); }
  SystemTime end() const {
    return std::chrono::system_clock::from_time_t(pair ? pair->info().not_after : 0);
  }

  IdentitySinks sinks;
  RotationPolicy rotation;
  std::shared_ptr<const certs::KeyPair> pair;
  std::shared_ptr<const certs::TrustStore> roots;
  std::string pair_digest, roots_digest;
  bool renewed = false;         // the last take() brought another pair
  milliseconds life{0};         // of `pair`, when it was obtained
  int failures = 0;             // in a row
  std::string reason, problem;  // of the last failure; as published
  std::mt19937_64 generator{std::random_device{}()};
  std::shared_ptr<int> alive = std::make_shared<int>();  // a handler may run after this is gone
  std::unique_ptr<IdentitySource> source;
  boost::asio::system_timer next_timer, end_timer;
};

void IdentityManager::State::fetch() {
  next_timer.cancel();
  source->fetch([this](Result<IdentityMaterial> delivered) { deliver(std::move(delivered)); });
}

void IdentityManager::State::deliver(Result<IdentityMaterial> delivered) {
  const Result<void> taken = delivered ? take(*delivered) : Result<void>(delivered.error());
  taken ? succeed() : fail(taken.error().context);
}

// The same roots stay the same object: their id is in pool keys.
Result<std::shared_ptr<const certs::TrustStore>> IdentityManager::State::roots_of(
    const std::string& pem) const {
  if (roots && config::digest(pem) == roots_digest) return roots;
  return certs::TrustStore::parse(pem);
}

Result<void> IdentityManager::State::take(const IdentityMaterial& material) {
  auto new_roots = roots_of(material.roots_pem);
  if (!new_roots) return new_roots.error();
  const SystemTime now = std::chrono::system_clock::now();
  auto checked = check_identity(material, **new_roots, seconds(now));
  if (!checked) return checked.error();
  roots = std::move(*new_roots);
  roots_digest = config::digest(material.roots_pem);
  const std::string sum = config::digest(material.chain_pem);  // its leaf has but one key
  renewed = !pair || sum != pair_digest;
  if (!renewed) return {};
  pair = std::move(*checked);
  pair_digest = sum;
  life = std::chrono::duration_cast<milliseconds>(end() - now);
  warn_of_identity(material.expected_id);
  return {};
}

void IdentityManager::State::succeed() {
  const bool was_failing = failures > 0;
  failures = 0;
  reason.clear();
  publish("");
  await_end();
  std::string next = "; renewed when a newer one is there";
  if (!source->follows()) {
    const milliseconds wait = renew_after(life, rotation, random());
    fetch_in(wait);
    next = "; renewal in " + span_text(wait);
  }
  if (!renewed && !was_failing) return;
  sinks.info("workload certificate " + who(*pair) + " from " + source->name() + ": serial " +
             pair->info().serial + ", valid until " + certs::time_text(pair->info().not_after) +
             next);
}

void IdentityManager::State::fail(const std::string& why) {
  const bool news = why != reason;
  reason = why;
  ++failures;
  const bool over = pair && std::chrono::system_clock::now() >= end();
  publish(over ? expired(why) : pair ? "the renewal failed: " + why : why);
  const milliseconds wait = retry_after(failures, over ? milliseconds(0) : life, random());
  fetch_in(wait);
  if (!news && !power_of_two(failures)) return;
  std::string now_in_force = "; there is none until then";
  if (over) now_in_force = "; the old one has expired";
  if (pair && !over)
    now_in_force = "; the old one, serial " + pair->info().serial + ", stays in use until " +
                   certs::time_text(pair->info().not_after);
  sinks.warn("no workload certificate from " + source->name() + ": " + why + now_in_force +
             "; next try in " + span_text(wait));
}

void IdentityManager::State::expire() {
  const std::string why = reason.empty() ? "nothing newer was given by " + source->name() : reason;
  publish(expired(why));
  sinks.warn("the workload certificate " + who(*pair) + ", serial " + pair->info().serial +
             ", expired at " + certs::time_text(pair->info().not_after) +
             ": mutual TLS fails until there is a new one; " + why);
}

std::string IdentityManager::State::expired(const std::string& why) const {
  const bool failed = !reason.empty();
  return "it expired at " + certs::time_text(pair->info().not_after) +
         (failed ? "; the renewal failed: " : "; ") + why;
}

void IdentityManager::State::warn_of_identity(const std::string& expected) const {
  const auto& uris = pair->info().uris;
  if (expected.empty() || (uris.size() == 1 && uris.front() == expected)) return;
  sinks.warn("workload certificate from " + source->name() + ": it is for " +
             (uris.empty() ? "no SPIFFE id (" + who(*pair) + ")" : who(*pair)) + ", this pod is " +
             expected + ": its peers see the certificate's");
}

void IdentityManager::State::fetch_in(milliseconds wait) {
  next_timer.expires_after(wait);
  next_timer.async_wait([this, guard = std::weak_ptr<int>(alive)](const auto& error) {
    if (!error && !guard.expired()) fetch();
  });
}

void IdentityManager::State::await_end() {
  end_timer.expires_at(end());
  end_timer.async_wait([this, guard = std::weak_ptr<int>(alive)](const auto& error) {
    if (!error && !guard.expired()) expire();
  });
}

void IdentityManager::State::publish(std::string now) {
  problem = std::move(now);
  certs::VaultEntry pair_entry, roots_entry;
  pair_entry.pair = pair;
  pair_entry.problem = problem;
  roots_entry.roots = roots;
  if (!roots) roots_entry.problem = problem;
  sinks.publish(std::move(pair_entry), std::move(roots_entry));
}

IdentityManager::IdentityManager(boost::asio::io_context& io,
                                 std::unique_ptr<IdentitySource> source, RotationPolicy rotation,
                                 IdentitySinks sinks)
    : state_(std::make_unique<State>(io, std::move(source), rotation, std::move(sinks))) {}
IdentityManager::~IdentityManager() = default;

void IdentityManager::start() {
  state_->publish("waiting for " + state_->source->name());
  state_->fetch();
}

void IdentityManager::reload() {
  if (state_->source->follows() || state_->failures > 0) state_->fetch();
}

bool IdentityManager::ready() const { return state_->pair != nullptr; }

const std::string& IdentityManager::problem() const { return state_->problem; }

}  // namespace sallyport::ca
