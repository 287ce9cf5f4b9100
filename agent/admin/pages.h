// What the admin port answers, without sockets: requests in, responses out.
//
// Threading: the configuration thread.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "agent/admin/server.h"

namespace sallyport::admin {

struct Request {
  std::string method;
  std::string target;  // "/clusters?format=json"
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=UTF-8";
  std::string allow = {};            // with 405
  std::function<void()> after = {};  // once the response is written
};

class Pages {
public:
  using Done = std::function<void(Response)>;
  explicit Pages(Sources sources);
  Pages(const Pages&) = delete;

  // `done` is called at once, or later on the same thread; then the Pages may be gone already.
  void answer(const Request& request, const Done& done);
  Response answer_health(const Request& request);  // port 15021

private:
  struct Query {
    std::string_view text;                              // behind the '?'
    std::string_view get(std::string_view name) const;  // "" when it is not there; not decoded
  };
  struct Page {
    std::string_view path, help;
    bool mutates;  // POST only
    void (Pages::*handler)(Query, const Done&);
  };
  static const Page pages[];

  void help(Query, const Done& done);
  void ready(Query, const Done& done);
  void config_dump(Query, const Done& done);
  void clusters(Query query, const Done& done);
  void certs(Query, const Done& done);
  void stats(Query query, const Done& done);
  void stats_prometheus(Query, const Done& done);
  void server_info(Query, const Done& done);
  void logging(Query query, const Done& done);
  void quit(Query, const Done& done);
  void fail(Query, const Done& done);
  void recover(Query, const Done& done);
  std::string prometheus() const;
  std::string_view state();  // LIVE, INITIALIZING, DRAINING
  static std::string list();

  Sources sources_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool was_ready_ = false;
  bool failing_ = false;  // /healthcheck/fail
};

}  // namespace sallyport::admin
