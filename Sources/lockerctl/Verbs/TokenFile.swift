import ControlClient
import Glibc
import JSONLines

/// The file behind `open --token-file`.
enum TokenFile {
    /// Largest file that is read, in bytes; a command line of the control socket would hold no more.
    static let limit = 32 << 10

    @MainActor
    static func read(_ path: String) throws(Failure) -> OpenCommand.Token {
        let handle = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard handle >= 0 else {
            throw Failure(.usage, "token file \(path) cannot be read: \(Advice.words(for: errno))")
        }
        defer { close(handle) }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(handle, $0.baseAddress.map { $0 + count }, $0.count - count)
            }
            if got == 0 { break }
            guard got > 0 || errno == EINTR else {
                throw Failure(
                    .usage, "token file \(path) cannot be read: \(Advice.words(for: errno))")
            }
            count += max(got, 0)
        }
        // What is in the file is a secret: no message quotes it.
        guard count <= limit, let json = try? JSONReader.parse(Array(bytes[..<count])),
            let payload = json["payload"]?.stringValue,
            let payloadAuth = json["payloadAuth"]?.stringValue
        else {
            throw Failure(
                .usage,
                "token file \(path): want one JSON object with the strings payload and payloadAuth, at "
                    + "most \(limit) bytes")
        }
        return OpenCommand.Token(payload: payload, payloadAuth: payloadAuth)
    }
}
