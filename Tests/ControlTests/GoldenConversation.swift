import Foundation
import JSONLines
import TestSupport
import Testing

/// A recorded conversation: `>` lines go to the daemon, `<` lines come back, `#` lines are for people, and `# given:` lines
/// set the scene.
///
/// Replies to what was sent together may come in any order; notifications of one kind keep theirs. `<time>`, `<ms>`, `<seq>`,
/// `<uid>` stand for values that differ from run to run, `<ms>` and `<uid>` also inside a text; `<op>` and `<op-2>` stand for
/// operation ids: the first one that comes is kept and filled in wherever the name stands again.
struct GoldenConversation: Sendable, CustomTestStringConvertible {
    struct Turn: Sendable {
        var given: [String] = []
        var sent: [String] = []
        var expected: [JSON] = []
    }

    let name: String
    let text: String
    let turns: [Turn]

    var testDescription: String { name }

    static let folder = "\(Checkout.root)/Tests/Golden/control"

    static func all() throws -> [GoldenConversation] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            .filter { $0.hasSuffix(".jsonl") }
            .map { try GoldenConversation(file: $0) }
    }

    init(file: String) throws {
        name = file
        text = try String(contentsOfFile: "\(Self.folder)/\(file)", encoding: .utf8)
        var turns: [Turn] = [Turn()]
        for line in text.split(separator: "\n") {
            if !turns[turns.count - 1].expected.isEmpty, !line.hasPrefix("< ") {
                turns.append(Turn())
            }
            if line.hasPrefix("# given: ") {
                turns[turns.count - 1].given.append(String(line.dropFirst(9)))
            } else if line.hasPrefix("> ") {
                turns[turns.count - 1].sent.append(String(line.dropFirst(2)))
            } else if line.hasPrefix("< ") {
                turns[turns.count - 1].expected.append(
                    try JSONReader.parse(String(line.dropFirst(2))))
            }
        }
        self.turns = turns
    }
}

/// Compares what came with what a golden line says.
struct GoldenMatcher {
    private(set) var operations: [String: String] = [:]

    /// The line with operation ids filled in.
    func filled(_ line: String) -> String {
        operations.reduce(line) { $0.replacingOccurrences(of: $1.key, with: $1.value) }
    }

    /// Whether `came` is what `expected` says; keeps operation ids where it is.
    mutating func matches(_ expected: JSON, _ came: JSON) -> Bool {
        var trial = self
        guard trial.compare(expected, came) else { return false }
        self = trial
        return true
    }

    private mutating func compare(_ expected: JSON, _ came: JSON) -> Bool {
        switch (expected, came) {
        case (.string("<ms>"), _): return came.doubleValue.map { $0 >= 0 } ?? false
        case (.string("<seq>"), _), (.string("<uid>"), .int): return came.intValue != nil
        case (.string(let expected), .string(let came)): return compare(expected, came)
        case (.array(let expected), .array(let came)):
            guard expected.count == came.count else { return false }
            for (left, right) in zip(expected, came) where !compare(left, right) { return false }
            return true
        case (.object(let expected), .object(let came)):
            guard expected.keys == came.keys else { return false }
            for member in expected.members {
                guard let value = came[member.key], compare(member.value, value) else {
                    return false
                }
            }
            return true
        default: return expected == came
        }
    }

    private mutating func compare(_ expected: String, _ came: String) -> Bool {
        if expected == "<time>" {
            return came.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil
        }
        var pattern = expected
        if let range = pattern.firstRange(of: /<op(-\d)?>/),
            operations[String(pattern[range])] == nil
        {
            guard let id = came.firstMatch(of: /op-[0-9a-z]+-\d+/) else { return false }
            operations[String(pattern[range])] = String(id.output)
        }
        pattern = filled(pattern)
        if let uid = pattern.firstRange(of: "<uid>"), let digits = came.firstRange(of: /\d+/) {
            pattern.replaceSubrange(uid, with: came[digits])
        }
        if let gap = pattern.firstRange(of: "<ms>"), came.hasPrefix(pattern[..<gap.lowerBound]) {
            let rest = came.dropFirst(pattern[..<gap.lowerBound].count)
            pattern.replaceSubrange(gap, with: rest.prefix { $0.isNumber })
        }
        return pattern == came
    }
}
