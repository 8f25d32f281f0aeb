import Glibc
package import JSONLines

/// A file of one JSON object that holds secrets: its owner's alone, small, and never quoted.
package enum SecretFile {
    /// Largest file that is read, in bytes: sixteen keys take a fifth of it.
    package static let limit = 16 << 10

    /// Why it was not read; names the file and nothing of what it holds.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// What it holds; nil where there is none.
    package static func read(_ path: String) throws(Problem) -> JSON? {
        let handle = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        if handle < 0, errno == ENOENT { return nil }
        guard handle >= 0 else { throw failed(path, "cannot be read") }
        defer { close(handle) }
        var facts = stat()
        guard fstat(handle, &facts) == 0 else { throw failed(path, "cannot be looked at") }
        guard facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= limit else {
            throw Problem(description: "\(path): want a file of \(limit) bytes at most")
        }
        guard facts.st_mode & 0o077 == 0 else {
            throw Problem(
                description:
                    "\(path) holds secrets and may be read by others; want mode 0600: chmod 600 \(path)"
            )
        }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        let count = Glibc.read(handle, &bytes, bytes.count)
        guard count >= 0 else { throw failed(path, "cannot be read") }
        guard count <= limit, let json = try? JSONReader.parse(Array(bytes[..<count])) else {
            throw Problem(description: "\(path): want one JSON object of \(limit) bytes at most")
        }
        return json
    }

    private static func failed(_ path: String, _ what: String) -> Problem {
        Problem(description: "\(path) \(what): \(String(cString: strerror(errno)).lowercased())")
    }
}
