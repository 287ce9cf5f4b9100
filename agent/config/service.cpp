#include "agent/config/service.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <ctime>
#include <mutex>
#include <set>

#include "agent/config/loader.h"
#include "agent/config/memory.h"
#include "agent/config/watcher.h"
#include "agent/core/limits.h"
#include "certs/expiry.h"

namespace sallyport::config {
namespace {

// Watching what was not watched before may have come after a change there: look again, but not
// forever.
constexpr int loads_in_a_row_max = 4;
// Not within the load: what waits for the new snapshot need not wait for the old one's end.
constexpr auto sweep_first = std::chrono::milliseconds(250),
               sweep_last = std::chrono::milliseconds(64'000);

// Before start(): nothing may leave.
mesh::SnapshotPtr closed_snapshot(const Options& options) {
  mesh::CompileInput input;
  input.proxy = options.proxy;
  input.mesh.outbound_traffic_policy = istio::OutboundMode::registry_only;
  return mesh::compile(input, nullptr, 0).snapshot;
}

}  // namespace

struct Service::State {
  State(boost::asio::io_context& io, Options given,
        std::function<void(const std::string&)> log_line)
      : log(std::move(log_line)),
        info(given.info ? given.info : [](const std::string&) {}),
        now(given.now ? given.now : [] { return static_cast<int64_t>(std::time(nullptr)); }),
        snapshots(closed_snapshot(given)),
        vault(std::make_shared<certs::Vault>()),
        loader(std::move(given)),
        watcher(io, [this](const Touched& touched) { reload(touched); }),
        sweep_timer(io),
        expiry_timer(io) {}

  Result<void> load(Touched touched);
  void reload(const Touched& touched);
  void publish(const Load& load);
  void publish_vault();
  void tell(std::vector<istio::Finding> now, const std::vector<std::string>& refusals);
  std::optional<istio::Finding> watch(bool& again);
  void sweep(std::chrono::milliseconds wait);
  void await_sweep(std::chrono::milliseconds wait);
  void warn_of_expiry();
  void await_expiry();

