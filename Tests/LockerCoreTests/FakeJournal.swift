import Dispatch
import LockerKit
import Locks
import SiteModel

@testable import LockerCore

/// A journal that remembers what it is given, in order, and fails or hesitates when a test says so.
final class FakeJournal: CoreJournal {
    struct State {
        var entries: [JournalEntry] = []
        var failure: JournalFailure?
        var isHeld = false
        var held: [@Sendable () -> Void] = []
        /// Of these, what is to be synced: intents, and answers that something is pending.
        var heldSyncs = 0
        var known: Set<String> = []
        var kept: [String: KeptOperation] = [:]
        var reads = 0
        var observer = JournalObserver()
        var isClosed = false
    }

    let contents = Mutex(State())
    private let writer = DispatchQueue(label: "fake journal")
    let legacy: JournalLegacy

    init(_ legacy: JournalLegacy = JournalLegacy(), kept: [KeptOperation] = []) {
        var legacy = legacy
        legacy.hasKeys = legacy.hasKeys || kept.contains { $0.key != nil }
        self.legacy = legacy
        contents.withLock { state in
            for operation in kept {
                state.kept["id \(operation.view.id)"] = operation
                if let key = operation.key { state.kept["key \(key)"] = operation }
            }
        }
    }

    var state: JournalState {
        contents.withLock { $0.failure.map { .broken(reason: $0.description) } ?? .durable }
    }

    func submit(
        _ entries: [JournalEntry], synced: Bool,
        _ done: @escaping @Sendable (Result<Void, JournalFailure>) -> Void
    ) {
        let finish: @Sendable () -> Void = { [self] in
            if let failure = contents.withLock(\.failure) {
                // Whoever listens now hears of events all the same.
                tell(entries)
                return done(.failure(failure))
            }
            keep(entries)
            done(.success(()))
        }
        let isHeld = contents.withLock { state in
            if state.isHeld {
                state.held.append(finish)
                if synced { state.heldSyncs += 1 }
            }
            return state.isHeld
        }
        // Not within a lock of whoever hands it over, and in the order in which it was.
        if !isHeld { writer.async(execute: finish) }
    }

    func note(_ entries: [JournalEntry], promptly: Bool) {
        let isHeld = contents.withLock { state in
            if state.isHeld { state.held.append { [self] in keep(entries) } }
            return state.isHeld
        }
        if !isHeld { writer.async { [self] in keep(entries) } }
    }

    private func keep(_ entries: [JournalEntry]) {
        contents.withLock { state in
            for entry in entries {
                switch entry {
                case .accepted(let operation, _):
                    // Kept once, however often it is said.
                    if state.known.insert(operation.id).inserted { state.entries.append(entry) }
                case .intent(let id, _, _), .result(let id, _), .ended(let id, _):
                    // Of an operation that it does not know it keeps nothing.
                    if state.known.contains(id) { state.entries.append(entry) }
                case .event, .locker, .audit, .cursor: state.entries.append(entry)
                }
            }
        }
        tell(entries)
    }

    private func tell(_ entries: [JournalEntry]) {
        var seq: UInt64?
        for case .event(let event) in entries { seq = event.seq }
        let written = contents.withLock { $0.observer.written }
        if let seq { written(seq) }
    }

    func operation(id: String) async throws(JournalFailure) -> KeptOperation? {
        try read("id \(id)")
    }

    func operation(key: String) async throws(JournalFailure) -> KeptOperation? {
        try read("key \(key)")
    }

    private func read(_ name: String) throws(JournalFailure) -> KeptOperation? {
        let (failure, kept) = contents.withLock { state in
            state.reads += 1
            return (state.failure, state.kept[name])
        }
        if let failure { throw failure }
        return kept
    }

    func audit(_ query: AuditQuery) async throws(JournalFailure) -> AuditPage { AuditPage() }

    func fingerprint(of text: String) -> String { "fingerprint of \(text)" }

    func observe(_ observer: JournalObserver) {
        contents.withLock { $0.observer = observer }
    }

    func close() async { contents.withLock { $0.isClosed = true } }

    // MARK: For tests

    /// From now on nothing is kept before `release`.
    func hold() { contents.withLock { $0.isHeld = true } }

    func release() {
        let held = contents.withLock { state in
            state.isHeld = false
            defer { (state.held, state.heldSyncs) = ([], 0) }
            return state.held
        }
        for finish in held { writer.async(execute: finish) }
    }

    func fail(_ reason: String?) {
        let changed = contents.withLock { state in
            state.failure = reason.map(JournalFailure.init)
            return state.observer.changed
        }
        changed(state)
    }

    /// What was kept, one word each: `accepted`, `intent wall/1`, `result wall/1 opened`, `ended`, `locker wall/1`, `audit open`.
    var story: [String] {
        writer.sync {}
        return contents.withLock { state in
            state.entries.compactMap { entry in
                switch entry {
                case .accepted: "accepted"
                case .intent(_, let locker, _): "intent \(locker.address)"
                case .result(_, let result): "result \(result.locker.address) \(result.word)"
                case .ended(_, let state): "ended \(state)"
                case .event: nil
                case .locker(let locker, _): "locker \(locker.address)"
                case .audit(let note): "audit \(note.act.rawValue)"
                case .cursor(let controller, let through): "cursor \(controller) \(through)"
                }
            }
        }
    }

    func last(_ address: String) -> KeptLocker? {
        writer.sync {}
        return contents.withLock { state in
            var found: KeptLocker?
            for case .locker(let locker, let kept) in state.entries where locker.address == address
            {
                found = kept
            }
            return found
        }
    }
}

extension LockerResult {
    var word: String {
        switch ending {
        case .outcome(let outcome, _, _, _): outcome.rawValue
        case .failed(let error): error.code.rawValue
        case .skipped: "skipped"
        }
    }
}
