#include "deploy/sandbox/sandbox.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <cstdio>

#include <algorithm>
#include <filesystem>

#include "deploy/sandbox/config_view.h"
#include "deploy/sandbox/founding.h"

namespace sallyport::sandbox {
namespace {

namespace fs = std::filesystem;

// `context`: what is there already and says how pods are injected.
Result<std::string> inject(const Files& files, const std::string& context, const Options& options) {
  std::string all;
  if (options.inject) {
    Files older = {{"context", context}};
    for (const auto& [name, text] : files) supersede(older, text);
    all = older["context"];
  }
  for (const auto& [name, text] : files) all += "---\n" + text + (text.ends_with('\n') ? "" : "\n");
  if (!options.inject) return all;
  auto written = run_checked({options.sallyport, "inject", "-f", "-"}, all);
  if (written) return written;
  // Alone the bad file has its name and its lines.
  for (const auto& [name, text] : files) {
    const auto alone = run_checked({options.sallyport, "inject", "-f", "-"}, text);
    if (!alone) return while_doing("sallyport inject, " + name + " is \"-\"", alone.error());
  }
  return while_doing("sallyport inject", written.error());
}

// Reads "count, texts..." at `at` of a frame and moves on.
std::vector<std::string> take_list(const Frame& frame, std::size_t& at) {
  const std::size_t count = at < frame.size() ? std::stoul(frame[at++]) : 0;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count && at < frame.size(); ++i) texts.push_back(frame[at++]);
  return texts;
}

}  // namespace

std::string find_program(const std::string& name) {
  std::vector<fs::path> places;
  if (const char* directory = std::getenv("SALLYPORT_BIN_DIR"))
    places.push_back(fs::absolute(directory));
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    places.push_back(own.parent_path());
    places.push_back(own.parent_path().parent_path());
  }
  for (const fs::path& place : places) {
    if (access((place / name).c_str(), X_OK) == 0 && fs::is_regular_file(place / name))
      return place / name;
  }
  return {};
}

Result<Files> read_manifests(const std::string& directory) {
  Files files;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string kind = entry->path().extension();
    if (kind != ".yaml" && kind != ".yml" && kind != ".json") continue;
    files[entry->path().filename()] = read_file(entry->path());
  }
  if (error) return failure(directory + ": " + error.message());
  if (files.empty()) return failure(directory + ": no manifests (*.yaml, *.yml, *.json)");
  return files;
}

Sandbox::Sandbox(Options options, UniqueFd socket, pid_t supervisor)
    : options_(std::move(options)), socket_(std::move(socket)), supervisor_(supervisor) {}

Sandbox& Sandbox::operator=(Sandbox&& other) noexcept {
  std::swap(options_, other.options_);
  std::swap(socket_, other.socket_);
  std::swap(supervisor_, other.supervisor_);
  return *this;
}

Sandbox::~Sandbox() {
  if (socket_ && supervisor_ > 0) (void)down(std::chrono::milliseconds(0));
}

Result<Sandbox> Sandbox::up(const Files& manifests, const Options& given) {
  Options options = given;
  if (options.sallyport.empty()) options.sallyport = find_program("sallyport");
  if (options.inject && options.sallyport.empty()) {
    return failure("the program sallyport is neither in SALLYPORT_BIN_DIR nor beside this one");
  }
  auto founded = start_supervisor(options.name, options.sallyport);
  if (!founded) return founded.error();
  Sandbox sandbox(options, std::move(founded->socket), founded->pid);
  auto sent = sandbox.send_files(manifests);
  if (sent) sent = sandbox.wait_ready(options.ready_timeout);
  if (!sent) return sent.error();
  return sandbox;
}

Result<Sandbox> Sandbox::up_directory(const std::string& directory, const Options& options) {
  auto files = read_manifests(directory);
  if (!files) return files.error();
  return up(*files, options);
}

Result<Sandbox> Sandbox::attach(const std::string& name,
                                std::function<void(const std::string&)> progress) {
  auto socket = connect_to(name);
  if (!socket) return socket.error();
  Options options{.name = name, .sallyport = find_program("sallyport")};
  options.progress = std::move(progress);
  return Sandbox(std::move(options), std::move(*socket), -1);
}

Result<Frame> Sandbox::ask(const Frame& request, std::vector<UniqueFd>* fds) {
  if (!socket_) return failure("the sandbox is down");
  bool sent = send_frame(socket_.get(), request);
  while (auto answer = receive_frame(socket_.get(),
                                     fds)) {  // Also after a failed send: it may have said why.
    if (answer->size() > 1 && answer->front() == "progress") {
      if (options_.progress) options_.progress((*answer)[1]);
      continue;
    }
    if (!answer->empty() && answer->front() == "ok") return *answer;
    return failure(answer->size() > 1 ? (*answer)[1] : "the sandbox gave no reason");
  }
  return failure(sent ? "the sandbox ended" : "the sandbox is down");
}

