// What a proxy asks of the kernel for itself.
#pragma once

namespace sallyport::cli {

void raise_descriptor_limit();  // as far as it goes without privileges
// The calling thread: workers that share a core with it go first.
void give_way_to_workers();

}  // namespace sallyport::cli
