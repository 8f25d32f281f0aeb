import Glibc
import JSONLines
import SecretFiles
import TowerLink
import TowerTokens

/// A file with a tower's keys. It is its owner's alone, and nothing it says gets into a message.
struct KeyStore {
    let path: String
    var file: KeyFile

    /// Reads one; nil where there is none yet.
    static func read(_ path: String) throws(Failure) -> KeyStore? {
        let json: JSON?
        do throws(SecretFile.Problem) {
            json = try SecretFile.read(path)
        } catch {
            throw Failure(.failed, error.description)
        }
        guard let json else { return nil }
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
