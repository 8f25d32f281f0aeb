import CoreForms
import JSONLines
import LockerCore
import LockerKit
import SiteModel

/// A row of `status` as bytes, with a gap for what changes by the passing of time.
struct StatusRow {
    /// The row's version when it was encoded; nil before.
    var version: UInt64?
    private(set) var bytes: [UInt8] = []
    private(set) var gap = 0
    /// For a locker: where its controller stands.
    var controller: Int?

    /// What stands before the gap, then `middle`, then the rest.
    func write(into sink: inout ByteSink, _ middle: (inout ByteSink) -> Void) {
        bytes.withUnsafeBytes { raw in
            sink.put(UnsafeRawBufferPointer(rebasing: raw[..<gap]))
            middle(&sink)
            sink.put(UnsafeRawBufferPointer(rebasing: raw[gap...]))
        }
    }

    // MARK: Lockers

    /// Bytes that ``Door/write(at:into:)`` adds at most.
    static let doorBytes = 96

    mutating func encode(_ view: LockerView, version: UInt64, controller: Int?) {
        self.version = version
        self.controller = controller
        var writer = JSONWriter(reserving: 384)
        writer.beginObject()
        writer.member("id", view.identity.id)
        writer.member("address", view.identity.address)
        writer.member("name", view.name)
        writer.member("controller", view.controller)
        writer.member("bank", view.bank)
        writer.member("type", view.type)
        writer.key("door")
        gap = writer.bytes.count
        var tail = JSONWriter(reserving: 256)
        tail.member("operational", view.isOperational)
        tail.member("outOfService", view.isOutOfService)
        tail.member("brokenLock", view.service.brokenLock)
        tail.member("reasonCode", view.service.reasonCode)
        tail.member("reason", view.service.reason)
        tail.member("lastOpen", view.lastOpen?.json ?? .null)
        tail.member("cycles", view.wear.cycles)
        tail.member("jams", view.wear.jams)
        tail.member("doorTimes", view.wear.doorTimes.json)
        tail.member("suspicion", view.suspicion?.json ?? .null)
        bytes = writer.bytes
        bytes.append(UInt8(ascii: ","))
        bytes.append(contentsOf: tail.bytes)
        bytes.append(UInt8(ascii: "}"))
    }

    /// Adds a member at the end.
    mutating func add(_ name: StaticString, _ value: Bool) {
        bytes.removeLast()
        bytes += Array(",\"\(name)\":\(value)}".utf8)
    }

    /// What of a locker changes by the passing of time alone.
    struct Door {
        let hasSensor: Bool
        let state: DoorState
        let readAt: ContinuousClock.Instant?
        let staleAfter: Duration

        /// The door as it may be shown now, its age and quality.
        func write(at now: ContinuousClock.Instant, into sink: inout ByteSink) {
            guard hasSensor else {
                return sink.put(#""unknown","doorAgeMs":null,"quality":"none""#)
            }
            guard let readAt else {
                return sink.put(#""unknown","doorAgeMs":null,"quality":"stale""#)
            }
            let age = max(.zero, readAt.duration(to: now))
            if age <= staleAfter {
                sink.put(state.quoted)
                sink.put(#","doorAgeMs":"#)
                sink.put(decimal: age.wholeMilliseconds)
                sink.put(#","quality":"good""#)
            } else {
                sink.put(#""unknown","doorAgeMs":"#)
                sink.put(decimal: age.wholeMilliseconds)
                sink.put(#","quality":"stale","lastDoor":"#)
                sink.put(state.quoted)
            }
        }
    }

    // MARK: Controllers

    /// Bytes that ``writeLastGood(_:at:into:)`` adds at most.
    static let lastGoodBytes = ByteSink.decimalBytes

    mutating func encode(_ view: ControllerView, version: UInt64) {
        self.version = version
        var writer = JSONWriter(reserving: 384)
        writer.beginObject()
        writer.member("id", view.id)
        writer.member("driver", view.driver)
        writer.member("link", view.link)
        writer.member("bank", view.bank)
        writer.member("state", view.state.rawValue)
        writer.member("since", view.since.rfc3339)
        writer.key("lastGoodMs")
        gap = writer.bytes.count
        var tail = JSONWriter(reserving: 256)
        tail.member("restarts", view.restarts)
        tail.member("reason", view.reason)
        tail.member("lockers", view.lockers)
        tail.member("capabilities", view.capabilities?.json ?? .null)
        bytes = writer.bytes
        bytes.append(UInt8(ascii: ","))
        bytes.append(contentsOf: tail.bytes)
        bytes.append(UInt8(ascii: "}"))
    }

    static func writeLastGood(
        _ lastGood: ContinuousClock.Instant?, at now: ContinuousClock.Instant,
        into sink: inout ByteSink
    ) {
        guard let lastGood else { return sink.put("null") }
        sink.put(decimal: lastGood.duration(to: now).wholeMilliseconds)
    }
}

extension StatusRow.Door {
    init(_ view: borrowing LockerView) {
        self.init(
            hasSensor: view.hasSensor, state: view.door, readAt: view.readAt,
            staleAfter: view.staleAfter)
    }
}

extension DoorState {
    fileprivate var quoted: StaticString {
        switch self {
        case .open: "\"open\""
        case .closed: "\"closed\""
        case .unknown: "\"unknown\""
        }
    }
}
