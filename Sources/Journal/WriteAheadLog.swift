import GRDB
import GRDBSQLite

/// The file that commits are appended to, behind SQLite's back but through its file layer.
struct WriteAheadLog {
    private let handle: UnsafeMutablePointer<sqlite3_file>
    private let methods: UnsafePointer<sqlite3_io_methods>

    /// Nil where the connection has not opened it yet.
    init?(_ db: Database) {
        var found: UnsafeMutablePointer<sqlite3_file>?
        let code = withUnsafeMutablePointer(to: &found) {
            sqlite3_file_control(
                db.sqliteConnection, "main", SQLITE_FCNTL_JOURNAL_POINTER,
                UnsafeMutableRawPointer($0))
        }
        guard code == SQLITE_OK, let found, let methods = found.pointee.pMethods else { return nil }
        handle = found
        self.methods = methods
    }

    /// How much longer the database's own file becomes when the log is copied into it.
    static func missingBytes(_ db: Database) throws -> Int64 {
        var found: UnsafeMutablePointer<sqlite3_file>?
        let code = withUnsafeMutablePointer(to: &found) {
            sqlite3_file_control(
                db.sqliteConnection, "main", SQLITE_FCNTL_FILE_POINTER, UnsafeMutableRawPointer($0))
        }
        guard code == SQLITE_OK, let found, let methods = found.pointee.pMethods else {
            throw DatabaseError(resultCode: ResultCode(rawValue: code))
        }
        var size: Int64 = 0
        let read = methods.pointee.xFileSize(found, &size)
        guard read == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: read)) }
        let pages = try Int64.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        let pageSize = try Int64.fetchOne(db, sql: "PRAGMA page_size") ?? 0
        return max(0, pages * pageSize - size)
    }

    func sync() throws {
        let code = methods.pointee.xSync(handle, SQLITE_SYNC_NORMAL)
        guard code == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
    }

    /// Appends zeros up to the size of that many pages; false where the disk does not take them. Zeros behind the end of a log
    /// are no part of it.
    @discardableResult
    func reserve(pages: Int) -> Bool {
        let block = [UInt8](repeating: 0, count: 65536)
        let wanted = Int64(pages) * (4096 + 24) + 32
        var size: Int64 = 0
        guard methods.pointee.xFileSize(handle, &size) == SQLITE_OK else { return false }
        guard size < wanted else { return true }
        while size < wanted {
            let count = Int32(min(Int64(block.count), wanted - size))
            guard methods.pointee.xWrite(handle, block, count, size) == SQLITE_OK else {
                return false
            }
            size += Int64(count)
        }
        return methods.pointee.xSync(handle, SQLITE_SYNC_NORMAL) == SQLITE_OK
    }
}

/// How many pages the log has, as SQLite says after each commit.
///
/// Whoever listens to that also takes the copying of the log over from SQLite, which would do it within a commit that somebody
/// waits for.
final class LogSize {
    private let count = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

    var pages: Int {
        get { Int(count.pointee) }
        set { count.pointee = Int32(clamping: newValue) }
    }

    /// Must live as long as the connection.
    init(_ db: Database) {
        count.initialize(to: 0)
        _ = sqlite3_wal_hook(
            db.sqliteConnection,
            { count, _, _, pages in
                count?.assumingMemoryBound(to: Int32.self).pointee = pages
                return SQLITE_OK
            }, count)
    }

    deinit { count.deallocate() }
}
