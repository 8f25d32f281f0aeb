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

    /// Takes the item; true where the thread has to be woken.
    mutating func add(_ item: Item, now: Int64, noteDelay: Int64) -> Bool {
        items.append(item)
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

    mutating func takeAll() -> [Item] {
        defer {
            items = []
            isUrgent = false
            firstNote = nil
        }
        return items
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
        // A lost event is a gap in a report; a lost result or entry of the audit is a gap in what is known.
        entries.removeAll { entry in
            guard excess > 0, entry.isEvent else { return false }
            excess -= 1
            return true
        }
        entries.removeFirst(excess)
    }

    /// Everything was written.
    mutating func clear() { self = JournalBacklog(limit: limit) }
}
