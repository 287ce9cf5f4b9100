#include "iptables/hints.h"

#include <initializer_list>

namespace sallyport::rules {

std::string_view native_hint_for(std::string_view errors) {
  for (const auto* text : {"must be root", "Permission denied", "Operation not permitted"}) {
    if (errors.find(text) != errors.npos) return capability_hint;
  }
  for (const auto* text : {"No such file or directory", "not supported"}) {
    if (errors.find(text) != errors.npos) return native_module_hint;
  }
  return {};
}

std::string_view hint_for(std::string_view errors) {
  struct Sign {
    std::string_view text, hint;
  };
  // The first that fits counts. Texts of iptables 1.8, both backends; several mean that the kernel
  // has no such part.
  static constexpr Sign signs[] = {
      {"must be root", capability_hint},
      {"Permission denied", capability_hint},
      {"Operation not permitted", capability_hint},
      {"holding the xtables lock", lock_hint},
      {"lock file", lock_file_hint},
      {"Protocol not supported", module_hint},
      {"initialize table", module_hint},
      {"does not exist", module_hint},
      {"missing kernel module", module_hint},
      {"No chain/target/match by that name", module_hint},
      {"No such file or directory", module_hint},
      {"Couldn't load", module_hint},
  };
  for (const auto& sign : signs) {
    if (errors.find(sign.text) != errors.npos) return sign.hint;
  }
  return {};
}

}  // namespace sallyport::rules
