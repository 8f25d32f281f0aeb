import GRDB
import Glibc
import LockerCore

/// Why the database cannot be opened, written or read.
struct StoreFailure: Error, Equatable {
    let file: String
    /// One lower-case clause.
    let cause: String
    /// Only a person can mend it: nothing is written to that file any more.
    var isPermanent = false
    /// Taken by another process: the daemon is not to start beside it.
    var isTaken = false
    var isFull = false

    init(file: String, cause: String, isPermanent: Bool = false) {
        self.file = file
        self.cause = cause
        self.isPermanent = isPermanent
    }

    /// The folder is locked by another process.
    init(holding folder: String, _ pid: Int32?) {
        self.init(
            file: folder,
            cause:
                "another daemon\(pid.map { " (pid \($0))" } ?? "") uses the state folder \(folder)")
        isTaken = true
    }

    /// Of a system call.
    init(_ file: String, _ verb: String, _ number: Int32) {
        self.init(file: file, cause: "\(verb): \(String(cString: strerror(number)))")
    }

    /// Of SQLite.
    init(_ file: String, _ error: any Error) {
        if error is RowDecodingError || error is ImplausibleHead {
            self.init(
                file: file, cause: "it holds what no journal writes; move it away",
                isPermanent: true)
            return
        }
        guard let error = error as? DatabaseError else {
            self.init(file: file, cause: "\(error)")
            return
        }
        let code = error.resultCode
        let cause =
            switch code {
            case .SQLITE_FULL: "the disk is full"
            case .SQLITE_IOERR:
                "the disk reports an error (SQLite code \(error.extendedResultCode.rawValue))"
            case .SQLITE_READONLY: "it cannot be written; look at its owner, mode and mount"
            case .SQLITE_CANTOPEN: "it cannot be opened; look at its owner and mode"
            case .SQLITE_NOTADB: "it is not a database; move it away"
            case .SQLITE_CORRUPT: "it is damaged; keep a copy for repair and move it away"
            case .SQLITE_BUSY, .SQLITE_LOCKED: "another program holds it locked"
            case .SQLITE_NOMEM: "there is no memory left"
            default: "SQLite says \(error.message ?? "nothing") (code \(code.rawValue))"
            }
        self.init(
            file: file, cause: cause,
            isPermanent: code == .SQLITE_NOTADB || code == .SQLITE_CORRUPT)
        isFull = code == .SQLITE_FULL
    }

    /// As the journal's state shows it.
    var reason: String { isTaken ? cause : "\(file): \(cause)" }

    var forCaller: JournalFailure { JournalFailure(cause) }
}
