import Glibc
import LockerKit
import Logging

/// The secret that tells the upstream who beats. It prints as dots wherever it is not asked for on purpose.
struct BearerToken: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// Longest file that is read; real tokens take some hundred bytes.
    static let largestFile = 8192

    /// For the `Authorization` header only.
    let secret: String

    var description: String { "(token)" }
    var customMirror: Mirror { Mirror(self, children: []) }

    /// The token as a file's contents hold it, white space around it removed. `file` is for messages.
    init(contents: some Sequence<UInt8>, file: String) throws(LockerError) {
        let bytes = Array(contents)
        let isSpace: (UInt8) -> Bool = { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
        guard let first = bytes.firstIndex(where: { !isSpace($0) }),
            let last = bytes.lastIndex(where: { !isSpace($0) })
        else { throw LockerError(.invalidRequest, "token file \(file) is empty; want a token") }
        guard bytes[first...last].allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw LockerError(
                .invalidRequest,
                "token file \(file) holds more than one word or a byte that no header can carry")
        }
        secret = String(decoding: bytes[first...last], as: UTF8.self)
    }

    /// Whether `text` gives away this token or a telling part of it.
    func isHinted(in text: [UInt8]) -> Bool {
        let secret = Array(secret.utf8)
        let length = min(8, secret.count)
        return (0...secret.count - length).contains { start in
            text.firstRange(of: secret[start..<start + length]) != nil
        }
    }
}

/// Reads small files on a thread of its own, because a file may lie on a slow or absent disk.
actor FileReader {
    private let queue = DeviceQueue(label: "files")
    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }
    private let logger: Logger
    private var isExposureKnown = false

    init(logger: Logger) {
        self.logger = logger
    }

    /// The token in `path` as it is now.
    ///
    /// A file that others could write to, its owner included, is refused: they could send beats in this site's name, or cut
    /// it off. One that everybody may read is taken with a warning, because a checkout knows no mode 0600 and a site
    /// whose beats stop is worse off than one whose token is known.
    func token(at path: String) throws(LockerError) -> BearerToken {
        // Not blocking: a FIFO put there by mistake must not hold this thread for ever.
        let handle = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard handle >= 0 else { throw Self.unreadable(path, errno) }
        defer { close(handle) }
        var status = stat()
        guard fstat(handle, &status) == 0 else { throw Self.unreadable(path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw LockerError(.invalidRequest, "token file \(path) is not a regular file")
        }
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw LockerError(
                .invalidRequest,
                "token file \(path) belongs to uid \(status.st_uid); want root or uid \(geteuid())")
        }
        guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
            throw LockerError(
                .invalidRequest,
                "token file \(path) may be written to by others than its owner; want mode 0600 or 0640"
            )
        }
        let token = try BearerToken(contents: contents(of: handle, path), file: path)
        warnIfExposed(status.st_mode, path)
        return token
    }

    /// Once, not for every beat.
    private func warnIfExposed(_ mode: mode_t, _ path: String) {
        guard mode & S_IROTH != 0, !isExposureKnown else { return }
        isExposureKnown = true
        logger.warning(
            "token file \(path) may be read by everybody on this machine; want mode 0600 or 0640")
    }

    private func contents(of handle: Int32, _ path: String) throws(LockerError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: BearerToken.largestFile + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                read(handle, buffer.baseAddress.map { $0 + count }, buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw Self.unreadable(path, errno) }
            if got == 0 { break }
            count += got
        }
        guard count <= BearerToken.largestFile else {
            throw LockerError(
                .invalidRequest,
                "token file \(path) is longer than \(BearerToken.largestFile) bytes")
        }
        return Array(bytes[..<count])
    }

    private static func unreadable(_ path: String, _ number: Int32) -> LockerError {
        LockerError(
            .invalidRequest, "token file \(path) cannot be read: \(systemMessage(number))")
    }
}

/// The system's words for an error number, in lower case as all messages are.
func systemMessage(_ number: Int32) -> String {
    String(cString: strerror(number)).lowercased()
}
