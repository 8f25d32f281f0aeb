import Glibc
import JSONLines
import TowerLink
import TowerTokens

/// A file with a tower's keys. It is its owner's alone, and nothing it says gets into a message.
struct KeyStore {
    /// Largest file that is read, in bytes: sixteen keys take a fifth of it.
    private static let limit = 16 << 10

    let path: String
    var file: KeyFile

    /// Reads one; nil where there is none yet.
    static func read(_ path: String) throws(Failure) -> KeyStore? {
        let handle = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        if handle < 0, errno == ENOENT { return nil }
        guard handle >= 0 else { throw failure(path, "cannot be read") }
        defer { close(handle) }
        var facts = stat()
        guard fstat(handle, &facts) == 0 else { throw failure(path, "cannot be looked at") }
        guard facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= Self.limit else {
            throw Failure(.failed, "\(path): want a file of \(Self.limit) bytes at most")
        }
        guard facts.st_mode & 0o077 == 0 else {
            throw Failure(
                .failed,
                "\(path) holds secrets and may be read by others; want mode 0600: chmod 600 \(path)"
            )
        }
        var bytes = [UInt8](repeating: 0, count: Self.limit + 1)
        let count = Glibc.read(handle, &bytes, bytes.count)
        guard count >= 0 else { throw failure(path, "cannot be read") }
        guard count <= Self.limit, let json = try? JSONReader.parse(Array(bytes[..<count])) else {
            throw Failure(.failed, "\(path): want one JSON object of \(Self.limit) bytes at most")
        }
        do throws(KeyFile.Problem) {
            return KeyStore(path: path, file: try KeyFile(json: json))
        } catch {
            throw Failure(.failed, "\(path): \(error)")
        }
    }

    /// One that has to be there.
    static func existing(_ path: String) throws(Failure) -> KeyStore {
        guard let store = try read(path) else {
            throw Failure(
                .failed, "\(path) is not there; `lockerctl tower key \(path) --tower ID` makes it")
        }
        return store
    }

    /// Puts it in its place in one step.
    func write() throws(Failure) {
        let draft = "\(path).new"
        unlink(draft)
        let handle = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard handle >= 0 else { throw Self.failure(path, "cannot be written") }
        var isDone = false
        defer {
            close(handle)
            if !isDone { unlink(draft) }
        }
        let bytes = file.json.encoded + [UInt8(ascii: "\n")]
        guard Glibc.write(handle, bytes, bytes.count) == bytes.count, fsync(handle) == 0,
            rename(draft, path) == 0
        else { throw Self.failure(path, "cannot be written") }
        isDone = true
    }

    private static func failure(_ path: String, _ what: String) -> Failure {
        Failure(.failed, "\(path) \(what): \(String(cString: strerror(errno)))")
    }
}
