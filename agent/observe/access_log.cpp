#include "agent/observe/access_log.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/core/published.h"
#include "agent/observe/log_filter.h"
#include "agent/observe/log_thread.h"

namespace sallyport::observe {
namespace {

struct OpenLogger {
  std::shared_ptr<LogTarget> target;
  LogFormat format;
  std::optional<LogFilter> filter;
  bool client = true, server = true;
};

// What writers follow: immutable, replaced whole.
struct Output {
  std::vector<OpenLogger> loggers;  // none: off
  LogNeeds needs;                   // of all of them
};

Result<LogFormat> parse_format(const LogSettings& of) {
  return of.json ? LogFormat::parse_json(of.format, of.omit_empty)
                 : LogFormat::parse(of.format, of.omit_empty);
}

// One that can't be read must not lose lines: who configures it is told elsewhere.
std::optional<LogFilter> parse_log_filter(const std::string& expression) {
  if (expression.empty()) return std::nullopt;
  auto parsed = LogFilter::parse(expression);
  return parsed ? std::optional(std::move(*parsed)) : std::nullopt;
}

// Without its file yet.
Result<std::vector<OpenLogger>> parse_loggers(const std::vector<LogSettings>& settings) {
  std::vector<OpenLogger> out;
  for (const LogSettings& one : settings) {
    auto format = parse_format(one);
    if (!format) return while_doing("access log format", format.error());
    out.push_back(
        {nullptr, std::move(*format), parse_log_filter(one.filter), one.client, one.server});
  }
  return out;
}

// Those of the same path share one, also with `before`.
Result<void> open_targets(const std::vector<LogSettings>& settings,
                          const std::vector<OpenLogger>& before, std::vector<OpenLogger>& loggers) {
  std::vector<std::shared_ptr<LogTarget>> known;
  for (const OpenLogger& one : before) known.push_back(one.target);
  for (std::size_t i = 0; i < loggers.size(); i++) {
    const auto at = std::find_if(known.begin(), known.end(), [&](const auto& target) {
      return target->path() == settings[i].path;
    });
    if (at != known.end()) {
      loggers[i].target = *at;
      continue;
    }
    auto opened = LogTarget::open(settings[i].path);
    if (!opened) return opened.error();
    loggers[i].target = std::move(*opened);
    known.push_back(loggers[i].target);
  }
  return {};
}

// What a writer counts, and below it the writer's number: there are up to 1,024 workers, and a JSON
// number holds 53 bits.
constexpr int connection_id_shift = 11;

}  // namespace

struct AccessLog::State {
  std::vector<LogSettings> settings;  // change()'s thread
  std::shared_ptr<LogThread> thread;
  Published<Output> outputs;
};

struct AccessLog::Writer::State {
  // A logger of `output`, and what this writer has of it.
  struct Pen {
    const OpenLogger& logger;
    LogScratch scratch;
    std::unique_ptr<Block> block{};  // the one being filled
  };

  Published<Output>::Reader outputs;
  LogThread& thread;
  Channel& channel;
  const Output* output = nullptr;  // of `outputs`, since take_up()
  std::vector<Pen> pens{};
  std::string head{};  // of keep()
  uint64_t connections = 0;
  BlockStack unused{};  // taken from channel.spare, ours alone by now

  std::unique_ptr<Block> take_block(std::size_t room);
  void write(Pen& pen, const AccessRecord& record);
  void hand_over();
};

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::vector<LogSettings>& loggers,
                                                   std::function<void(const std::string&)> tell) {
  auto thread = LogThread::create(std::move(tell));
  if (!thread) return thread.error();
  std::unique_ptr<AccessLog> log(new AccessLog(std::unique_ptr<State>(
      new State{.settings = {},
                .thread = std::move(*thread),
                .outputs = Published<Output>(std::make_shared<const Output>())})));
  if (auto changed = log->change(loggers); !changed) return changed.error();
  return log;
}

AccessLog::AccessLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
AccessLog::~AccessLog() { state_->thread->stop(); }

Result<void> AccessLog::change(const std::vector<LogSettings>& loggers) {
  State& state = *state_;
  if (loggers == state.settings) return {};
  auto opened = parse_loggers(loggers);
  if (!opened) return opened.error();
  const auto before = state.outputs.current();
  if (auto targets = open_targets(loggers, before->loggers, *opened); !targets)
    return targets.error();
  Output next;
  next.loggers = std::move(*opened);
  std::vector<std::shared_ptr<LogTarget>> targets;
  for (const OpenLogger& one : next.loggers) {
    targets.push_back(one.target);
    next.needs.add(one.format.needs());
    if (one.filter) next.needs.add(one.filter->needs());
  }
  state.thread->set_targets(std::move(targets));
  state.settings = loggers;
  state.outputs.publish(std::make_shared<const Output>(std::move(next)));
  return {};
}

