// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension CommandSet {
  /// Writes the completion script for zsh.
  func zshCompletion() -> String {
    let cases = verbs.map(zshCase).joined(separator: "\n")
    let described = topics.map { topic in
      "        " + zshQuoted("\(zshEscaped(topic.name)):\(topic.abstract)")
    }
    return """
      #compdef \(name)
      # Completion of \(name) for zsh. Generated from the command description; do not edit.

      \(functionName)() {
        local curcontext="$curcontext" state
        local -a line verbs
        _arguments -C \\
          '(- *)'{-h,--help}'[Print help]' \\
          '1:verb:->verb' \\
          '*::argument:->argument'
        case $state in
          verb)
            verbs=(
      \(described.joined(separator: "\n"))
            )
            _describe -t verbs verb verbs
            ;;
          argument)
            case $line[1] in
      \(cases)
              help)
                _arguments \(zshQuoted("1:verb:(\(verbs.map(\.name).joined(separator: " ")))"))
                ;;
            esac
            ;;
        esac
      }

      if [[ $funcstack[1] == \(functionName) ]]; then
        \(functionName) "$@"
      else
        compdef \(functionName) \(name)
      fi

      """
  }

  private func zshCase(_ verb: CommandDescription) -> String {
    var specs = verb.options.flatMap(zshSpecs)
    specs.append("'(- *)'{-h,--help}'[Print help]'")
    specs += verb.operands.map { zshQuoted(zshOperand($0)) }
    let lines = specs.map { "            \($0)" }.joined(separator: " \\\n")
    return """
              \(verb.name))
                _arguments \\
      \(lines)
                ;;
      """
  }

  private func zshSpecs(_ option: OptionDescription) -> [String] {
    let long = "--\(option.name)" + (option.placeholder == nil ? "" : "=")
    let spellings = option.short.map { ["-\($0)", long] } ?? [long]
    // A scalar option excludes its own other spelling; a list may be given again.
    let names = [option.short.map { "-\($0)" }, "--\(option.name)"].compactMap(\.self)
    let lead = option.isRepeatable ? "*" : "(\(names.joined(separator: " ")))"
    let help = zshEscaped(withoutFullStop(option.help))
      .replacing("[", with: "\\[").replacing("]", with: "\\]")
    let value = option.placeholder.map { placeholder in
      ":\(zshEscaped(bare(placeholder))):\(zshAction(option.completion))"
    }
    return spellings.map { zshQuoted("\(lead)\($0)[\(help)]\(value ?? "")") }
  }

  private func zshOperand(_ operand: OperandDescription) -> String {
    let label = zshEscaped(bare(operand.placeholder))
    switch operand.arity {
    case .required: return ":\(label):\(zshAction(operand.completion))"
    case .optional: return "::\(label):\(zshAction(operand.completion))"
    case .repeated: return "*:\(label):\(zshAction(operand.completion))"
    case .command: return "*::\(label):_normal"
    }
  }

  private func zshAction(_ completion: ValueCompletion) -> String {
    switch completion {
    case .none: " "
    case .words(let words): "(\(words.map(zshEscaped).joined(separator: " ")))"
    case .wordList(let words):
      "_values -s , value \(words.map(zshEscaped).joined(separator: " "))"
    case .file: "_files"
    case .directory: "_files -/"
    }
  }

  /// A placeholder without its brackets.
  private func bare(_ placeholder: String) -> String {
    String(placeholder.dropFirst().dropLast())
  }

  private func zshEscaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing(":", with: "\\:")
  }

  private func zshQuoted(_ text: String) -> String {
    "'" + text.replacing("'", with: "'\\''") + "'"
  }
}
