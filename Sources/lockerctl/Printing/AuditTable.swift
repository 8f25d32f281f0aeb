import ControlClient

/// Entries of the audit as people read them.
enum AuditTable {
    static func table(_ entries: [AuditEntry]) -> Table {
        var table = Table([
            .init(title: "N", isNumber: true), .init(title: "TIME"), .init(title: "WHO"),
            .init(title: "ACT"), .init(title: "LOCKER"), .init(title: "WHAT"),
        ])
        for entry in entries {
            // A clock that nobody had set yet may be wrong by years.
            let time = entry.isClockSynchronized ? entry.at : "\(entry.at)?"
            table.add([
                Cell(String(entry.number)), Cell(time), Cell(who(entry.peer)), Cell(entry.act),
                Cell(entry.locker?.address ?? ""), Cell(what(entry), tone(entry)),
            ])
        }
        return table
    }

    /// `uid 1000 kiosk[812]`; the daemon itself where there is no peer.
    private static func who(_ peer: AuditPeer?) -> String {
        guard let peer else { return "lockerd" }
        return "uid \(peer.uid) \(peer.process ?? "")[\(peer.pid)]"
    }

    private static func tone(_ entry: AuditEntry) -> Tone {
        if entry.fault != nil { return .bad }
        return entry.outcome == .jammed || entry.outcome == .unknown ? .warning : .plain
    }

    private static func what(_ entry: AuditEntry) -> String {
        let parts = [
            entry.subject, entry.lockers.map { Words.count($0, "locker") }, ending(entry),
            entry.service.map(flags), entry.isMaintenance ? "maintenance" : nil,
            entry.reason.map { "\"\($0)\"" }, entry.key.map { "key \($0)" }, entry.operation,
        ]
        return parts.compactMap { $0 }.joined(separator: ", ")
    }

    private static func ending(_ entry: AuditEntry) -> String? {
        let attempts = entry.attempts.flatMap { $0 > 1 ? "\($0) attempts" : nil }
        if let fault = entry.fault {
            let fired = fault.fired == .no ? nil : "fired \(fault.fired?.rawValue ?? "unknown")"
            let more = [fired, attempts].compactMap { $0 }
            return "\(fault.code ?? "failed"): \(fault.message)"
                + (more.isEmpty ? "" : " (\(more.joined(separator: ", ")))")
        }
        if let outcome = entry.outcome {
            let proof = [entry.evidence, entry.doorMs.map(Words.span), attempts].compactMap { $0 }
            return outcome.rawValue + (proof.isEmpty ? "" : " (\(proof.joined(separator: ", ")))")
        }
        return entry.skipped.map { "skipped: \($0)" }
    }

    private static func flags(_ service: AuditService) -> String {
        let words = StatusView.flags(
            outOfService: service.isOutOfService, reason: service.reason,
            reasonCode: service.reasonCode, brokenLock: service.hasBrokenLock)
        return words.isEmpty ? "in service" : words.joined(separator: ", ")
    }
}
