package import JSONLines
package import LockerCore
import LockerKit
import SiteModel

extension Event {
    package var json: JSON {
        var members: JSONObject = [
            "seq": .int(Int64(seq)), "at": .string(at.rfc3339), "type": .string(body.type),
        ]
        members.add(body.members)
        return .object(members)
    }
}

extension EventBody {
    /// Everything but number, time and type.
    package var members: JSONObject {
        switch self {
        case .operationStarted(let operation, let kind, let scope):
            [
                "operation": .string(operation), "kind": .string(kind.rawValue),
                kind == .open ? "locker" : "total": scope.locker?.json ?? .int(Int64(scope.total)),
            ]
        case .operationDone(let operation, let kind, _, let result, let summary):
            Self.done(operation, kind, result, summary)
        case .lockFired(let locker, let operation, let pulse):
            [
                "locker": locker.json, "operation": .string(operation),
                "pulseMs": .double(pulse.milliseconds),
            ]
        case .lockJammed(let locker, let operation):
            ["locker": locker.json, "operation": .string(operation)]
        case .doorOpened, .doorClosed, .doorForced, .doorHeld, .sensorSuspect: doorMembers
        case .serviceChanged(let locker, let service):
            JSONObject([.init(key: "locker", value: locker.json)] + service.members.members)
        case .controllerState(let controller, let state, let reason):
            [
                "controller": .string(controller), "state": .string(state.rawValue),
                "reason": reason.map(JSON.string) ?? .null,
            ]
        case .controllerEvent(let controller, let locker, let entry, let missed):
            Self.members(of: entry, controller, locker, missed: missed)
        case .controllerParcel(let controller, let parcel):
            [
                "controller": .string(controller),
                "first": parcel.entries.map { .int($0.lowerBound) } ?? .null,
                "last": parcel.entries.map { .int($0.upperBound) } ?? .null,
                "payload": .string(parcel.payload), "payloadAuth": .string(parcel.payloadAuth),
            ]
        case .healthChanged(let health):
            ["health": .string(health.level.rawValue), "causes": health.causesJSON]
        case .configReloaded(let view): view.members
        case .deviceState(let device, let state):
            ["deviceId": .string(device), "state": .string(state)]
        case .recorded(let event):
            (try? JSONReader.parse(event.members))?.objectValue ?? JSONObject()
        }
    }

    private static func members(
        of entry: DeviceLogEntry, _ controller: String, _ locker: LockerIdentity?, missed: Int64
    ) -> JSONObject {
        let figures = entry.figures.sorted { $0.key < $1.key }
        var members: JSONObject = ["controller": .string(controller)]
        members["locker"] = locker?.json
        members.add([
            "number": .int(entry.number), "kind": .string(entry.kind),
            "deviceAt": .string(WallTime(milliseconds: entry.at * 1000).rfc3339),
            "missed": .int(missed),
            "figures": .object(
                JSONObject(figures.map { .init(key: $0.key, value: .int($0.value)) })),
        ])
        return members
    }

    private var doorMembers: JSONObject {
        switch self {
        case .doorOpened(let locker, let late?):
            [
                "locker": locker.json, "operation": .string(late.operation), "late": true,
                "outcome": .string(Outcome.openedLate.rawValue),
                "doorMs": .double(late.door.milliseconds),
            ]
        case .doorClosed(let locker, let heldFor?):
            ["locker": locker.json, "openMs": .double(heldFor.milliseconds)]
        case .doorOpened(let locker, nil), .doorClosed(let locker, nil): ["locker": locker.json]
        case .doorForced(let locker, let since):
            [
                "locker": locker.json,
                "sinceLastPulseMs": since.map { .double($0.milliseconds) } ?? .null,
            ]
        case .doorHeld(let locker, let open, let limit):
            [
                "locker": locker.json, "openMs": .double(open.milliseconds),
                "limitMs": .double(limit.milliseconds),
            ]
        case .sensorSuspect(let locker, let suspicion):
            ["locker": locker.json, "suspicion": suspicion?.json ?? .null]
        default: JSONObject()
        }
    }

    private static func done(
        _ operation: String, _ kind: OperationView.Kind, _ result: LockerResult?,
        _ summary: OpenAllSummary
    ) -> JSONObject {
        var members: JSONObject = [
            "operation": .string(operation), "kind": .string(kind.rawValue),
        ]
        if let result {
            members["locker"] = result.locker.json
            members.add(result.endingMembers)
        } else {
            members["summary"] = summary.json
        }
        return members
    }
}

extension RecordedEvent {
    /// The event as it is kept for later runs.
    package init(_ body: EventBody) {
        let scope = body.scope
        self.init(
            type: body.type, locker: scope.locker, controllers: scope.controllers,
            members: JSON.object(body.members).text)
    }
}

extension EventBody {
    /// What it is about.
    fileprivate var scope: (locker: LockerIdentity?, controllers: Set<String>) {
        switch self {
        case .operationStarted(_, _, let scope), .operationDone(_, _, let scope, _, _):
            (scope.locker, scope.controllers)
        case .lockFired(let locker, _, _), .doorOpened(let locker, _), .doorClosed(let locker, _),
            .lockJammed(let locker, _), .serviceChanged(let locker, _), .doorForced(let locker, _),
            .doorHeld(let locker, _, _), .sensorSuspect(let locker, _):
            (locker, [locker.controller])
        case .controllerState(let id, _, _), .controllerParcel(let id, _): (nil, [id])
        case .controllerEvent(let id, let locker, _, _): (locker, [id])
        case .recorded(let event): (event.locker, event.controllers)
        case .healthChanged, .configReloaded, .deviceState: (nil, [])
        }
    }
}
