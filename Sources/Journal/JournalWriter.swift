import CPosixShim
import Dispatch
import Glibc
import LockerCore
import Locks
import Logging
import SiteModel

/// The one thread that writes.
// Sendable because what is not behind a lock is touched by `start`, before the thread begins, and by the thread alone.
final class JournalWriter: @unchecked Sendable {
    private struct Shared {
        var state = JournalState.memory
        var clock: AgeClock?
        var observer = JournalObserver()
        var isObserved = false
    }

    private let setting: JournalSetting
    private let directory: String?
    private let vfs: String?
    private let readers: [JournalReader]
    private let inbox = Mutex(JournalInbox())
    private let wake = DispatchSemaphore(value: 0)
    private let shared = Mutex(Shared())

    // The thread's own.
    private let folder = FolderHolder()
    private var store: JournalStore?
    private var backlog: JournalBacklog
    /// Why nothing can be written until somebody has mended it.
    private var permanent: StoreFailure?
    /// Damage that a check beside the thread has found.
    private let damage = Mutex<StoreFailure?>(nil)
    private var lastWritten: UInt64 = 0
    /// When what was committed has to be synced, and when to try again after a failure; in milliseconds.
    private var syncAt: Int64?
    private var retryAt: Int64?
    private var idleAt: Int64?
    private var lastWork = Int64.min / 2

    init(_ directory: String?, _ setting: JournalSetting, vfs: String?, readers: [JournalReader]) {
        self.directory = directory
        self.setting = setting
        self.vfs = vfs
        self.readers = readers
        backlog = JournalBacklog(limit: setting.limits.backlog)
    }

    // MARK: From any thread

    var state: JournalState { shared.withLock { $0.state } }

    /// Age before which an operation has been kept for long enough.
    var oldestAge: Int64 {
        guard let clock = shared.withLock({ $0.clock }) else { return .min }
        return clock.read().age - setting.limits.operationAgeMs
    }

    func observe(_ observer: JournalObserver) {
        shared.withLock { shared in
            shared.observer = observer
            shared.isObserved = true
        }
    }

    /// False where it came too late.
    @discardableResult
    func add(_ item: JournalInbox.Item) -> Bool {
        let outcome = inbox.withLock { inbox -> JournalInbox.Outcome? in
            if inbox.isEnded || inbox.isClosing { return nil }
            return inbox.add(
                item, now: now(), noteDelay: setting.limits.noteDelayMs,
                limit: setting.limits.waiting)
        }
        if outcome == .taken(mustWake: true) { wake.signal() }
        if case .record(_, _, let reply) = item {
            switch outcome {
            case .taken: break
            case .refused: reply(.failure(JournalFailure("the disk does not answer")))
            case nil: reply(.failure(JournalFailure("the journal is closed")))
            }
        }
        return outcome != nil
    }

    func close(_ closer: CheckedContinuation<Void, Never>) {
        let isEnded = inbox.withLock { inbox in
            if !inbox.isEnded {
                inbox.isClosing = true
                inbox.closers.append(closer)
            }
            return inbox.isEnded
        }
        if isEnded { closer.resume() } else { wake.signal() }
    }

    // MARK: Beginning

    /// Opens the file and starts the thread. Throws only where the folder is another daemon's.
    func start() throws(StoreFailure) -> JournalLegacy {
        var legacy = JournalLegacy()
        do { legacy = try open(isLate: false) } catch {
            if error.isTaken { throw error }
            fail(error)
            legacy.hasKeys = true
            legacy.lastSeq = Self.unusedSeq(setting.wallClock())
            lastWritten = legacy.lastSeq
        }
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let problem = pthread_create(
            &thread, nil,
            { context in
                if let context {
                    Unmanaged<JournalWriter>.fromOpaque(context).takeRetainedValue().work()
                }
                return nil
            }, context.toOpaque())
        guard problem == 0 else {
            context.release()
            inbox.withLock { $0.isEnded = true }
            fail(StoreFailure("the journal", "has no thread", problem))
            return legacy
        }
        pthread_detach(thread)
        return legacy
    }

    /// A number that no event of any run before has reached: the time in milliseconds, and more than a site counts in a
    /// thousand years where the clock was never set.
    private static func unusedSeq(_ now: WallTime) -> UInt64 {
        UInt64(max(now.milliseconds, 1_000_000_000_000))
    }