void AccessLog::reopen() { state_->thread->reopen(); }
uint64_t AccessLog::dropped() const { return state_->thread->dropped(); }
uint64_t AccessLog::write_errors() const { return state_->thread->write_errors(); }
std::string AccessLog::problem() const { return state_->thread->problem(); }

std::unique_ptr<AccessLog::Writer> AccessLog::writer() {
  LogThread& thread = *state_->thread;
  return std::unique_ptr<Writer>(new Writer(std::unique_ptr<Writer::State>(
      new Writer::State{.outputs = Published<Output>::Reader(state_->outputs),
                        .thread = thread,
                        .channel = thread.add_channel()})));
}

AccessLog::Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) { take_up(); }
AccessLog::Writer::~Writer() { flush(); }

void AccessLog::Writer::State::hand_over() {
  for (Pen& pen : pens)
    if (pen.block && pen.block->size) thread.hand_over(std::move(pen.block));
}

// What is written so far keeps its target; the next block gets the new one.
void AccessLog::Writer::take_up() {
  State& state = *state_;
  state.hand_over();
  state.pens.clear();
  state.output = state.outputs.get().get();
  for (const OpenLogger& one : state.output->loggers)
    state.pens.push_back({one, one.format.scratch()});
  on_ = !state.pens.empty();
  needs_ = &state.output->needs;
  state.thread.wake();  // This may have been the last one at the old target.
}

// Null: the queue is full.
std::unique_ptr<Block> AccessLog::Writer::State::take_block(std::size_t room) {
  const auto queued = channel.queued.load(std::memory_order_relaxed);
  const auto capacity = std::max(room, Block::usual);
  if (queued + capacity > limits::log_queue_bytes) return nullptr;
  if (capacity > Block::usual) return std::make_unique<Block>(channel, capacity);
  Block* free = channel.spare.take_all();
  if (!free) free = unused.take_all();
  if (!free) return std::make_unique<Block>(channel, capacity);
  std::unique_ptr<Block> result(free);
  for (Block* other = std::exchange(result->next, nullptr); other;) {
    std::unique_ptr<Block> kept(std::exchange(other, other->next));
    unused.push(std::move(kept));
  }
  channel.spares.fetch_sub(1, std::memory_order_relaxed);
  return result;
}

void AccessLog::Writer::State::write(Pen& pen, const AccessRecord& record) {
  const LogFormat& format = pen.logger.format;
  const std::size_t bound = format.bound(record);
  if (pen.block && pen.block->capacity - pen.block->size < bound)
    thread.hand_over(std::move(pen.block));
  if (!pen.block) {
    pen.block = take_block(bound);
    if (pen.block) pen.block->target = pen.logger.target;
  }
  if (!pen.block) {
    auto& dropped = channel.dropped;  // written by this thread only
    dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  Block& block = *pen.block;
  char* const begin = block.bytes.get();
  block.size =
      static_cast<std::size_t>(format.write(begin + block.size, record, pen.scratch) - begin);
  block.lines++;
}

void AccessLog::Writer::write(const AccessRecord& record) {
  State& state = *state_;
  if (state.outputs.changed()) take_up();
  for (State::Pen& pen : state.pens) {
    const OpenLogger& logger = pen.logger;
    if (!(record.server_side ? logger.server : logger.client)) continue;
    if (!logger.filter || logger.filter->takes(record)) state.write(pen, record);
  }
}

void AccessLog::Writer::flush() {
  State& state = *state_;
  if (state.outputs.changed()) return take_up();
  state.hand_over();
}

void AccessLog::Writer::keep(AccessRecord& record, KeptHeaders AccessExtras::*which,
                             std::span<const iovec> head) {
  join_head(head, state_->head);
  KeptHeaders& kept = record.more().*which;
  kept.clear();
  kept.keep_of(state_->head, which == &AccessExtras::request ? needs_->request_headers
                                                             : needs_->response_headers);
}

void AccessLog::Writer::keep_request(AccessRecord& record, std::string_view head) {
  const iovec piece{const_cast<char*>(head.data()), head.size()};
  keep_request(record, {&piece, 1});
}

void AccessLog::Writer::keep_response(AccessRecord& record, std::string_view head) {
  const iovec piece{const_cast<char*>(head.data()), head.size()};
  keep_response(record, {&piece, 1});
}

uint64_t AccessLog::Writer::next_connection_id() {
  return ++state_->connections << connection_id_shift | state_->channel.number;
}

}  // namespace sallyport::observe
