package import LockerKit
import Locks
package import SiteModel

/// The site's events, with numbers that have no gaps, also from one start of the daemon to the next.
///
/// With a journal an event is kept before anybody hears of it: a number that was told stands for the same event for ever. Only while
/// a disk does not answer are events told unkept, once more of them wait than are held here.
package final class EventLog: Sendable {
    /// How many events are held for subscribers who come late, in memory and in the journal.
    package static let capacity = 10_000

    fileprivate struct State {
        /// Number of the newest event that was told.
        var lastSeq: UInt64 = 0
        /// Events that wait to be kept, in order.
        var unkept: [Event] = []
        /// Those told, oldest first, from `start` on.
        var told: [Event] = []
        var start = 0
        var subscriptions: [ObjectIdentifier: EventSubscription] = [:]

        var nextSeq: UInt64 { (unkept.last?.seq ?? lastSeq) + 1 }
        var oldestSeq: UInt64 { start < told.count ? told[start].seq : lastSeq + 1 }

        /// Puts it in line for being kept. Where a disk that does not answer has let too many gather, the oldest is told all the
        /// same, as with one that cannot be written; returns whom to wake for it.
        mutating func enqueue(_ event: Event) -> [EventSubscription] {
            unkept.append(event)
            guard unkept.count > EventLog.capacity else { return [] }
            return tell(unkept.removeFirst())
        }

        mutating func tell(_ event: Event) -> [EventSubscription] {
            lastSeq = event.seq
            told.append(event)
            if told.count - start > EventLog.capacity { start += 1 }
            if start > EventLog.capacity {
                told.removeFirst(start)
                start = 0
            }
            return subscriptions.values.filter { $0.push(event) }
        }

        func events(after since: UInt64) -> ArraySlice<Event> {
            var (low, high) = (start, told.count)
            while low < high {
                let middle = (low + high) / 2
                if told[middle].seq <= since { low = middle + 1 } else { high = middle }
            }
            return told[low...]
        }
    }

    /// Number of the newest event of earlier runs.
    package let seqAtStart: UInt64
    private let state: Mutex<State>
    private let wallClock: @Sendable () -> WallTime
    private let journal: (any CoreJournal)?

    package init(
        wallClock: @escaping @Sendable () -> WallTime, journal: (any CoreJournal)? = nil
    ) {
        self.wallClock = wallClock
        self.journal = journal
        var state = State()
        if let legacy = journal?.legacy {
            for event in legacy.events.suffix(Self.capacity) where event.seq > state.lastSeq {
                state.fill(upTo: event.seq - 1, at: event.at)
                _ = state.tell(event)
            }
            state.fill(upTo: legacy.lastSeq, at: wallClock())
        }
        seqAtStart = state.lastSeq
        self.state = Mutex(state)
    }

    /// Number of the newest event; 0 before the first.
    package var lastSeq: UInt64 { state.withLock { $0.lastSeq } }

    /// Numbers the event, and hands it to every subscriber once it is kept.
    func append(_ body: EventBody) {
        append([body], noting: [], promptly: body.isAwaited)
    }

    /// Numbers the events one after the other, and keeps them in one with `entries`: all of it or nothing.
    func append(_ bodies: [EventBody], noting entries: [JournalEntry], promptly: Bool = true) {
        let woken: [EventSubscription] = state.withLock { state in
            let (first, at) = (state.nextSeq, wallClock())
            let events = bodies.enumerated().map { place, body in
                Event(seq: first + UInt64(place), at: at, body: body)
            }
            guard let journal else { return events.flatMap { state.tell($0) } }
            // Under the lock, so that the journal gets them by rising numbers; it only puts them into its queue.
            journal.note(events.map(JournalEntry.event) + entries, promptly: promptly)
            return events.flatMap { state.enqueue($0) }
        }
        for subscription in woken { subscription.wake() }
    }

    /// As ``append(_:)``, in one transaction with `entries`, which are what the event tells of. Returns the event for whoever has
    /// to keep it in another way should `done` bring a failure.
    func append(
        _ body: EventBody, with entries: [JournalEntry], to journal: any CoreJournal,
        synced: Bool, _ done: @escaping @Sendable (Result<Void, JournalFailure>) -> Void
    ) -> JournalEntry {
        let (event, woken) = state.withLock { state in
            let event = Event(seq: state.nextSeq, at: wallClock(), body: body)
            journal.submit(entries + [.event(event)], synced: synced, done)
            return (event, state.enqueue(event))
        }
        for subscription in woken { subscription.wake() }
        return .event(event)
    }

    /// The journal has these; now they are told.
    func noteKept(upTo seq: UInt64) {
        let woken: [EventSubscription] = state.withLock { state in
            let count = state.unkept.prefix { $0.seq <= seq }.count
            guard count > 0 else { return [] }
            let kept = state.unkept[..<count]
            state.unkept.removeFirst(count)
            return kept.flatMap { state.tell($0) }
        }
        for subscription in woken { subscription.wake() }
    }

    /// Begins with the events after `since` that are still held and goes on with live ones; nil means live ones only.
    ///
    /// At most `limit` live events wait to be taken. `wake` is called from any thread, and must not block, when there is
    /// something to take; with `urgent` only for events it chooses and when half of the room is taken. Throws where `since` lies
    /// in the future.
    package func subscribe(
        since: UInt64?, limit: Int, urgent: (@Sendable (EventBody) -> Bool)? = nil,
        wake: @escaping @Sendable () -> Void
    ) throws(LockerError) -> EventSubscription {
        let result: Result<EventSubscription, LockerError> = state.withLock { state in
            let since = since ?? state.lastSeq
            guard since <= state.lastSeq else {
                return .failure(
                    LockerError(
                        .invalidRequest, "since is \(since); the newest event is \(state.lastSeq)"))
            }
            let oldest = state.oldestSeq
            let subscription = EventSubscription(
                startSeq: state.lastSeq, missed: since + 1 < oldest ? since + 1...oldest - 1 : nil,
                backlog: Array(state.events(after: since)), limit: limit, urgent: urgent, wake: wake
            ) { [weak self] id in
                self?.state.withLock { _ = $0.subscriptions.removeValue(forKey: id) }
            }
            state.subscriptions[ObjectIdentifier(subscription)] = subscription
            return .success(subscription)
        }
        return try result.get()
    }
}