    private func open(isLate: Bool) throws(StoreFailure) -> JournalLegacy {
        var file: String?
        if let directory { file = try folder.prepare(directory) }
        let opened = try JournalOpening(setting: setting, file: file, vfs: vfs).open(isLate: isLate)
        store = opened.store
        for reader in readers { reader.attach(opened.store, vfs: vfs) }
        shared.withLock {
            $0.clock = opened.store.clock
            // One that comes late is durable only when the first commit was.
            if !isLate { $0.state = directory == nil ? .memory : .durable }
        }
        if !isLate { lastWritten = opened.legacy.lastSeq }
        if opened.needsCheck { checkBeside(opened.store) }
        return opened.legacy
    }

    /// Looks for damage while the file is in use already: it is too large to keep everybody waiting.
    private func checkBeside(_ store: JournalStore) {
        guard let reader = readers.last, let file = store.file else { return }
        Task { [weak self] in
            let found: StoreFailure? = try? await reader.read { db in
                do { try JournalOpening.check(db, file: file) } catch {
                    return error as? StoreFailure ?? StoreFailure(file, error)
                }
                return nil
            }
            guard let self, let found, found.isPermanent else { return }
            damage.withLock { $0 = found }
            inbox.withLock { $0.isUrgent = true }
            wake.signal()
        }
    }

    // MARK: The thread

    private func work() {
        lkd_name_thread("journal")
        store?.reserveLog()
        while true {
            let (items, dropped, isClosing) = waitForWork()
            backlog.noteDropped(dropped)
            if let found = damage.withLock({ $0 }), permanent == nil { fail(found) }
            let isLastChance = isClosing && !backlog.entries.isEmpty
            if !items.isEmpty || isDue(retryAt) || isLastChance { write(items) }
            if isDue(syncAt) { flush() }
            keepHouse()
            if isClosing { break }
        }
        finish()
    }

    private func isDue(_ instant: Int64?) -> Bool { instant.map { $0 <= now() } ?? false }

    /// Sleeps until there is something to do, and takes what was handed over if it is its turn.
    ///
    /// For a moment after work it looks by itself, so that those who note something need not wake it.
    private func waitForWork() -> (items: [JournalInbox.Item], dropped: Int, isClosing: Bool) {
        while true {
            let instant = now()
            var sleepUntil = Int64.max
            var deadline = min(syncAt ?? .max, retryAt ?? .max, idleAt ?? .max)
            let taken = inbox.withLock { inbox -> ([JournalInbox.Item], Int, Bool)? in
                let noteDue = inbox.firstNote.map { $0 + setting.limits.noteDelayMs } ?? .max
                if inbox.isUrgent || inbox.isClosing || noteDue <= instant {
                    inbox.sleepsUntil = 0
                    let (items, dropped) = inbox.takeAll()
                    return (items, dropped, inbox.isClosing)
                }
                deadline = min(deadline, noteDue)
                sleepUntil = deadline
                if instant - lastWork < setting.limits.syncDelayMs {
                    sleepUntil = min(sleepUntil, instant + setting.limits.noteDelayMs)
                }
                inbox.sleepsUntil = deadline <= instant ? 0 : sleepUntil
                return nil
            }
            if let taken { return taken }
            if deadline <= instant { return ([], 0, false) }
            if sleepUntil == .max {
                wake.wait()
            } else {
                _ = wake.wait(timeout: .now() + .milliseconds(Int(sleepUntil - instant)))
            }
        }
    }

    /// Writes the backlog and `items` together, and answers whoever waits.
    private func write(_ items: [JournalInbox.Item]) {
        if !items.isEmpty { lastWork = now() }
        let want = permanent == nil ? store?.wantOfRoom() : nil
        var entries = backlog.entries
        var refused: [JournalEntry] = []
        // With nothing to write, it is to be seen whether the disk can be written again.
        var isSynced = items.isEmpty
        for item in items {
            switch item {
            case .record(let more, _, _) where want != nil: refused += more
            case .record(let more, let synced, _):
                entries += more
                isSynced = isSynced || synced
            case .note(let more, _): entries += more
            }
        }
        if let want, entries.isEmpty {
            // What little room there is stays for what happens.
            fail(want)
            answer(items, .failure(want.forCaller))
            return tell(refused)
        }
        do {
            let store = try prepareStore { legacy in
                // What was handed over of lockers knew nothing of these.
                entries = entries.map { $0.merged(with: legacy.lockers) }
                let late = shared.withLock { $0.observer.late }
                late(legacy)
            }
            try store.commit(entries, synced: isSynced)
            succeed()
            if let want { fail(want) } else { change(to: directory == nil ? .memory : .durable) }
            answer(items, want.map { .failure($0.forCaller) } ?? .success(()))
        } catch {
            for case .note(let more, _) in items { backlog.add(more) }
            fail(error)
            answer(items, .failure(error.forCaller))
        }
        // Also what could not be written: whoever listens now is to hear of it.
        tell(entries + refused)
    }

