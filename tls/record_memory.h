// OpenSSL takes two blocks of 16 KiB and a little for each record that comes or goes, and gives
// them back (SSL_MODE_RELEASE_BUFFERS): cutting them out of the heap costs 4 % of a short request's
// instructions. Here a thread keeps those that it gave back last, which are in its caches, too.
//
// Threading: any; a block may be freed by another thread than took it.
#pragma once

namespace sallyport::tls {

// Has OpenSSL allocate so. REQUIRES: it has allocated nothing yet; false: it has, and goes on with
// malloc.
bool recycle_record_memory();

}  // namespace sallyport::tls
