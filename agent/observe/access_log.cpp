#include "agent/observe/access_log.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/core/published.h"
#include "agent/observe/log_thread.h"

namespace sallyport::observe {
namespace {

// What writers follow: immutable, replaced whole.
struct Output {
  std::shared_ptr<LogTarget> target;  // null: off
  LogFormat format;
};

Result<LogFormat> parse(const std::string& format, bool json) {
  return json ? LogFormat::parse_json(format) : LogFormat::parse(format);
}

// What a writer counts, and below it the writer's number: there are up to 1,024 workers, and a JSON
// number holds 53 bits.
constexpr int connection_id_shift = 11;

}  // namespace

std::optional<std::string> format_problem(const std::string& format, bool json) {
  const auto parsed = parse(format, json);
  return parsed ? std::nullopt : std::optional(parsed.error().context);
}

struct AccessLog::State {
  LogSettings settings;  // change()'s thread
  std::shared_ptr<LogThread> thread;
  Published<Output> outputs;
};

struct AccessLog::Writer::State {
  Published<Output>::Reader outputs;
  LogThread& thread;
  Channel& channel;
  const Output* output = nullptr;  // of `outputs`, since take_up()
  LogScratch scratch{};
  std::string head{};  // of keep()
  uint64_t connections = 0;
  std::unique_ptr<Block> block{};  // the one being filled
  BlockStack unused{};             // taken from channel.spare, ours alone by now

  std::unique_ptr<Block> take_block(std::size_t room);
};

Result<std::unique_ptr<AccessLog>> AccessLog::open(const LogSettings& settings,
                                                   std::function<void(const std::string&)> tell) {
  auto thread = LogThread::create(std::move(tell));
  if (!thread) return thread.error();
  auto none = LogFormat::parse("");
  if (!none) return none.error();
  const auto off = std::make_shared<const Output>(Output{nullptr, std::move(*none)});
  std::unique_ptr<AccessLog> log(new AccessLog(std::unique_ptr<State>(
      new State{.settings = {}, .thread = std::move(*thread), .outputs = Published<Output>(off)})));
  if (auto changed = log->change(settings); !changed) return changed.error();
  return log;
}

AccessLog::AccessLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
AccessLog::~AccessLog() { state_->thread->stop(); }

Result<void> AccessLog::change(const LogSettings& settings) {
  State& state = *state_;
  if (settings == state.settings) return {};
  auto format = parse(settings.format, settings.json);
  if (!format) return while_doing("access log format", format.error());
  std::shared_ptr<LogTarget> target;
  if (settings.path == state.settings.path) {
    target = state.outputs.current()->target;
  } else if (!settings.path.empty()) {
    auto opened = LogTarget::open(settings.path);
    if (!opened) return opened.error();
    target = std::move(*opened);
    state.thread->add_target(target);
  } else {
    state.thread->leave_target();
  }
  state.settings = settings;
  state.outputs.publish(
      std::make_shared<const Output>(Output{std::move(target), std::move(*format)}));
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

// What is written so far keeps its target; the next block gets the new one.
void AccessLog::Writer::take_up() {
  State& state = *state_;
  if (state.block && state.block->size) state.thread.hand_over(std::move(state.block));
  state.block.reset();
  state.output = state.outputs.get().get();
  state.scratch = state.output->format.scratch();
  on_ = state.output->target != nullptr;
  static const LogNeeds nothing;
  needs_ = on_ ? &state.output->format.needs() : &nothing;
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

void AccessLog::Writer::write(const AccessRecord& record) {
  State& state = *state_;
  if (state.outputs.changed()) take_up();
  if (!on_) return;
  const LogFormat& format = state.output->format;
  const std::size_t bound = format.bound(record);
  if (state.block && state.block->capacity - state.block->size < bound)
    state.thread.hand_over(std::move(state.block));
  if (!state.block) {
    state.block = state.take_block(bound);
    if (state.block) state.block->target = state.output->target;
  }
  if (!state.block) {
    auto& dropped = state.channel.dropped;  // written by this thread only
    dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  Block& block = *state.block;
  char* const begin = block.bytes.get();
  block.size =
      static_cast<std::size_t>(format.write(begin + block.size, record, state.scratch) - begin);
  block.lines++;
}

void AccessLog::Writer::flush() {
  State& state = *state_;
  if (state.outputs.changed()) return take_up();
  if (state.block && state.block->size) state.thread.hand_over(std::move(state.block));
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
