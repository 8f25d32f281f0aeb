/// What the daemon and its clients say to each other: JSON-RPC 2.0, one message a line, over a Unix socket.
///
/// `docs/protocol.md` describes the same for people. This room holds names, limits and the forms of requests and faults;
/// it knows no socket, no clock and no locker.
package enum ControlProtocol {
    /// Another major number means that the two do not understand each other.
    package static let major = 1
    /// Grows with every addition.
    package static let minor = 2
    /// Where the daemon listens unless its configuration says otherwise.
    package static let defaultSocket = "/run/lockerd/control.sock"
}

/// Every method of the control socket.
package enum ControlMethod: String, Sendable, CaseIterable {
    case version, status, open
    case openAll = "open-all"
    case operation, cancel, service, controllers, restart, reload, subscribe, audit, heartbeat, act
    case schema

    /// Whether the method moves hardware. Such a request without an id is not carried out, and the log says so.
    package var movesHardware: Bool { self == .open || self == .openAll || self == .act }

    /// Whether the method is about an operation under way, and must get through also when many are.
    package var looksAfterOperations: Bool { self == .cancel || self == .operation }
}

/// Notifications the daemon sends.
package enum ControlNotification: String, Sendable, CaseIterable {
    /// Something happened, to those who subscribed.
    case event
    /// One locker of an `open-all` is dealt with, to whoever called it.
    case progress
}

/// The closed list of event types, as `subscribe` takes them.
package enum ControlEventType: String, Sendable, CaseIterable {
    case operationStarted = "operation.started"
    case operationDone = "operation.done"
    case lockFired = "lock.fired"
    case doorOpened = "door.opened"
    case doorClosed = "door.closed"
    case doorForced = "door.forced"
    case doorHeld = "door.held"
    case lockJammed = "lock.jammed"
    case sensorSuspect = "sensor.suspect"
    case serviceChanged = "service.changed"
    case controllerState = "controller.state"
    case controllerEvent = "controller.event"
    case controllerParcel = "controller.parcel"
    case healthChanged = "health.changed"
    case configReloaded = "config.reloaded"
    case deviceState = "device.state"
    case eventsDropped = "events.dropped"
}

/// Everything a peer can make grow, with its limit.
package struct ControlLimits: Sendable {
    /// Longest request line in bytes, its line feed not counted.
    package var lineBytes = 64 * 1024
    /// File handles that no client gets, because the daemon dies without them: a module that is started takes several, and
    /// libdispatch ends the process when it cannot open a file in `/proc` to look after its threads.
    package var spareHandles = 16
    /// As many more for each module: its three streams, so that all of them can be started anew while clients hold whatever they
    /// may.
    package var handlesPerModule = 3
    /// Elements of one batch.
    package var batchElements = 64
    /// Bytes of replies that the unfinished batches of a connection may collect; elements past it are answered with `BUSY`.
    package var batchReplyBytes = 16 * 1024 * 1024
    /// Requests of one connection whose replies are held back; one more is answered with `BUSY`.
    package var requestsInFlight = 64
    /// As many more where all are used, for `cancel` and `operation` only: what is under way can always be stopped.
    package var spareRequestsInFlight = 16
    /// Bytes of replies waiting to be read by the peer, or in unfinished batches, past which a held reply is answered with
    /// `BUSY` instead, unless it is short.
    package var heldBytes = 8 * 1024 * 1024
    /// Bytes of a held reply that is always let out: how one lock fared is told whoever reads or not.
    package var shortReplyBytes = 4096
    /// Bytes waiting to be read by the peer past which nothing more is read from it or sent to it, one reply that is being
    /// written excepted.
    package var outboundBytes = 256 * 1024
    /// Live events that wait for a subscriber; one more and it is dropped.
    package var subscriptionEvents = 4096
    /// How long a connection that is being closed may take to read what is left for it.
    package var closingGrace: Duration = .seconds(5)
    /// Bytes of an idempotency key.
    package var keyBytes = 128
    /// Bytes of a reason.
    package var reasonBytes = 512
    /// Bytes of a reason code, of an external device's id and of its state.
    package var wordBytes = 64
    /// Longest `deadlineMs` and `waitMs`: one day.
    package var longestMs = 86_400_000

    package init() {}

    package static let standard = ControlLimits()
}