Result<void> Sandbox::send_files(const Files& files) {
  auto context = ask({"context"});
  if (!context) return context.error();
  auto manifests = inject(files, context->size() > 1 ? (*context)[1] : "", options_);
  if (!manifests) return manifests.error();
  Frame request = {"apply", *manifests};
  for (const auto& [name, text] : files) {
    request.push_back(name);
    request.push_back(text);
  }
  auto answer = ask(request);
  if (!answer) return answer.error();
  return {};
}

Result<void> Sandbox::apply(const std::string& file, const std::string& text) {
  return send_files({{file, text}});
}

Result<void> Sandbox::remove(const std::string& file, const std::string& text) {
  auto answer = ask({"remove", file, text});
  if (!answer) return answer.error();
  return {};
}

Result<void> Sandbox::wait_ready(std::chrono::milliseconds patience) {
  auto answer = ask({"wait", std::to_string(patience.count())});
  if (!answer) return answer.error();
  return {};
}

Result<std::string> Sandbox::logs(const std::string& pod, const std::string& container) {
  uint64_t offset = 0;
  return logs_from(pod, container, offset);
}

Result<std::string> Sandbox::logs_from(const std::string& pod, const std::string& container,
                                       uint64_t& offset) {
  auto answer = ask({"logs", pod, container, std::to_string(offset)});
  if (!answer) return answer.error();
  if (answer->size() < 3) return failure("logs: a short answer");
  offset = std::stoull((*answer)[2]);
  return (*answer)[1];
}

Result<std::vector<PodRow>> Sandbox::status() {
  auto answer = ask({"status"});
  if (!answer) return answer.error();
  std::vector<PodRow> rows;
  for (std::size_t i = 1; i + 5 < answer->size(); i += 6) {
    const Frame& frame = *answer;
    rows.push_back(
        {frame[i], frame[i + 1], frame[i + 2], frame[i + 3], frame[i + 4], frame[i + 5]});
  }
  return rows;
}

Doors Entrance::doors() const {
  return {fds[0].get(), fds[1].get(), fds[2].get(), fds[3].get(), fds[4].get()};
}

Result<Entrance> Sandbox::entrance(const std::string& pod, const std::string& container) {
  Entrance entrance;
  auto answer = ask({"enter", pod, container}, &entrance.fds);
  if (!answer) return answer.error();
  const Frame& frame = *answer;
  if (frame.size() < 13 || entrance.fds.size() != 6) return failure("enter: a short answer");
  ProcessSpec& process = entrance.process;
  process.working_dir = frame[1];
  process.identity.user = static_cast<uint32_t>(std::stoul(frame[2]));
  process.identity.group = static_cast<uint32_t>(std::stoul(frame[3]));
  process.identity.privileged = frame[4] == "1";
  process.identity.no_new_privileges = frame[5] == "1";
  entrance.interface = frame[6];
  entrance.ipv4 = frame[7];
  entrance.ipv6 = frame[8];
  entrance.pod = frame[9];
  std::size_t at = 10;
  process.identity.capabilities_added = take_list(frame, at);
  process.identity.capabilities_dropped = take_list(frame, at);
  process.environment = take_list(frame, at);
  return entrance;
}

Result<CommandResult> Sandbox::exec(const std::string& pod, const std::vector<std::string>& argv,
                                    const ExecOptions& options) {
  auto way_in = entrance(pod, options.container);
  if (!way_in) return way_in.error();
  ProcessSpec process = way_in->process;
  process.argv = argv;
  process.environment.insert(process.environment.end(), options.environment.begin(),
                             options.environment.end());
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  if (!in.read || !out.read || !err.read) return system_error("pipe");
  std::fflush(nullptr);  // Or the child has a copy of what is buffered, and may write it.
  const pid_t pid = clone_process(0);
  if (pid < 0) return system_error("clone");
  if (pid == 0) {
    dup2(in.read.get(), 0);
    dup2(out.write.get(), 1);
    dup2(err.write.get(), 2);
    for (Pipe* pipe : {&in, &out, &err}) {  // Or the command's stdin would never end.
      pipe->read.reset();
      pipe->write.reset();
    }
    _exit(run_inside(way_in->doors(), process));
  }
  in.read.reset();
  out.write.reset();
  err.write.reset();
  CommandResult result;
  converse(std::move(in.write), std::move(out.read), std::move(err.read), options.input, result);
  result.code = wait_for(pid);
  return result;
}

void Sandbox::detach() {
  (void)ask({"detach"});  // Only a dead sandbox doesn't answer.
  supervisor_ = -1;
}

Result<void> Sandbox::down(std::chrono::milliseconds grace) {
  if (!socket_) return {};
  (void)send_frame(socket_.get(), {"down", std::to_string(grace.count())});
  while (receive_frame(socket_.get()))
    continue;  // Its end says that the supervisor is gone, and so all with it.
  socket_.reset();
  if (supervisor_ > 0) wait_for(supervisor_);
  supervisor_ = -1;
  return {};
}

}  // namespace sallyport::sandbox
