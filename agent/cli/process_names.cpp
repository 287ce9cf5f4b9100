#include "agent/cli/process_names.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/core/ascii.h"
#include "agent/net/socket_owner.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t asked_at_once = 64;
namespace fs = std::filesystem;

bool is_process(const fs::path& entry) {
  const std::string name = entry.filename();
  return !name.empty() && std::all_of(name.begin(), name.end(), ascii::is_digit);
}

// What may vanish while it is read, or not be ours to read, is passed over.
bool has_open(const fs::path& process, const std::string& socket) {
  std::error_code failed;
  for (fs::directory_iterator at(process / "fd", failed), end; !failed && at != end;
       at.increment(failed)) {
    std::error_code gone;
    if (fs::read_symlink(at->path(), gone) == socket && !gone) return true;
  }
  return false;
}

}  // namespace

std::string process_with_socket(const std::string& proc, uint32_t inode) {
  const std::string socket = "socket:[" + std::to_string(inode) + "]";
  std::error_code failed;
  for (fs::directory_iterator at(proc, failed), end; !failed && at != end; at.increment(failed)) {
    if (!is_process(at->path()) || !has_open(at->path(), socket)) continue;
    std::string name;
    std::getline(std::ifstream(at->path() / "comm"), name);
    return name;
  }
  return {};
}

ProcessNames::ProcessNames() : thread_([this] { run(); }) {}

ProcessNames::~ProcessNames() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  came_.notify_one();
  thread_.join();
}

void ProcessNames::ask(const Connection& connection,
                       std::function<void(const std::string&)> answer) {
  {
    const std::lock_guard lock(mutex_);
    if (asked_.size() == asked_at_once) return;
    asked_.push_back({connection, std::move(answer)});
  }
  came_.notify_one();
}

void ProcessNames::run() {
  for (std::unique_lock lock(mutex_);;) {
    came_.wait(lock, [this] { return ending_ || !asked_.empty(); });
    if (ending_) return;
    const Asked next = std::move(asked_.front());
    asked_.pop_front();
    lock.unlock();
    const auto& [protocol, source, destination] = next.connection;
    if (const auto socket = net::facts_of(protocol, source, destination)) {
      const std::string name = process_with_socket("/proc", socket->inode);
      next.answer(name.empty() ? "uid " + std::to_string(socket->user) : name);
    }
    lock.lock();
  }
}

}  // namespace sallyport::cli
