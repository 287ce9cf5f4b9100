#include "agent/observe/access_log.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/observe/log_format.h"
#include "agent/observe/log_thread.h"

namespace sallyport::observe {

struct AccessLog::State {
  LogFormat format;
  std::shared_ptr<LogThread> thread;  // null: off
};

struct AccessLog::Writer::State {
  const LogFormat& format;
  LogThread& thread;
  Channel& channel;
  std::vector<LogTime> times;
  std::unique_ptr<Block> block;  // the one being filled
  BlockStack unused{};           // taken from channel.spare, ours alone by now

  std::unique_ptr<Block> take_block(std::size_t room);
};

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path,
                                                   const std::string& format) {
  auto parsed = LogFormat::parse(format);
  if (!parsed) return parsed.error();
  auto state = std::make_unique<State>(State{std::move(*parsed), nullptr});
  if (!path.empty()) {
    auto thread = LogThread::start(path);
    if (!thread) return thread.error();
    state->thread = std::move(*thread);
  }
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(state)));
}

AccessLog::AccessLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
AccessLog::~AccessLog() {
  if (state_->thread) state_->thread->stop();
}
void AccessLog::reopen() {
  if (state_->thread) state_->thread->reopen();
}
uint64_t AccessLog::dropped() const { return state_->thread ? state_->thread->dropped() : 0; }
uint64_t AccessLog::write_errors() const {
  return state_->thread ? state_->thread->write_errors() : 0;
}
std::string AccessLog::problem() const {
  return state_->thread ? state_->thread->problem() : std::string();
}

std::unique_ptr<AccessLog::Writer> AccessLog::writer() {
  if (!state_->thread) return std::unique_ptr<Writer>(new Writer(nullptr));
  return std::unique_ptr<Writer>(new Writer(std::unique_ptr<Writer::State>(
      new Writer::State{state_->format, *state_->thread, state_->thread->add_channel(),
                        state_->format.times(), nullptr})));
}

AccessLog::Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
AccessLog::Writer::~Writer() { flush(); }
bool AccessLog::Writer::on() const { return state_ != nullptr; }

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
  if (!state_) return;
  State& state = *state_;
  const std::size_t bound = state.format.bound(record);
  if (state.block && state.block->capacity - state.block->size < bound) flush();
  if (!state.block) state.block = state.take_block(bound);
  if (!state.block) {
    auto& dropped = state.channel.dropped;  // written by this thread only
    dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  Block& block = *state.block;
  char* const begin = block.bytes.get();
  block.size =
      static_cast<std::size_t>(state.format.write(begin + block.size, record, state.times) - begin);
  block.lines++;
}

void AccessLog::Writer::flush() {
  if (!state_ || !state_->block) return;
  if (!state_->block->size) return;
  state_->thread.hand_over(std::move(state_->block));
}

}  // namespace sallyport::observe
