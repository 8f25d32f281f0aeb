import ControlWire
import CoreForms
import JSONLines
import LockerCore
import LockerKit
import Logging
import NIOCore
import SiteModel

/// A connection's subscription to events.
struct Subscriber {
    let events: EventSubscription
    /// Types that are wanted; nil means all.
    let types: Set<String>?
    /// Number of the newest event that was dealt with.
    var lastSeq: UInt64
    /// Events that were asked for and are gone, until the peer was told.
    var missed: ClosedRange<UInt64>?
    /// The reply to `subscribe` is written; before it no event may be.
    var isAnnounced = false
}

extension ControlConnection {
    /// Events taken from the subscription in one go.
    private static let portion = 64

    func subscribe(_ call: Call, _ id: [UInt8]?, _ batch: Batch?) {
        do throws(ControlFault) {
            let members = try begin(call)
            batch?.carriesSubscription = true
            var result = channel.allocator.buffer(capacity: 64)
            result.writeBytes(members.encoded)
            reply(id, .success(result), in: batch)
            if batch == nil { announceSubscription() }
        } catch {
            reply(id, .failure(error), in: batch)
        }
    }

    private func begin(_ call: Call) throws(ControlFault) -> JSON {
        let params = try call.parameters("since", "types")
        try call.grant.require(.view, to: "subscribe to events")
        let since = try params.optionalInteger("since", in: 0...Int.max).map(UInt64.init)
        let types = try params.optionalStrings("types")
        for type in types ?? [] where ControlEventType(rawValue: type) == nil {
            let known = ControlEventType.allCases.map(\.rawValue)
            let hint = Nearest.word(to: type, among: known).map { "; did you mean \($0)?" } ?? ""
            throw .invalidParams(
                "types holds \(ControlFault.excerpt(type)), which is no event type\(hint)",
                param: "types")
        }
        guard subscriber == nil else {
            throw ControlFault(
                code: LockerError.Code.conflict.rawValue,
                "this connection is subscribed already; use one connection for each subscription")
        }
        let loop = channel.eventLoop
        let connection = NIOLoopBound(self, eventLoop: loop)
        let events: EventSubscription
        do throws(LockerError) {
            events = try server.core.events.subscribe(
                since: since, limit: server.limits.subscriptionEvents
            ) { loop.execute { connection.value.pumpEvents() } }
        } catch {
            throw ControlFault(error)
        }
        subscriber = Subscriber(
            events: events, types: types.map { Set($0) }, lastSeq: since ?? events.startSeq,
            missed: events.missed)
        return [
            "seq": .int(Int64(events.startSeq)), "bootId": .string(server.core.bootID),
        ]
    }

    func announceSubscription() {
        subscriber?.isAnnounced = true
        pumpEvents()
    }

    /// Writes what there is, for as long as the peer reads it.
    func pumpEvents() {
        guard isOpen, let subscriber, subscriber.isAnnounced, let grant = currentGrant() else {
            return
        }
        if let missed = subscriber.missed {
            self.subscriber?.missed = nil
            self.subscriber?.lastSeq = missed.upperBound
            writeDropped(missed, reason: "only the newest \(EventLog.capacity) events are kept")
        }
        while self.subscriber != nil {
            if out.readableBytes >= server.limits.outboundBytes { flush() }
            guard channel.isWritable else {
                if subscriber.events.isOverflowed { dropSubscriber() }
                return
            }
            let (events, isOverflowed) = subscriber.events.take(max: Self.portion)
            for event in events {
                self.subscriber?.lastSeq = event.seq
                // That something is gone concerns everybody: it may have been of any type.
                if subscriber.types?.contains(event.body.type) ?? true
                    || event.body.type == RecordedEvent.dropped,
                    let shown = grant.visible(event, server.core.snapshot)
                {
                    notify(.event, shown.json)
                }
            }
            if isOverflowed { return dropSubscriber() }
            if events.isEmpty { break }
        }
        flush()
    }

    /// The peer did not read: it is told up to where it missed events, and the connection ends.
    private func dropSubscriber() {
        guard let subscriber else { return }
        let newest = server.core.events.lastSeq
        let limit = server.limits.subscriptionEvents
        server.logger.warning(
            "subscriber dropped: it does not read its events",
            metadata: ["uid": "\(currentGrant()?.peer.uid ?? .max)"])
        writeDropped(
            min(subscriber.lastSeq + 1, newest)...newest,
            reason: "more than \(limit) events waited to be read; the connection ends")
        endInput()
    }

    private func writeDropped(_ range: ClosedRange<UInt64>, reason: String) {
        notify(
            .event,
            [
                "seq": .int(Int64(range.upperBound)),
                "at": .string(server.wallClock().rfc3339),
                "type": .string(ControlEventType.eventsDropped.rawValue),
                "from": .int(Int64(range.lowerBound)), "to": .int(Int64(range.upperBound)),
                "reason": .string(reason),
            ])
    }
}

extension Grant {
    /// The event as this peer may see it; nil where it concerns only what the peer may not.
    func visible(_ event: Event, _ snapshot: Snapshot) -> Event? {
        if seesEverything { return event }
        func sees(_ locker: LockerIdentity?) -> Bool {
            locker.flatMap { snapshot.locker(.address($0.address)) }.map { self.sees($0) } ?? false
        }
        switch event.body {
        case .operationStarted(_, _, let scope), .operationDone(_, _, let scope, _, _):
            if let locker = scope.locker { return sees(locker) ? event : nil }
            let isVisible = scope.controllers.allSatisfy { id in
                snapshot.controller(id).map { self.sees($0) } ?? false
            }
            return isVisible ? event : nil
        case .lockFired(let locker, _, _), .doorOpened(let locker, _), .doorClosed(let locker, _),
            .lockJammed(let locker, _), .serviceChanged(let locker, _), .doorForced(let locker, _),
            .doorHeld(let locker, _, _), .sensorSuspect(let locker, _):
            return sees(locker) ? event : nil
        case .controllerEvent(_, let locker?, _, _):
            return sees(locker) ? event : nil
        case .controllerState(let id, _, _), .controllerEvent(let id, nil, _, _),
            .controllerParcel(let id, _):
            return snapshot.controller(id).map { self.sees($0) } ?? false ? event : nil
        case .healthChanged(let health):
            let shown = snapshot.read { visible(health, $0) }
            return Event(seq: event.seq, at: event.at, body: .healthChanged(shown))
        case .configReloaded, .deviceState:
            return nil
        case .recorded(let recorded):
            if recorded.type == RecordedEvent.dropped { return event }
            if let locker = recorded.locker { return sees(locker) ? event : nil }
            // Without a subject it is about the whole site.
            let isVisible =
                !recorded.controllers.isEmpty
                && recorded.controllers.allSatisfy { id in
                    snapshot.controller(id).map { self.sees($0) } ?? false
                }
            return isVisible ? event : nil
        }
    }
}
