import Glibc
package import JSONLines

/// What a driver's installer tool tells: a line of JSON each on standard output, seen at once.
package enum ToolOutput {
    /// Writes one line; ends the process where nobody listens any more.
    package static func write(_ object: JSONObject) {
        let bytes = JSON.object(object).encoded + [UInt8(ascii: "\n")]
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map {
                    Glibc.write(STDOUT_FILENO, $0 + sent, buffer.count - sent)
                } ?? -1
            }
            guard count > 0 else { exit(1) }
            sent += count
        }
    }
}
