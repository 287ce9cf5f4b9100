#include "agent/cli/table.h"

#include <algorithm>

namespace sallyport::cli {
namespace {

// In characters: bytes that continue a UTF-8 sequence take no room.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); i++) {
      widths[i] = std::max(widths[i], width(row[i]) + padding_);
    }
  }
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); i++) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - width(row[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace sallyport::cli
