import Glibc

/// Why a file or folder could not be read, as a clause for a message.
struct ReadFailure: Error, Equatable {
    let isMissing: Bool
    let reason: String

    init(_ reason: String, isMissing: Bool = false) {
        self.reason = reason
        self.isMissing = isMissing
    }

    fileprivate init(errno code: Int32) {
        self.init(String(cString: strerror(code)).lowercased(), isMissing: code == ENOENT)
    }
}

/// Reads a regular file of at most ``ConfigLimits/fileBytes``.
func readFile(_ path: String) throws(ReadFailure) -> [UInt8] {
    // O_NONBLOCK: opening a FIFO that somebody put there must not hang the start.
    let handle = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard handle >= 0 else { throw ReadFailure(errno: errno) }
    defer { close(handle) }
    var status = stat()
    guard fstat(handle, &status) == 0 else { throw ReadFailure(errno: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ReadFailure("not a regular file") }
    let tooLarge = ReadFailure("larger than \(ConfigLimits.fileBytes) bytes")
    guard status.st_size <= ConfigLimits.fileBytes else { throw tooLarge }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(handle, &chunk, chunk.count)
        if count == 0 { return bytes }
        if count < 0 {
            if errno == EINTR { continue }
            throw ReadFailure(errno: errno)
        }
        bytes += chunk[..<count]
        if bytes.count > ConfigLimits.fileBytes { throw tooLarge }
    }
}

/// Why this process could not read a file; nil where it could. The file is not opened.
func unreadable(_ path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0, faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 else {
        return ReadFailure(errno: errno).reason
    }
    return status.st_mode & S_IFMT == S_IFDIR ? "is a directory" : nil
}

/// Names of a folder's entries, sorted by their bytes.
func listFolder(_ path: String) throws(ReadFailure) -> [String] {
    guard let folder = opendir(path) else { throw ReadFailure(errno: errno) }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(
                to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
            ) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}

/// `path` as it stands when it is absolute, otherwise below `directory`.
func resolve(_ path: String, in directory: String) -> String {
    path.hasPrefix("/") ? path : "\(directory)/\(path)"
}
