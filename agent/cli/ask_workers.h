// Something of every worker, told by each on its own thread, given together on another. Include in
// .cpp files only (Asio).
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "agent/proxy/worker.h"

namespace sallyport::cli {

// `tell` runs on each worker's thread, `done` on the io_context's.
template <class T>
void ask_workers(boost::asio::io_context& io,
                 const std::vector<std::unique_ptr<proxy::Worker>>& workers,
                 std::function<T(proxy::Worker&)> tell, std::function<void(std::vector<T>)> done) {
  struct Collection {
    std::function<T(proxy::Worker&)> tell;
    std::function<void(std::vector<T>)> done;
    std::size_t missing;
    std::vector<T> told;
  };
  auto collection = std::make_shared<Collection>(
      Collection{std::move(tell), std::move(done), workers.size(), {}});
  for (const auto& worker : workers) {
    worker->post([&io, &worker = *worker, collection]() mutable {
      auto told = collection->tell(worker);
      boost::asio::post(io, [collection = std::move(collection), told = std::move(told)]() mutable {
        collection->told.push_back(std::move(told));
        if (--collection->missing == 0) collection->done(std::move(collection->told));
      });
    });
  }
}

}  // namespace sallyport::cli
