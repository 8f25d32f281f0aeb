import ControlClient
import JSONLines

/// What a probe has shown of a board profile, claim by claim.
struct ProbeReport {
    struct Claim {
        let words: String
        let holds: Bool

        var text: String { "\(holds ? "ok      " : "NOT OK  ")\(words)" }
    }

    let locker: String
    private(set) var claims: [Claim] = []

    init(locker: String) { self.locker = locker }

    var isTrue: Bool { !claims.isEmpty && claims.allSatisfy(\.holds) }

    mutating func add(_ words: String, _ holds: Bool) {
        claims.append(Claim(words: words, holds: holds))
    }

    /// What the daemon says of the open.
    mutating func note(_ result: OperationResult, hasSensor: Bool) throws(Failure) {
        guard let opened = result.results.first else {
            throw Failure(.failed, "\(locker): nothing is known of \(result.operation)")
        }
        guard let outcome = opened.outcome else {
            add("the board took the order: \(Sentences.result(opened))", false)
            return
        }
        let isTaken = outcome == .opened || outcome == .openedLate || outcome == .pulsed
        add("the board took the order: \(Sentences.result(opened))", isTaken)
        guard hasSensor else { return }
        let time = opened.doorMs.map { " after \(Int($0)) ms" } ?? ""
        add("the sensor saw the door open\(time)", outcome == .opened || outcome == .openedLate)
    }

    var json: JSON {
        [
            "locker": .string(locker), "ok": .bool(isTrue),
            "claims": .array(
                claims.map { ["claim": .string($0.words), "ok": .bool($0.holds)] }),
        ]
    }
}
