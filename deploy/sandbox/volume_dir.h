// A directory whose files are replaced all at once, in the way kubelet does it: `..data` is a link
// to the directory of the newest content and is swapped by a rename; each file's name is a link
// through it. Programs that watch ConfigMap and Secret volumes in a cluster see the same events
// here.
#pragma once
#include <string>

#include "deploy/sandbox/config_view.h"

namespace sallyport::sandbox {

// Makes `directory` (which exists) show `files`; does nothing when it does already. Names may hold
// slashes. Error: the disk or the system says no.
Result<void> publish_files(const std::string& directory, const Files& files);

}  // namespace sallyport::sandbox
