import LockerCore

/// What was handed over and not written yet, in order.
struct JournalInbox {
    typealias Reply = @Sendable (Result<Void, JournalFailure>) -> Void

    enum Item {
        case record([JournalEntry], synced: Bool, Reply)
        case note([JournalEntry], promptly: Bool)
    }

    var items: [Item] = []
    /// Somebody waits, or asked for haste.
    var isUrgent = false
    /// When the first note came that has not been written, in milliseconds.
    var firstNote: Int64?
    /// Until when the thread sleeps if nobody wakes it; 0 while it is awake.
    var sleepsUntil: Int64 = 0
    var closers: [CheckedContinuation<Void, Never>] = []
    var isClosing = false
    /// The thread has ended: what comes now fails.
    var isEnded = false
    /// Entries that gave way, because a disk that does not answer let too many gather.
    private(set) var dropped = 0
    private var count = 0
    /// Those of them that somebody waits for.
    private var recorded = 0

    /// What became of an item.
    enum Outcome: Equatable {
        case taken(mustWake: Bool)
        /// Nothing more is taken that somebody waits for: the disk takes nothing.
        case refused
    }

    /// Takes the item, up to `limit` entries in all. A quarter of them is for what is noted, which always finds room: events give
    /// way first, as in the backlog, then the oldest notes. A record that finds nothing waiting is taken whatever its size.
    mutating func add(_ item: Item, now: Int64, noteDelay: Int64, limit: Int) -> Outcome {
        if case .record = item {
            guard recorded == 0 || recorded + item.weight <= limit - limit / 4 else {
                return .refused
            }
            guard count < limit else { return .refused }
            recorded += item.weight
        }
        count += item.weight
        items.append(item)
        // Down to well below it, so that not every note has to look through all of them.
        if count > limit { makeRoom(max(limit, recorded + limit / 4) - limit / 8) }
        return .taken(mustWake: isToWake(for: item, now: now, noteDelay: noteDelay))
    }

    private mutating func makeRoom(_ limit: Int) {
        var excess = count - limit
        func shrink(_ isChosen: (JournalEntry) -> Bool) {
            items = items.map { item in
                guard excess > 0, case .note(let entries, let promptly) = item else { return item }
                // What says how far events have come goes with the first of them: it would stand for what is kept nowhere.
                let isCounted = entries.contains(where: \.isCursor)
                guard !isCounted else {
                    guard entries.contains(where: isChosen) else { return item }
                    excess -= entries.count
                    return .note([], promptly: promptly)
                }
                let kept = entries.filter { entry in
                    guard excess > 0, isChosen(entry) else { return true }
                    excess -= 1
                    return false
                }
                return .note(kept, promptly: promptly)
            }
        }
        let before = excess
        shrink(\.isEvent)
        shrink { _ in true }
        items.removeAll { if case .note(let entries, _) = $0 { entries.isEmpty } else { false } }
        dropped += before - excess
        count -= before - excess
    }

    private mutating func isToWake(for item: Item, now: Int64, noteDelay: Int64) -> Bool {
        let wasUrgent = isUrgent
        switch item {
        case .record, .note(_, promptly: true):
            isUrgent = true
            return !wasUrgent
        case .note(_, promptly: false):
            guard firstNote == nil else { return false }
            firstNote = now
            // Only where it would oversleep: to wake it costs whoever notes more than everything else.
            return !isUrgent && sleepsUntil > now + noteDelay
        }
    }

    /// Everything that waits, and how many entries gave way since the last time.
    mutating func takeAll() -> (items: [Item], dropped: Int) {
        defer {
            items = []
            count = 0
            recorded = 0
            dropped = 0
            isUrgent = false
            firstNote = nil
        }
        return (items, dropped)
    }
}

extension JournalInbox.Item {
    /// A record of nothing waits, too.
    fileprivate var weight: Int {
        switch self {
        case .record(let entries, _, _): entries.count + 1
        case .note(let entries, _): entries.count
        }
    }
}

/// Notes that wait for a disk that can be written.
struct JournalBacklog {
    private(set) var entries: [JournalEntry] = []
    /// Entries that gave way since the last success.
    private(set) var dropped = 0
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    mutating func add(_ more: [JournalEntry]) {
        entries += more
        var excess = entries.count - limit
        guard excess > 0 else { return }
        dropped += excess
        // What says how far events have come would stand for some that are kept nowhere.
        entries.removeAll { entry in
            guard excess > 0, entry.isCursor else { return false }
            excess -= 1
            return true
        }
        // A lost event is a gap in a report; a lost result or entry of the audit is a gap in what is known.
        entries.removeAll { entry in
            guard excess > 0, entry.isEvent else { return false }
            excess -= 1
            return true
        }
        entries.removeFirst(excess)
    }

    /// Entries gave way before they came here.
    mutating func noteDropped(_ count: Int) { dropped += count }

    /// Everything was written.
    mutating func clear() { self = JournalBacklog(limit: limit) }
}