  std::function<void(const std::string&)> log, info;
  std::function<int64_t()> now;
  std::function<void(const mesh::Snapshot&)> published;  // may be empty
  Published<mesh::Snapshot> snapshots;
  std::shared_ptr<const certs::Vault> secrets = std::make_shared<certs::Vault>();  // of the load
  std::optional<certs::VaultEntry> identity, mesh_roots;  // none: no source is configured
  Published<certs::Vault> vault;
  Loader loader;
  Watcher watcher;
  boost::asio::steady_timer sweep_timer, expiry_timer;
  certs::ExpiryWarnings expiry_warnings;
  std::vector<mesh::SnapshotPtr>
      retired;                    // kept until no worker has them: freed here, not on a worker
  bool watching = false;          // all that matters: else any event may stand for others
  std::set<std::string> told;     // texts of the findings of the newest load
  std::set<std::string> refused;  // of its refusals
  std::shared_ptr<int> alive =
      std::make_shared<int>();  // a timer's handler may run after this is gone
  std::atomic<uint64_t> loads{0}, rejected{0};
  mutable std::mutex mutex;
  std::vector<istio::Finding> findings;  // guarded by mutex
};

std::optional<istio::Finding> Service::State::watch(bool& again) {
  const auto watched = watcher.watch(loader.watch_points());
  again = watched && *watched;
  if (watched) return std::nullopt;
  return istio::Finding{istio::Severity::warning,
                        "",
                        0,
                        "",
                        "",
                        "",
                        "",
                        "changes are not followed (SIGHUP reloads): " + watched.error().context};
}

Result<void> Service::State::load(Touched touched) {
  touched.all |= !watching;
  for (int attempt = 1;; ++attempt) {
    auto load = loader.load(touched);
    if (!load) return load.error();
    bool again = false;
    const auto problem = watch(again);
    watching = !problem;
    touched.all = true;  // what is watched from now on may have changed before
    if (again && attempt < loads_in_a_row_max) continue;
    if (problem) load->findings.push_back(*problem);
    publish(*load);
    await_sweep(sweep_first);
    tell(std::move(load->findings), load->refusals);
    warn_of_expiry();
    return {};
  }
}

void Service::State::reload(const Touched& touched) {
  // Once started there is always a last good state, so that a reload has nothing to fail with.
  if (const auto loaded = load(touched); !loaded && log) log(loaded.error().context);
}

// The vault first: a snapshot's clusters find their secrets from the start.
void Service::State::publish(const Load& load) {
  if (load.vault != secrets) {
    secrets = load.vault;
    publish_vault();
    for (const std::string& line : load.secret_news) info(line);
  }
  loader.published();
  mesh::SnapshotPtr old = snapshots.current();
  if (load.snapshot == old) return;
  snapshots.publish(load.snapshot);
  if (!load.news.empty()) info(load.news);
  if (published) published(*load.snapshot);
  retired.push_back(std::move(old));
}

void Service::State::publish_vault() {
  if (!identity) return vault.publish(secrets);
  auto whole = std::make_shared<certs::Vault>(*secrets);
  whole->entries.insert_or_assign(certs::identity_name, *identity);
  whole->entries.insert_or_assign(certs::mesh_roots_name, *mesh_roots);
  vault.publish(std::move(whole));
}

void Service::State::tell(std::vector<istio::Finding> now,
                          const std::vector<std::string>& refusals) {
  std::set<std::string> texts;
  for (const istio::Finding& finding : now) {
    istio::Finding told_as_warning = finding;  // the log's level says so
    told_as_warning.severity = istio::Severity::error;
    std::string text = told_as_warning.text();
    const bool is_news = !told.contains(text) && !texts.contains(text);
    if (is_news && log) log(text);
    texts.insert(std::move(text));
  }
  told = std::move(texts);
  loads.fetch_add(1);
  std::set<std::string> refused_now(refusals.begin(), refusals.end());
  for (const std::string& text : refused_now) rejected.fetch_add(refused.contains(text) ? 0 : 1);
  for (const std::string& text : refused) {
    if (!refused_now.contains(text)) info("no longer refused: " + text);
  }
  refused = std::move(refused_now);
  const std::lock_guard lock(mutex);
  findings = std::move(now);
}

void Service::State::sweep(std::chrono::milliseconds wait) {
  const auto freed = std::erase_if(
      retired, [](const mesh::SnapshotPtr& snapshot) { return snapshot.use_count() == 1; });
  if (freed || wait == sweep_first) give_back_memory();
  if (!retired.empty()) await_sweep(std::min(2 * wait, sweep_last));
}

void Service::State::await_sweep(std::chrono::milliseconds wait) {
  sweep_timer.expires_after(wait);
  const auto guard = std::weak_ptr<int>(alive);
  sweep_timer.async_wait([this, wait, guard](const boost::system::error_code& error) {
    if (!error && !guard.expired()) sweep(wait);
  });
}

void Service::State::warn_of_expiry() {
  for (const std::string& line : expiry_warnings.due(*vault.current(), now())) {
    if (log) log(line);
  }
}

// One timer for all certificates: their ends are days away.
void Service::State::await_expiry() {
  expiry_timer.expires_after(limits::expiry_check);
  const auto guard = std::weak_ptr<int>(alive);
  expiry_timer.async_wait([this, guard](const boost::system::error_code& error) {
    if (error || guard.expired()) return;
    warn_of_expiry();
    await_expiry();
  });
}

Service::Service(boost::asio::io_context& io, Options options,
                 std::function<void(const std::string&)> log)
    : state_(std::make_unique<State>(io, std::move(options), std::move(log))) {}
Service::~Service() = default;

Result<void> Service::start() {
  auto loaded = state_->load({});
  if (loaded) state_->await_expiry();
  return loaded;
}
void Service::reload() { state_->reload({}); }
void Service::on_publish(std::function<void(const mesh::Snapshot&)> call) {
  state_->published = std::move(call);
}
void Service::set_identity(certs::VaultEntry pair, certs::VaultEntry roots) {
  state_->identity = std::move(pair);
  state_->mesh_roots = std::move(roots);
  state_->publish_vault();
  state_->await_sweep(sweep_first);  // of what asking for it used
}
void Service::settle() {
  state_->sweep_timer.cancel();
  state_->sweep(sweep_first);
}
const Published<mesh::Snapshot>& Service::snapshots() const { return state_->snapshots; }
const Published<certs::Vault>& Service::vault() const { return state_->vault; }
uint64_t Service::loads() const { return state_->loads.load(); }
uint64_t Service::rejected() const { return state_->rejected.load(); }

std::vector<istio::Finding> Service::findings() const {
  const std::lock_guard lock(state_->mutex);
  return state_->findings;
}

}  // namespace sallyport::config
