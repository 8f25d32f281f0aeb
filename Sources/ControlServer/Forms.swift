import ControlWire
import CoreForms
import JSONLines
import LockerCore
import LockerKit
import SiteModel

// How the core's values look on the wire. `docs/protocol.md` and the schemas describe the same.

extension Capabilities {
    var json: JSON {
        var object: JSONObject = [
            "pulseTiming": .string(pulseTiming.rawValue), "evidence": .string(evidence.rawValue),
            "maximumTogether": .int(Int64(maximumTogether)), "polarityKnown": .bool(polarityKnown),
            "doorSensors": .bool(doorSensors),
        ]
        if !actions.isEmpty {
            object["actions"] = .array(actions.map(\.rawValue).sorted().map(JSON.string))
        }
        return .object(object)
    }
}

extension UplinkView {
    func json(at now: ContinuousClock.Instant) -> JSON {
        [
            "name": .string(name), "module": module.map(JSON.string) ?? .null,
            "state": .string(state.rawValue), "since": .string(since.rfc3339),
            "restarts": .int(Int64(restarts)), "reason": reason.map(JSON.string) ?? .null,
            "lastDeliveredMs": lastDelivered.map {
                .int(Int64($0.duration(to: now).wholeMilliseconds))
            } ?? .null,
        ]
    }
}

extension OperationView {
    var json: JSON {
        var members: JSONObject = ["operation": .string(id), "kind": .string(kind.rawValue)]
        switch kind {
        case .open:
            members["locker"] = lockers.first?.json
            members["state"] = .string(state.rawValue)
            if let result = results.first { members.add(result.endingMembers) }
        case .openAll:
            members["state"] = .string(state.rawValue)
            members["total"] = .int(Int64(lockers.count))
            members["results"] = .array(results.map(\.json))
            members["summary"] = OpenAllSummary(results).json
            if let estimate { members["estimateMs"] = .double(estimate.milliseconds) }
        }
        members["replayed"] = .bool(isReplayed)
        members["acceptedAt"] = .string(acceptedAt.rfc3339)
        return .object(members)
    }
}

extension OpenAllEstimate {
    var json: JSON {
        [
            "dryRun": true, "total": .int(Int64(total)), "skipped": .int(Int64(skipped)),
            "estimateMs": .double(duration.milliseconds),
        ]
    }
}

extension CancelView {
    var json: JSON {
        [
            "operation": .string(operation), "state": .string(state.rawValue),
            "fired": .array(fired.map(\.json)), "notFired": .array(notFired.map(\.json)),
        ]
    }
}

extension ReloadView {
    /// The reply to whoever asked, with what is wrong in the files.
    var json: JSON {
        var members = members
        members["problems"] = .array(problems.map(JSON.string))
        return .object(members)
    }
}

extension OpenAllProgress {
    var json: JSON {
        var members: JSONObject = [
            "operation": .string(operation), "done": .int(Int64(done)),
            "total": .int(Int64(total)), "locker": result.locker.json,
        ]
        members.add(result.endingMembers)
        return .object(members)
    }
}

extension ControlFault {
    /// The error in which an accepted open ended: it names the operation, and whether this is an earlier answer repeated.
    init(_ error: LockerError, of operation: OperationView) {
        self.init(error, attempts: operation.results.first?.attempts ?? 1)
        details["operation"] = .string(operation.id)
        details["replayed"] = .bool(operation.isReplayed)
    }

    static func unknownLocker(_ selector: LockerSelector) -> ControlFault {
        let name =
            switch selector {
            case .address(let address): excerpt(address)
            case .id(let id): "with id \(id)"
            }
        return ControlFault(code: LockerError.Code.unknownLocker.rawValue, "no locker \(name)")
    }

    static func unknownController(_ id: String, among known: [String]) -> ControlFault {
        let nearest = Nearest.word(to: id, among: known)
        return ControlFault(
            code: LockerError.Code.unknownController.rawValue,
            "no controller \(excerpt(id))" + (nearest.map { "; did you mean \($0)?" } ?? ""),
            details: nearest.map { ["nearest": .string($0)] } ?? JSONObject())
    }
}

extension LockerSelector {
    init(_ locker: Parameters.Locker) {
        switch locker {
        case .address(let address): self = .address(address)
        case .id(let id): self = .id(id)
        }
    }
}
