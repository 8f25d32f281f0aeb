import Dispatch
import GRDB
import LockerCore
import Locks

/// Reads beside the writer, on a connection and a queue of its own, so that no thread of the pool waits for a disk.
final class JournalReader: Sendable {
    private enum Source {
        case none(JournalFailure)
        /// In memory there is only the writer's connection.
        case shared(DatabaseQueue)
        case file(String, vfs: String?, DatabaseQueue?)
    }

    private let source = Mutex(Source.none(JournalFailure("the journal is not open")))
    private let queue: DispatchQueue

    init(_ label: String) {
        queue = DispatchQueue(label: label)
    }

    /// There is nothing to read, and why.
    func detach(_ reason: JournalFailure) { source.withLock { $0 = .none(reason) } }

    /// The store can be read from now on.
    func attach(_ store: JournalStore, vfs: String?) {
        let next: Source =
            if let file = store.file { .file(file, vfs: vfs, nil) } else { .shared(store.queue) }
        source.withLock { $0 = next }
    }

    /// Runs `body` in a transaction that begins now: it sees everything that was recorded before.
    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value)
        async throws(JournalFailure) -> Value
    {
        let result: Result<Value, JournalFailure> = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.readNow(body)) }
        }
        return try result.get()
    }

    private func readNow<Value>(_ body: (Database) throws -> Value)
        -> Result<Value, JournalFailure>
    {
        let (connection, failure) = connection()
        guard let connection else { return .failure(failure ?? JournalFailure("it is closed")) }
        do { return .success(try connection.read(body)) } catch {
            return .failure(StoreFailure(connection.path, error).forCaller)
        }
    }

    /// The connection, opened with the first use. Runs on `queue` only, so no two are opened.
    private func connection() -> (DatabaseQueue?, JournalFailure?) {
        switch source.withLock({ $0 }) {
        case .none(let failure): return (nil, failure)
        case .shared(let queue), .file(_, _, let queue?): return (queue, nil)
        case .file(let file, let vfs, nil):
            do {
                let opened = try DatabaseQueue(
                    path: JournalOpening.location(file, vfs),
                    configuration: JournalOpening.configuration(readonly: true))
                let isStillWanted = source.withLock { source in
                    guard case .file(file, vfs: vfs, nil) = source else { return false }
                    source = .file(file, vfs: vfs, opened)
                    return true
                }
                return isStillWanted ? (opened, nil) : (nil, JournalFailure("it is closed"))
            } catch { return (nil, StoreFailure(file, error).forCaller) }
        }
    }

    /// Closes the connection after the reads that are under way. Blocks until then.
    func close() {
        // A long check of the whole file is not waited for.
        if case .file(_, _, let connection?) = source.withLock({ $0 }) { connection.interrupt() }
        queue.sync {
            let before = source.withLock { source in
                defer { source = .none(JournalFailure("the journal is closed")) }
                return source
            }
            if case .file(_, _, let connection?) = before { try? connection.close() }
        }
    }
}
