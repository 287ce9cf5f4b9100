// "did you mean ...": the known word nearest to one that is not known.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

// Empty when none is near: at most a third of the letters typed otherwise (and two at least count
// as near for longer words).
std::string nearest(std::string_view word, const std::vector<std::string>& known);
// "; did you mean \"validate\"?", or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

}  // namespace sallyport
