#include "agent/config/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sallyport::config {
namespace {

// What is never written to is the file's: it comes back as it was. A segment that is written to
// once, for relocations, is a writable one to the program header, whatever it is mapped as later.
int give_back_constants(dl_phdr_info* object, std::size_t, void* page_size) {
  const auto page = *static_cast<const uintptr_t*>(page_size);
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W)) continue;
    const uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void give_back_memory() {
  malloc_trim(0);
  uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(give_back_constants, &page);
}

}  // namespace sallyport::config
