#include "agent/istio/documents.h"

#include "agent/core/limits.h"

namespace sallyport::istio {
namespace {

bool is_marker(std::string_view line, std::string_view marker) {
  if (!line.starts_with(marker)) return false;
  return line.size() == marker.size() || line[3] == ' ' || line[3] == '\t' || line[3] == '\r';
}

bool has_content(std::string_view line) {
  const std::size_t at = line.find_first_not_of(" \t\r");
  return at != std::string_view::npos && line[at] != '#';
}

// Bytes of the UTF-8 character that `text` begins with; 0 when it is none (overlong forms and
// surrogates included).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t at) -> unsigned {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
  };
  const auto continues = [&](std::size_t at) { return (byte(at) & 0xc0) == 0x80; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::vector<Document> split_documents(std::string_view text) {
  std::vector<Document> documents;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::size_t begin = 0;
  int begin_line = 1, line_number = 1;
  bool content = false;
  const auto end_document = [&](std::size_t end, int next_line) {
    if (content) documents.push_back({text.substr(begin, end - begin), begin_line});
    begin = end;
    begin_line = next_line;
    content = false;
  };
  for (std::size_t at = 0; at < text.size(); ++line_number) {
    const std::size_t newline = std::min(text.find('\n', at), text.size());
    const std::size_t next = std::min(newline + 1, text.size());
    const std::string_view line = text.substr(at, newline - at);
    if (is_marker(line, "---")) {
      end_document(at, line_number);
      content = has_content(line.substr(3));
    } else if (is_marker(line, "...")) {
      end_document(next, line_number + 1);
    } else if (!line.starts_with('%')) {
      content = content || has_content(line);
    }
    at = next;
  }
  end_document(text.size(), line_number);
  return documents;
}

std::optional<TreeError> check_text(const Document& document) {
  if (document.text.size() > limits::document_bytes) {
    return TreeError{document.line, "the document is larger than " +
                                        std::to_string(limits::document_bytes) + " bytes"};
  }
  int line = document.line;
  for (std::string_view rest = document.text; !rest.empty();) {
    const auto byte = static_cast<unsigned char>(rest[0]);
    const std::size_t length = utf8_length(rest);
    if (length == 0) return TreeError{line, "the text is not UTF-8"};
    if (byte == '\r' && !rest.starts_with("\r\n") && rest.size() > 1) {
      return TreeError{line, "a carriage return without a line feed"};
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f) {
      return TreeError{line, "a control character (" + std::to_string(byte) + ")"};
    }
    if (byte == '\n') ++line;
    rest.remove_prefix(length);
  }
  return std::nullopt;
}

}  // namespace sallyport::istio
