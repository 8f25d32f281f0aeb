package import ControlWire
package import JSONLines
package import LockerCore
package import LockerKit
import SiteModel

// How results look as JSON, one way and back. Clients see them so, and the journal keeps them so: what was told and what was
// kept cannot differ.

extension Duration {
    /// Milliseconds to a hundredth, as timings are shown.
    package var milliseconds: Double {
        let (seconds, attoseconds) = components
        let value = Double(seconds) * 1000 + Double(attoseconds) / 1e15
        return (value * 100).rounded() / 100
    }
}

extension LockerIdentity {
    package var json: JSON { ["id": .int(Int64(id)), "address": .string(address)] }

    package init?(json: JSON?) {
        guard let id = json?["id"]?.intValue, let address = json?["address"]?.stringValue else {
            return nil
        }
        self.init(id: id, address: address)
    }
}

extension ServiceState {
    package var members: JSONObject {
        [
            "outOfService": .bool(outOfService), "brokenLock": .bool(brokenLock),
            "reasonCode": reasonCode.map(JSON.string) ?? .null,
            "reason": reason.map(JSON.string) ?? .null,
        ]
    }

    package init(json: JSON) {
        self.init()
        outOfService = json["outOfService"]?.boolValue ?? false
        brokenLock = json["brokenLock"]?.boolValue ?? false
        reasonCode = json["reasonCode"]?.stringValue
        reason = json["reason"]?.stringValue
    }
}

extension OpenTiming {
    package var json: JSON {
        [
            "queueMs": .double(queue.milliseconds), "busMs": .double(bus.milliseconds),
            "pulseMs": .double(pulse.milliseconds),
            "doorMs": door.map { .double($0.milliseconds) } ?? .null,
        ]
    }

    package init(json: JSON?) {
        self.init()
        queue = Duration(json?["queueMs"]) ?? .zero
        bus = Duration(json?["busMs"]) ?? .zero
        pulse = Duration(json?["pulseMs"]) ?? .zero
        door = Duration(json?["doorMs"])
    }
}

extension Duration {
    fileprivate init?(_ milliseconds: JSON?) {
        guard let value = milliseconds?.doubleValue, value.isFinite, abs(value) < 1e15 else {
            return nil
        }
        self = .microseconds((value * 1000).rounded())
    }
}

extension LockerResult {
    /// The members that say how it ended; the locker apart.
    package var endingMembers: JSONObject {
        switch ending {
        case .outcome(let outcome, let evidence, let door, let timing):
            [
                "outcome": .string(outcome.rawValue), "evidence": .string(evidence.rawValue),
                "door": .string(door.rawValue), "attempts": .int(Int64(attempts)),
                "timing": timing.json,
            ]
        case .failed(let error):
            ["error": ControlFault(error, attempts: attempts).json]
        case .skipped(let reason): ["outcome": "skipped", "reason": .string(reason)]
        }
    }

    package var json: JSON {
        var members: JSONObject = ["locker": locker.json]
        members.add(endingMembers)
        return .object(members)
    }

    /// The result that ``json`` was made of; nil where it is none.
    package init?(json: JSON) {
        guard let locker = LockerIdentity(json: json["locker"]) else { return nil }
        if let error = json["error"] {
            guard let error = LockerError(json: error) else { return nil }
            self.init(
                locker: locker, ending: .failed(error),
                attempts: json["error"]?["data"]?["details"]?["attempts"]?.intValue ?? 1)
            return
        }
        guard let word = json["outcome"]?.stringValue else { return nil }
        if word == "skipped" {
            self.init(locker: locker, ending: .skipped(reason: json["reason"]?.stringValue ?? ""))
            return
        }
        guard let outcome = Outcome(rawValue: word),
            let evidence = json["evidence"]?.stringValue.flatMap(Evidence.init),
            let door = json["door"]?.stringValue.flatMap(DoorState.init)
        else { return nil }
        self.init(
            locker: locker,
            ending: .outcome(
                outcome, evidence: evidence, door: door, timing: OpenTiming(json: json["timing"])),
            attempts: json["attempts"]?.intValue ?? 1)
    }
}

extension LockerError {
    /// The error of which ``ControlWire/ControlFault/json`` was made, as far as that tells it.
    package init?(json: JSON) {
        guard let code = json["data"]?["code"]?.stringValue.flatMap(Code.init),
            let message = json["message"]?.stringValue
        else { return nil }
        self.init(
            code, message,
            fired: json["data"]?["fired"]?.stringValue.flatMap(Fired.init) ?? .unknown,
            sent: .maybe, retryAfter: Duration(json["data"]?["details"]?["retryAfterMs"]))
    }

    /// Whether the same request may succeed later, and cannot fire twice by being repeated.
    package var isRetryable: Bool {
        switch code {
        case .busy, .dutyLimit, .linkDown, .timedOut, .stopping: fired == .no
        default: false
        }
    }
}

extension ControlFault {
    /// The fault as clients see it. More than one attempt is told, and when another one may succeed.
    package init(_ error: LockerError, attempts: Int = 1) {
        var details = JSONObject()
        if let retryAfter = error.retryAfter {
            details["retryAfterMs"] = .int(Int64((retryAfter / .milliseconds(1)).rounded(.up)))
        }
        if attempts > 1 { details["attempts"] = .int(Int64(attempts)) }
        self.init(
            code: error.code.rawValue, error.message, fired: error.fired.rawValue,
            isRetryable: error.isRetryable, details: details)
    }
}

extension OpenAllSummary {
    package var json: JSON {
        [
            "opened": .int(Int64(opened)), "failed": .int(Int64(failed)),
            "skipped": .int(Int64(skipped)), "unknown": .int(Int64(unknown)),
        ]
    }
}

extension LastOpen {
    package var json: JSON {
        [
            "operation": .string(operation), "at": .string(at.rfc3339),
            "outcome": outcome.map { .string($0.rawValue) } ?? .null,
        ]
    }
}

extension Health {
    package var causesJSON: JSON {
        .array(
            causes.map {
                [
                    "code": .string($0.code), "subject": .string($0.subject),
                    "message": .string($0.message),
                ]
            })
    }
}

extension ReloadView {
    /// As the event has it.
    package var members: JSONObject {
        [
            "added": .array(added.map(JSON.string)), "removed": .array(removed.map(JSON.string)),
            "changed": .array(changed.map(JSON.string)),
            "unchanged": .array(unchanged.map(JSON.string)),
            "faulted": .array(faulted.map(JSON.string)),
        ]
    }
}

extension DoorTimes {
    /// Null before the first door.
    package var json: JSON {
        guard let mean = meanMs, let p95 = p95Ms else { return .null }
        return [
            "count": .int(Int64(count)), "meanMs": .double((mean * 100).rounded() / 100),
            "p95Ms": .double((p95 * 100).rounded() / 100),
        ]
    }
}

extension SensorSuspicion {
    package var json: JSON {
        [
            "kind": .string(kind.rawValue), "since": .string(since.rfc3339),
            "message": .string(message),
        ]
    }
}

extension JSONObject {
    package mutating func add(_ others: JSONObject) {
        self = JSONObject(members + others.members)
    }
}
