import ControlClient

/// What became of a lock, said so that somebody in front of it knows what to do.
enum Sentences {
    static func result(_ result: LockerResult) -> String {
        let locker = result.locker.address
        if let fault = result.fault { return failed(locker, fault) }
        let proof = proof(result)
        switch result.outcome {
        case .opened?: return "\(locker) opened\(proof)"
        case .alreadyOpen?: return "\(locker) was open already\(proof)"
        case .openedLate?: return "\(locker) opened late\(proof)"
        case .pulsed?:
            return "\(locker) fired; nothing can prove that the door opened\(proof)"
        case .jammed?:
            return "\(locker) jammed: the lock fired but the door did not open; "
                + "see what holds the door, then try again"
        case .unknown?:
            return
                "\(locker): unknown whether the lock fired; look at the door before you try again"
        case .skipped?: return "\(locker) skipped: \(result.reason ?? "the daemon gave no reason")"
        case let other?: return "\(locker): \(other.rawValue)\(proof)"
        case nil: return "\(locker): the daemon did not say how it ended"
        }
    }

    private static func proof(_ result: LockerResult) -> String {
        let evidence: String? =
            switch result.evidence {
            case "door-sensor"?: "door sensor"
            case "lock-feedback"?: "contact in the lock"
            case "echo"?: "the board confirmed the order"
            case "none"?: "no evidence"
            case let other: other
            }
        let parts = [
            evidence, result.outcome == .alreadyOpen ? nil : result.doorMs.map(Words.span),
            result.attempts > 1 ? "attempt \(result.attempts)" : nil,
        ].compactMap { $0 }
        return parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
    }

    /// `wall/3: not opened: link is down: connect 10.0.0.7:502: connection refused; nothing was fired`
    static func failed(_ locker: String, _ fault: DaemonFault) -> String {
        var cause = fault.message
        if fault.code == "LINK_DOWN", !cause.contains("down") { cause = "link is down: \(cause)" }
        if fault.code == "OUTPUT_STUCK" { cause += "; somebody must go there now" }
        let repeated = fault.isReplayed ? "answered before, take a new key to try again" : nil
        let attempts = fault.attempts.flatMap { $0 > 1 ? "\($0) attempts were made" : nil }
        let parts = [cause, attempts, fired(fault), repeated, Advice.remedy(fault)]
            .compactMap { $0 }
        let verdict = fault.fired == .no || fault.fired == nil ? "not opened" : "failed"
        return "\(locker): \(verdict): \(parts.joined(separator: "; "))"
    }

    private static func fired(_ fault: DaemonFault) -> String? {
        switch fault.fired {
        case .no?: "nothing was fired"
        case .yes?: "the lock was fired"
        case .unknown?: "unknown whether the lock fired, look at the door before you try again"
        case nil: nil
        }
    }

    static func list(_ lockers: [LockerName]) -> String {
        lockers.map(\.address).joined(separator: ", ")
    }
}
