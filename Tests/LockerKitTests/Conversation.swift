import Foundation
import JSONLines
import TestSupport

/// A file of lines `> ` (from the core) and `< ` (from the module).
struct Conversation: Sendable {
    let text: String
    let turns: [(said: String, answer: JSON?)]

    /// Members whose values differ between modules or between runs: only their kind is compared.
    static let free: Set<String> = ["module", "version", "busMs", "ageMs"]
    /// Members that a module may leave out.
    static let mayBeMissing: Set<String> = ["atMs"]

    init(_ name: String) throws {
        text = try String(
            contentsOfFile: "\(Checkout.root)/Tests/Golden/module/\(name).jsonl", encoding: .utf8)
        var turns: [(String, JSON?)] = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("> ") {
                turns.append((String(line.dropFirst(2)), nil))
            } else {
                turns[turns.count - 1].1 = try JSONReader.parse(String(line.dropFirst(2)))
            }
        }
        self.turns = turns
    }

    /// The value with everything that may differ replaced by its kind.
    static func comparable(_ value: JSON) -> JSON {
        switch value {
        case .object(let object):
            .object(
                JSONObject(
                    object.members.filter { !mayBeMissing.contains($0.key) }.map { member in
                        let isFree = free.contains(member.key)
                        return JSONObject.Member(
                            key: member.key,
                            value: isFree ? freed(member.value) : comparable(member.value))
                    }))
        case .array(let values): .array(values.map(comparable))
        default: value
        }
    }

    private static func freed(_ value: JSON) -> JSON {
        value.doubleValue != nil ? "a number" : .string(value.kind)
    }
}
