// How far two words are apart, for "did you mean".
#pragma once
#include <cstddef>
#include <string_view>

namespace sallyport {

// Letters put in, left out, replaced, or two neighbours swapped (each 1). Costs the product of the
// lengths: for words that somebody typed.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace sallyport
