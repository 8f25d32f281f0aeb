package import LockerCore
package import Logging
package import SiteModel

/// How much is kept and how long things wait. The standard ones stand in the architecture's table.
package struct JournalLimits: Sendable {
    /// How long an operation and its key are kept, by the journal's own clock, in milliseconds.
    package var operationAgeMs: Int64 = 24 * 3600 * 1000
    /// Operations kept at most; the oldest finished one goes first.
    package var operations = 100_000
    /// Operations kept where the journal is in memory only: the core has them there, too.
    package var operationsInMemory = 1000
    /// Lockers that the kept operations are about, in all.
    package var operationLockers = 1_000_000
    /// Events kept.
    package var events = EventLog.capacity
    /// Entries of the audit kept on disk.
    package var audit = 200_000
    /// Entries of the audit kept where there is no disk.
    package var auditInMemory = 10_000
    /// Rows that may gather beyond a limit before they are removed, so that not every commit removes some.
    package var slack = 256
    /// Newest operations that the indexes do not know yet.
    package var unfiledOperations: Int64 = 64
    /// Entries that wait while the disk does not answer: more than an `open-all` of the largest link hands over.
    package var waiting = 50_000
    /// Noted entries that wait for a disk that cannot be written.
    package var backlog = 10_000
    /// How long a note waits for company, in milliseconds.
    package var noteDelayMs: Int64 = 50
    /// How long what was written may go without being synced, in milliseconds.
    package var syncDelayMs: Int64 = 1000
    /// Pause between two attempts to write what waits, in milliseconds.
    package var retryMs: Int64 = 5000
    /// Events that may be committed without a sync before one is forced.
    package var unsyncedEvents = 1000
    /// By how many numbers the events move on when the power may have taken some with it: more than `unsyncedEvents` and what
    /// one commit adds.
    package var eventSkip: UInt64 = 2000
    /// Pages in the write-ahead log at which it is copied into the database.
    package var walPages = 1000
    /// Pages at which that is done when there is nothing else to do.
    package var idleWalPages = 250
    /// Pages written ahead into the log: a file that does not grow is synced in half the time.
    package var reservedWalPages = 1100
    /// Pages that the log must have room for before a disk that was full counts as mended: many times what an open takes.
    package var roomPages = 64
    /// Largest file that is checked before the daemon is ready, in bytes; a larger one is checked while it serves.
    package var checkedBytes: Int64 = 64 << 20

    package static let standard = JournalLimits()

    package init() {}
}

/// What the journal has to know of its daemon and its machine.
package struct JournalSetting: Sendable {
    /// Names the start of the daemon.
    package let bootID: String
    /// Names the start of the machine.
    package let machineBoot: String
    /// Milliseconds since the machine's start, suspension included.
    package let monotonicMs: @Sendable () -> Int64
    /// For the times that people see.
    package let wallClock: @Sendable () -> WallTime
    /// For what the journal itself enters into the audit.
    package let stamp: @Sendable () -> AuditStamp
    package let logger: Logger
    package var limits: JournalLimits

    package init(
        bootID: String, machineBoot: String, monotonicMs: @escaping @Sendable () -> Int64,
        wallClock: @escaping @Sendable () -> WallTime, stamp: @escaping @Sendable () -> AuditStamp,
        logger: Logger, limits: JournalLimits = .standard
    ) {
        self.bootID = bootID
        self.machineBoot = machineBoot
        self.monotonicMs = monotonicMs
        self.wallClock = wallClock
        self.stamp = stamp
        self.logger = logger
        self.limits = limits
    }
}

/// The state folder is another daemon's: `another daemon (pid 812) uses the state folder DIR`.
package struct JournalOpenFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}
