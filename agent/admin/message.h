// A request to one of the agent's own ports, and what it is answered with.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sallyport::admin {

struct Request {
  std::string method;
  std::string target;  // "/clusters?format=json"
  // In the client's order and spelling; names may be repeated.
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool from_loopback = false;  // the client's address is one
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=UTF-8";
  std::string allow = {};            // with 405
  std::function<void()> after = {};  // once the response is written
};

using Done = std::function<void(Response)>;

}  // namespace sallyport::admin
