package import LockerKit
package import SiteModel

/// Something that happened, numbered without gaps from 1.
package struct Event: Sendable, Equatable {
    package let seq: UInt64
    package let at: WallTime
    package let body: EventBody

    package init(seq: UInt64, at: WallTime, body: EventBody) {
        self.seq = seq
        self.at = at
        self.body = body
    }
}

/// What an operation is about, as short as an event has to be however many lockers there are.
package struct OperationScope: Sendable, Equatable {
    /// The one locker of an `open`.
    package let locker: LockerIdentity?
    /// How many lockers.
    package let total: Int
    /// Controllers of these lockers, each once.
    package let controllers: Set<String>

    /// The scope of an operation about `lockers`.
    package init(_ kind: OperationView.Kind, _ lockers: [LockerIdentity]) {
        locker = kind == .open ? lockers.first : nil
        total = lockers.count
        controllers = Set(lockers.map(\.controller))
    }
}

/// The types of events with what they carry.
package enum EventBody: Sendable, Equatable {
    case operationStarted(operation: String, kind: OperationView.Kind, scope: OperationScope)
    /// For an `open`, `result` is its one result; for an `open-all` it is nil and `summary` counts.
    case operationDone(
        operation: String, kind: OperationView.Kind, scope: OperationScope, result: LockerResult?,
        summary: OpenAllSummary)
    case lockFired(locker: LockerIdentity, operation: String, pulse: Duration)
    /// `late` where an open that had been called jammed opened it after all.
    case doorOpened(locker: LockerIdentity, late: LateDoor? = nil)
    /// `heldFor` where it had been held open: how long it stood open in all.
    case doorClosed(locker: LockerIdentity, heldFor: Duration? = nil)
    /// Opened without a pulse; nil where it has had none since the daemon started.
    case doorForced(locker: LockerIdentity, sinceLastPulse: Duration?)
    /// Still open after `limit`.
    case doorHeld(locker: LockerIdentity, open: Duration, limit: Duration)
    /// Nil where there is nothing to suspect any more.
    case sensorSuspect(locker: LockerIdentity, suspicion: SensorSuspicion?)
    case lockJammed(locker: LockerIdentity, operation: String)
    case serviceChanged(locker: LockerIdentity, service: ServiceState)
    case controllerState(controller: String, state: ControllerState, reason: String?)
    /// An entry of a device's own log. `missed`: how many before it the device had forgotten before anybody asked.
    case controllerEvent(
        controller: String, locker: LockerIdentity?, entry: DeviceLogEntry, missed: Int64)
    /// What a device has sealed for its server; opaque to everybody here.
    case controllerParcel(controller: String, parcel: SealedParcel)
    case healthChanged(Health)
    case configReloaded(ReloadView)
    case deviceState(device: String, state: String)
    /// Of an earlier run, as it was kept.
    case recorded(RecordedEvent)

    /// The type's name on the wire.
    package var type: String {
        switch self {
        case .operationStarted: "operation.started"
        case .operationDone: "operation.done"
        case .lockFired: "lock.fired"
        case .doorOpened: "door.opened"
        case .doorClosed: "door.closed"
        case .lockJammed: "lock.jammed"
        case .serviceChanged: "service.changed"
        case .controllerState: "controller.state"
        case .controllerEvent: "controller.event"
        case .controllerParcel: "controller.parcel"
        case .healthChanged: "health.changed"
        case .configReloaded: "config.reloaded"
        case .deviceState: "device.state"
        case .doorForced: "door.forced"
        case .doorHeld: "door.held"
        case .sensorSuspect: "sensor.suspect"
        case .recorded(let event): event.type
        }
    }
}

/// A door that opened after its open had ended as jammed.
package struct LateDoor: Sendable, Equatable {
    package let operation: String
    /// From the order to the door seen open.
    package let door: Duration

    package init(operation: String, door: Duration) {
        self.operation = operation
        self.door = door
    }
}

/// An event of an earlier run.
package struct RecordedEvent: Sendable, Equatable {
    package let type: String
    /// What it is about, for telling who may see it.
    package let locker: LockerIdentity?
    package let controllers: Set<String>
    /// Its members beyond `seq`, `at` and `type`, as a JSON object.
    package let members: String

    /// Type of the marker that stands for events that are gone.
    package static let dropped = "events.dropped"

    package init(
        type: String, locker: LockerIdentity?, controllers: Set<String>, members: String
    ) {
        self.type = type
        self.locker = locker
        self.controllers = controllers
        self.members = members
    }
}

/// The counts of an `open-all`.
package struct OpenAllSummary: Sendable, Equatable {
    package var opened = 0
    package var failed = 0
    package var skipped = 0
    package var unknown = 0

    package init() {}

    /// Counts by the contract: `opened` takes opened, already-open, opened-late and pulsed; `failed` errors and jammed.
    package init(_ results: [LockerResult]) {
        for result in results {
            switch result.ending {
            case .outcome(.jammed, _, _, _): failed += 1
            case .outcome(.unknown, _, _, _): unknown += 1
            case .outcome: opened += 1
            case .failed: failed += 1
            case .skipped: skipped += 1
            }
        }
    }
}