    /// The open store. Opens it where that failed before, and has `late` hear of what it holds.
    private func prepareStore(
        _ late: (JournalLegacy) -> Void
    ) throws(StoreFailure) -> JournalStore {
        if let permanent { throw permanent }
        if let store { return store }
        guard shared.withLock({ $0.isObserved }) else {
            throw StoreFailure(file: "the journal", cause: "nobody waits for what it holds yet")
        }
        late(try open(isLate: true))
        guard let store else { throw StoreFailure(file: "the journal", cause: "it is not open") }
        return store
    }

    private func answer(_ items: [JournalInbox.Item], _ result: Result<Void, JournalFailure>) {
        for case .record(_, _, let reply) in items { reply(result) }
    }

    private func tell(_ entries: [JournalEntry]) {
        var highest = lastWritten
        for case .event(let event) in entries { highest = max(highest, event.seq) }
        guard highest > lastWritten else { return }
        lastWritten = highest
        let written = shared.withLock { $0.observer.written }
        written(highest)
    }

    private func succeed() {
        if backlog.dropped > 0 {
            setting.logger.warning(
                "entries of the journal were given up while it could not be written",
                metadata: ["entries": "\(backlog.dropped)"])
        }
        backlog.clear()
        retryAt = nil
        guard directory != nil, let store else { return }
        syncAt = store.isUnsynced ? syncAt ?? now() + setting.limits.syncDelayMs : nil
        idleAt = now() + setting.limits.syncDelayMs
    }

    private func fail(_ failure: StoreFailure) {
        if failure.isPermanent { permanent = failure }
        retryAt = permanent == nil ? now() + setting.limits.retryMs : nil
        if store == nil {
            for reader in readers { reader.detach(failure.forCaller) }
        }
        change(to: .broken(reason: failure.reason))
    }

    private func change(to state: JournalState) {
        let changed = shared.withLock { shared -> (@Sendable (JournalState) -> Void)? in
            guard shared.state != state else { return nil }
            shared.state = state
            return shared.observer.changed
        }
        changed?(state)
    }

    private func flush() {
        syncAt = nil
        guard let store, permanent == nil else { return }
        do { try store.flush() } catch {
            syncAt = now() + setting.limits.retryMs
            fail(error)
        }
    }

    /// What nobody waits for. Gives way as soon as somebody does.
    private func keepHouse() {
        guard let store, permanent == nil, retryAt == nil else {
            idleAt = nil
            return
        }
        store.checkpoint(from: setting.limits.walPages)
        while (try? store.prune()) == true, !inbox.withLock({ $0.isUrgent || $0.isClosing }) {}
        if store.isUnsynced, syncAt == nil { syncAt = now() + setting.limits.syncDelayMs }
        if isDue(idleAt) {
            idleAt = nil
            store.checkpoint(from: setting.limits.idleWalPages)
        }
    }

    private func finish() {
        for reader in readers { reader.close() }
        if let store, permanent == nil {
            do { try store.close() } catch {
                setting.logger.error("the journal was not closed well: \(error.reason)")
            }
        }
        store = nil
        if !backlog.entries.isEmpty {
            setting.logger.error(
                "entries of the journal could not be written",
                metadata: ["entries": "\(backlog.entries.count)"])
        }
        folder.release()
        let (rest, closers) = inbox.withLock { inbox in
            inbox.isEnded = true
            defer { inbox.closers = [] }
            return (inbox.takeAll().items, inbox.closers)
        }
        answer(rest, .failure(JournalFailure("the journal is closed")))
        for closer in closers { closer.resume() }
    }

    /// Milliseconds of a clock that only this thread's alarms go by.
    private func now() -> Int64 {
        var instant = timespec()
        clock_gettime(CLOCK_MONOTONIC, &instant)
        return Int64(instant.tv_sec) * 1000 + Int64(instant.tv_nsec) / 1_000_000
    }
}

/// The locked folder, for as long as it is wanted.
final class FolderHolder {
    private var folder: StateFolder?

    /// Locks the folder if it is not, and sees to the database's file; no connection may be open. Returns the file's path.
    func prepare(_ directory: String) throws(StoreFailure) -> String {
        if folder == nil { folder = try StateFolder(directory) }
        try folder?.prepareFile()
        return folder?.file ?? "\(directory)/journal.sqlite"
    }

    func release() { folder = nil }
}
