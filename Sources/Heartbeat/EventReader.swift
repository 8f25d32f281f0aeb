import LockerCore

/// Reads the events of this run of the daemon from their beginning, and says how much it lost where it was too slow.
struct EventReader {
    enum Item {
        case event(Event)
        /// So many events are gone for good.
        case lost(Int)
    }

    private let log: EventLog
    private let limit: Int
    private let wake: @Sendable () -> Void
    private var subscription: EventSubscription?
    private var batch: ArraySlice<Event> = []
    /// Number of the newest event that was read.
    private var lastSeq: UInt64

    /// At most `limit` live events wait to be read; the log itself holds more, so falling behind loses nothing at first.
    init(log: EventLog, limit: Int, wake: @escaping @Sendable () -> Void) {
        self.log = log
        lastSeq = log.seqAtStart
        self.limit = limit
        self.wake = wake
    }

    /// The next item, or nil where there is none now; `wake` is called when there is news that a beat must not wait for, or
    /// much to read.
    mutating func next() -> Item? {
        while true {
            if let event = batch.popFirst() {
                lastSeq = event.seq
                return .event(event)
            }
            guard let subscription else {
                guard let lost = subscribe() else { return nil }
                if lost > 0 { return .lost(lost) }
                continue
            }
            let (events, isOverflowed) = subscription.take(max: limit)
            batch = events[...]
            if isOverflowed { cancel() }
            if events.isEmpty, !isOverflowed { return nil }
        }
    }

    mutating func cancel() {
        subscription?.cancel()
        subscription = nil
    }

    /// Goes on after the last event that was read; the number of events that are gone, or nil where it failed.
    private mutating func subscribe() -> Int? {
        subscription = try? log.subscribe(
            since: lastSeq, limit: limit, urgent: { $0.changesHealth }, wake: wake)
        guard let subscription else { return nil }
        guard let missed = subscription.missed else { return 0 }
        lastSeq = missed.upperBound
        return missed.count
    }
}

extension EventBody {
    /// What monitoring wants to hear at once; everything else can wait for the next beat.
    fileprivate var changesHealth: Bool {
        switch self {
        case .healthChanged, .controllerState: true
        default: false
        }
    }
}
