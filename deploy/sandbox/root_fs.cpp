#include "deploy/sandbox/root_fs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cstring>
#include <filesystem>
#include <sstream>

namespace sallyport::sandbox {
namespace {

namespace fs = std::filesystem;

struct MountError {
  std::string what;
};

void check(bool fine, const std::string& what) {
  if (!fine) throw MountError{what + ": " + strerror(errno)};
}

void mount_or_throw(const char* source, const std::string& target, const char* type,
                    unsigned long flags, const char* data = nullptr) {
  check(mount(source, target.c_str(), type, flags, data) == 0, "mount " + target);
}

// Directories of the machine that a container must not see, or that must start empty.
void hide(const std::string& upper, const char* directory, mode_t mode) {
  const std::string path = upper + directory;
  check(mkdir(path.c_str(), mode) == 0 && chmod(path.c_str(), mode) == 0, "mkdir " + path);
  check(setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0, "hide " + path);
}

void mount_overlay(const std::string& scratch) {
  for (const char* part : {"/upper", "/work", "/root"}) {
    check(mkdir((scratch + part).c_str(), 0755) == 0, "mkdir " + scratch + part);
  }
  hide(scratch + "/upper", "/tmp", 01777);
  hide(scratch + "/upper", "/run", 0755);
  hide(scratch + "/upper", "/home", 0755);
  hide(scratch + "/upper", "/root", 0700);
  const std::string options =
      "lowerdir=/,upperdir=" + scratch + "/upper,workdir=" + scratch + "/work";
  mount_or_throw("overlay", scratch + "/root", "overlay", 0, options.c_str());
}

// An overlay shows one file system. Where programs lie on a further one, it is shown read-only.
void bind_further_mounts(const std::string& old_root) {
  std::istringstream mounts(read_file("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    if (!point.starts_with("/usr") && !point.starts_with("/opt") && !point.starts_with("/nix"))
      continue;
    if (!fs::is_directory(old_root + point)) continue;
    mount_or_throw((old_root + point).c_str(), point, nullptr, MS_BIND);
    mount_or_throw(nullptr, point, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY);
  }
}

void make_devices(const std::string& old_root) {
  mount_or_throw("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k");
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    const std::string path = std::string("/dev/") + name;
    check(write_file(path, ""), "create " + path);
    mount_or_throw((old_root + path).c_str(), path, nullptr, MS_BIND);
  }
  const std::pair<const char*, const char*> links[] = {{"/proc/self/fd", "/dev/fd"},
                                                       {"/proc/self/fd/0", "/dev/stdin"},
                                                       {"/proc/self/fd/1", "/dev/stdout"},
                                                       {"/proc/self/fd/2", "/dev/stderr"},
                                                       {"pts/ptmx", "/dev/ptmx"}};
  for (const auto& [target, path] : links)
    check(symlink(target, path) == 0, std::string("link ") + path);
  check(mkdir("/dev/pts", 0755) == 0 && mkdir("/dev/shm", 01777) == 0, "mkdir /dev/pts");
  mount_or_throw("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                 "newinstance,ptmxmode=0666,mode=620");
  mount_or_throw("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m");
}

void bind_volume(const Bind& bind, const std::string& old_root) {
  const std::string source = old_root + bind.source;
  struct stat info;
  check(stat(source.c_str(), &info) == 0, "volume for " + bind.target);
  std::error_code ignored;
  if (S_ISDIR(info.st_mode)) {
    fs::create_directories(bind.target, ignored);
  } else {
    fs::create_directories(fs::path(bind.target).parent_path(), ignored);
    if (!fs::exists(bind.target)) check(write_file(bind.target, ""), "create " + bind.target);
  }
  mount_or_throw(source.c_str(), bind.target, nullptr, MS_BIND | MS_REC);
  if (bind.read_only)
    mount_or_throw(nullptr, bind.target, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY);
}

void place(const ContainerSpec& spec) {
  for (const auto& [path, content] : spec.files) {
    unlink(path.c_str());  // It may be a link to somewhere outside.
    check(write_file(path, content), "write " + path);
  }
  for (const auto& [path, target] : spec.links) {
    std::error_code ignored;
    fs::create_directories(fs::path(path).parent_path(), ignored);
    unlink(path.c_str());
    check(symlink(target.c_str(), path.c_str()) == 0, "link " + path);
  }
}

void build(const ContainerSpec& spec) {
  const std::string old_root = "/.machine";
  check(unshare(CLONE_NEWNS) == 0, "unshare");
  mount_overlay(spec.scratch);
  const std::string root = spec.scratch + "/root";
  check(mkdir((root + old_root).c_str(), 0700) == 0, "mkdir " + old_root);
  check(syscall(SYS_pivot_root, root.c_str(), (root + old_root).c_str()) == 0 && chdir("/") == 0,
        "pivot_root");
  mount_or_throw("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV);
  bind_further_mounts(old_root);
  make_devices(old_root);
  mount_or_throw("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV);
  place(spec);
  for (const Bind& bind : spec.binds) bind_volume(bind, old_root);
  check(umount2(old_root.c_str(), MNT_DETACH) == 0 && rmdir(old_root.c_str()) == 0,
        "leave the machine's root");
  if (!spec.process.working_dir.empty()) {
    std::error_code ignored;
    fs::create_directories(spec.process.working_dir, ignored);  // as container runtimes do
  }
  if (spec.read_only_root) mount_or_throw(nullptr, "/", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY);
}

}  // namespace

std::string make_root(const ContainerSpec& spec) {
  umask(022);
  try {
    build(spec);
    return {};
  } catch (const MountError& error) {
    return error.what;
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace sallyport::sandbox
