import AuditChain
import CoreForms
import JSONLines
import LockerCore
import LockerKit
import SiteModel

/// Entries of the audit as JSON.
enum AuditForms {
    /// The entry with its place in the chain, and its hash.
    static func entry(_ note: AuditNote, number: Int64, previous: String)
        -> (text: String, hash: String)
    {
        var entry = members(of: note, number: number)
        entry["previous"] = .string(previous)
        // What the hash covers is written once: this is what `AuditChain.hash(of:)` arrives at when it reads the entry.
        var bytes = AuditChain.canonical(.object(entry)).encoded
        let hash = AuditChain.digest(bytes)
        bytes.removeLast()
        bytes += #","hash":"\#(hash)"}"#.utf8
        return (String(decoding: bytes, as: UTF8.self), hash)
    }

    private static func members(of note: AuditNote, number: Int64) -> JSONObject {
        let stamp = note.stamp
        var entry: JSONObject = [
            "n": .int(number), "at": .string(stamp.at.rfc3339),
            "monotonicMs": .int(stamp.monotonicMs), "bootId": .string(stamp.bootID),
            "machineBootId": .string(stamp.machineBoot),
            "clockSynchronized": .bool(stamp.isSynchronized),
            "peer": note.peer.map(json) ?? .null, "act": .string(note.act.rawValue),
        ]
        if let operation = note.operation { entry["operation"] = text(operation) }
        if let locker = note.locker { entry["locker"] = locker.json }
        if let lockers = note.lockers { entry["lockers"] = .int(Int64(lockers)) }
        if let key = note.key { entry["key"] = text(key) }
        if let reason = note.reason { entry["reason"] = text(reason) }
        if note.isMaintenance { entry["maintenance"] = true }
        if let result = note.result { add(result, to: &entry) }
        if let service = note.service {
            entry["service"] = [
                "outOfService": .bool(service.outOfService),
                "brokenLock": .bool(service.brokenLock),
                "reasonCode": service.reasonCode.map(text) ?? .null,
                "reason": service.reason.map(text) ?? .null,
            ]
        }
        if let subject = note.subject { entry["subject"] = text(subject) }
        return entry
    }

    private static func add(_ result: LockerResult, to entry: inout JSONObject) {
        if entry["locker"] == nil { entry["locker"] = result.locker.json }
        switch result.ending {
        case .outcome(let outcome, let evidence, let door, let timing):
            entry["outcome"] = .string(outcome.rawValue)
            entry["evidence"] = .string(evidence.rawValue)
            entry["door"] = .string(door.rawValue)
            entry["attempts"] = .int(Int64(result.attempts))
            if let door = timing.door {
                entry["doorMs"] = .int(Int64(door.milliseconds.rounded()))
            }
        case .failed(let error):
            entry["error"] = [
                "code": .string(error.code.rawValue), "message": text(error.message),
                "fired": .string(error.fired.rawValue),
            ]
            entry["attempts"] = .int(Int64(result.attempts))
        case .skipped(let reason): entry["skipped"] = text(reason)
        }
    }

    private static func json(_ peer: Peer) -> JSON {
        [
            "uid": .int(Int64(peer.uid)), "gid": .int(Int64(peer.gid)),
            "pid": .int(Int64(peer.pid)),
            "process": peer.process.map(text) ?? .null,
        ]
    }

    /// Control characters become U+FFFD: programs write them in different ways, and whoever checks the chain has to arrive at
    /// the same bytes.
    private static func text(_ value: String) -> JSON {
        guard value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return .string(value) }
        var clean = String.UnicodeScalarView()
        for scalar in value.unicodeScalars {
            clean.append(scalar.value < 0x20 || scalar.value == 0x7F ? "\u{FFFD}" : scalar)
        }
        return .string(String(clean))
    }
}