extension EventLog.State {
    /// Says of numbers that stand for nothing that they do: a power cut may have taken what they stood for.
    fileprivate mutating func fill(upTo seq: UInt64, at time: WallTime) {
        guard !told.isEmpty || start > 0 || lastSeq > 0 else {
            lastSeq = max(lastSeq, seq)
            return
        }
        guard seq > lastSeq else { return }
        let members =
            "{\"from\":\(lastSeq + 1),\"to\":\(seq),\"reason\":\"the power failed before they were kept\"}"
        let marker = RecordedEvent(
            type: RecordedEvent.dropped, locker: nil, controllers: [], members: members)
        _ = tell(Event(seq: seq, at: time, body: .recorded(marker)))
    }
}

extension EventBody {
    /// Whether somebody may be waiting for it with nothing else on its way to the journal. What belongs to an open is followed
    /// by the open's own entries within the same moment.
    fileprivate var isAwaited: Bool {
        switch self {
        case .operationStarted, .lockFired, .lockJammed, .operationDone: false
        default: true
        }
    }
}

/// One reader of the events. Take what there is whenever `wake` was called.
package final class EventSubscription: Sendable {
    private struct State {
        var events: [Event]
        var isOverflowed = false
        var isCancelled = false
    }

    /// Number of the newest event at the moment of subscribing.
    package let startSeq: UInt64
    /// Events that were asked for and are gone.
    package let missed: ClosedRange<UInt64>?

    private let limit: Int
    private let state: Mutex<State>
    private let urgent: (@Sendable (EventBody) -> Bool)?
    private let onWake: @Sendable () -> Void
    private let onCancel: @Sendable (ObjectIdentifier) -> Void

    fileprivate init(
        startSeq: UInt64, missed: ClosedRange<UInt64>?, backlog: [Event], limit: Int,
        urgent: (@Sendable (EventBody) -> Bool)?, wake: @escaping @Sendable () -> Void,
        cancel: @escaping @Sendable (ObjectIdentifier) -> Void
    ) {
        self.startSeq = startSeq
        self.missed = missed
        // The backlog is there at once and does not count: a subscriber cannot be too slow before its first read.
        self.limit = limit + backlog.count
        state = Mutex(State(events: backlog))
        self.urgent = urgent
        onWake = wake
        onCancel = cancel
    }

    /// Up to `max` events in order. Overflowed means that the reader was too slow: events were lost and none follow.
    package func take(max: Int) -> (events: [Event], isOverflowed: Bool) {
        state.withLock { state in
            let taken = Array(state.events.prefix(max))
            state.events.removeFirst(taken.count)
            return (taken, state.isOverflowed && state.events.isEmpty)
        }
    }

    /// Whether the reader was too slow, also while there is still something to take.
    package var isOverflowed: Bool { state.withLock { $0.isOverflowed } }

    /// No event comes any more.
    package func cancel() {
        state.withLock { state in
            state.isCancelled = true
            state.events = []
        }
        onCancel(ObjectIdentifier(self))
    }

    /// True when the reader has to be woken.
    fileprivate func push(_ event: Event) -> Bool {
        state.withLock { state in
            guard !state.isCancelled, !state.isOverflowed else { return false }
            if state.events.count >= limit {
                state.isOverflowed = true
                return true
            }
            state.events.append(event)
            guard let urgent else { return state.events.count == 1 }
            return urgent(event.body) || state.events.count == limit / 2
        }
    }

    fileprivate func wake() { onWake() }
}
