// render_chat FILE: each line is a JSON list of a chat template and its variables; prints the text that it
// renders, or {"error": ...}, as one line of JSON. The peer of chat.py.
#include <fstream>
#include <iostream>

#include "formwork/core/error.h"
#include "formwork/text/chat/chat_template.h"

int main(int, char** arguments) {
  std::ifstream file(arguments[1]);
  for (std::string line; std::getline(file, line);) {
    const auto request = nlohmann::ordered_json::parse(line);
    nlohmann::ordered_json answer;
    try {
      answer = formwork::ChatTemplate(request[0].get<std::string>()).render(request[1]);
    } catch (const formwork::Error& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << '\n';
  }
}
