package import JSONLines

/// Why a request has no result: the `error` object of a reply.
package struct ControlFault: Error, Sendable, Equatable {
    /// JSON-RPC's number; ``daemonCode`` for everything that is about lockers.
    package var number: Int
    /// One lower-case clause for people, without a secret.
    package var message: String
    /// A word of the daemon's closed list, such as `LINK_DOWN`.
    package var code: String
    /// Whether a coil was energised: `no`, `yes`, `unknown`.
    package var fired: String
    /// Whether the same request may succeed later without anything firing twice.
    package var isRetryable: Bool
    /// What a program may want to know beyond the message.
    package var details: JSONObject

    package static let parseErrorNumber = -32700
    package static let invalidRequestNumber = -32600
    package static let methodNotFoundNumber = -32601
    package static let invalidParamsNumber = -32602
    package static let internalErrorNumber = -32603
    /// The one number of all faults of the daemon's own list.
    package static let daemonCode = -32000

    package init(
        number: Int = ControlFault.daemonCode, code: String, _ message: String,
        fired: String = "no", isRetryable: Bool = false, details: JSONObject = JSONObject()
    ) {
        self.number = number
        self.code = code
        self.message = message
        self.fired = fired
        self.isRetryable = isRetryable
        self.details = details
    }

    package static func parseError(_ message: String) -> ControlFault {
        ControlFault(number: parseErrorNumber, code: "INVALID_REQUEST", message)
    }

    package static func invalidRequest(
        _ message: String, details: JSONObject = JSONObject()
    ) -> ControlFault {
        ControlFault(
            number: invalidRequestNumber, code: "INVALID_REQUEST", message, details: details)
    }

    package static func methodNotFound(_ name: String) -> ControlFault {
        let known = ControlMethod.allCases.map(\.rawValue)
        var details = JSONObject()
        var hint = ""
        if let nearest = Nearest.word(to: name, among: known) {
            details["nearest"] = .string(nearest)
            hint = "; did you mean \(nearest)?"
        }
        return ControlFault(
            number: methodNotFoundNumber, code: "INVALID_REQUEST",
            "no method \(excerpt(name))\(hint)", details: details)
    }

    package static func invalidParams(_ message: String, param: String) -> ControlFault {
        ControlFault(
            number: invalidParamsNumber, code: "INVALID_REQUEST", message,
            details: ["param": .string(excerpt(param))])
    }

    package static func busy(_ message: String, details: JSONObject = JSONObject()) -> ControlFault
    {
        ControlFault(code: "BUSY", message, isRetryable: true, details: details)
    }

    /// A peer's word as messages show it: quoted where it is not a plain word, and cut.
    package static func excerpt(_ word: String) -> String {
        let shown = word.unicodeScalars.prefix(40)
        let isPlain =
            !shown.isEmpty
            && shown.allSatisfy { $0.isASCII && $0.value > 0x20 && $0 != "\"" && $0.value < 0x7F }
        let text = String(String.UnicodeScalarView(shown))
        let cut = shown.count < word.unicodeScalars.count ? "…" : ""
        return isPlain ? "\(text)\(cut)" : "\(JSON.string(text).text)\(cut)"
    }

    /// The `error` member of a reply, also of one locker's result within an `open-all`.
    package var json: JSON {
        [
            "code": .int(Int64(number)), "message": .string(message),
            "data": [
                "code": .string(code), "fired": .string(fired), "retryable": .bool(isRetryable),
                "details": .object(details),
            ],
        ]
    }
}

/// Finds what somebody probably meant.
package enum Nearest {
    /// The known word with the fewest typing errors in `word`, if there are few enough to guess.
    package static func word(to word: String, among known: [String]) -> String? {
        guard word.utf8.count <= 64 else { return nil }
        let limit = max(1, word.utf8.count / 3)
        let ranked = known.map { (word: $0, distance: distance(word, $0)) }
        return ranked.filter { $0.distance <= limit }.min { $0.distance < $1.distance }?.word
    }

    /// Insertions, deletions, replacements and swapped neighbours that turn one word into the other; capitals do not count.
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.lowercased().utf8), Array(right.lowercased().utf8))
        var rows = [Array(0...right.count)]
        for i in left.indices {
            var row = [i + 1]
            for j in right.indices {
                let replaced = rows[i][j] + (left[i] == right[j] ? 0 : 1)
                var best = min(replaced, rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, rows[i - 1][j - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
